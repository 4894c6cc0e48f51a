package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// login signs in, and asks for what the browser ended on as often as the person
// wants to paste it.
func (j *job) login(ctx context.Context, k *keeper.Keeper, r Request) (sink.Profile, error) {
	waiting, over := context.WithCancel(ctx)
	pasted := make(chan secret.Text)
	var dialogs sync.WaitGroup
	defer dialogs.Wait()
	defer over() // takes the dialog away
	say := r.Say.or("Sign in to "+nameOf(k, r.Provider), "Paste the address that the browser ended on, or the code that it shows:", "")
	dialogs.Go(func() { j.askWhilst(waiting, say, pasted) })
	return k.Login(ctx, keeper.LoginRequest{
		Agent: r.Agent, Provider: r.Provider, ProfileID: r.Profile,
		Show: func(url string, why error) error {
			if err := oauth.CheckBrowserURL(url); err != nil {
				return err
			}
			e := Event{Event: "url", URL: url}
			if why != nil {
				e.Manual = why.Error()
				j.setManual(e.Manual)
			}
			j.tell(e)
			return nil
		},
		Pasted:    pasted,
		Refused:   j.refuse,
		ClientKey: func(ctx context.Context) (secret.Text, error) { return j.clientKey(ctx, k, r) },
	})
}

// clientKey asks for what proves a provider's client, which happens once.
func (j *job) clientKey(ctx context.Context, k *keeper.Keeper, r Request) (text secret.Text, err error) {
	if j.w.Desk == nil {
		return text, sink.ErrNoClientKey
	}
	name := nameOf(k, r.Provider)
	err = j.asking(func() error {
		text, err = j.w.Desk.Ask(ctx, "Sign in to "+name, "Paste the secret of the client that is registered with "+name+". It is kept in the keychain and not asked for again.")
		return err
	})
	return text, err
}

// loginWithCode signs in with a code, in a dialog that stays until that is done.
// Dismissing it gives the sign-in up.
func (j *job) loginWithCode(ctx context.Context, k *keeper.Keeper, r Request) (sink.Profile, error) {
	if j.w.Desk == nil {
		return sink.Profile{}, ErrNoDesk
	}
	waiting, over := context.WithCancelCause(ctx)
	var dialogs sync.WaitGroup
	defer dialogs.Wait()
	defer over(nil) // takes the dialog away
	say := r.Say.or("Sign in to "+nameOf(k, r.Provider), "Visit this page in any browser and enter the code. Do so only if you have just asked for it yourself.", "Open")
	say.Other = cmp.Or(say.Other, "Copy")
	p, err := k.Login(waiting, keeper.LoginRequest{
		Agent: r.Agent, Provider: r.Provider, ProfileID: r.Profile,
		Code: func(c oauth.DeviceCode) error {
			j.tell(Event{Event: "code", UserCode: c.UserCode, URL: c.Page, Complete: c.Complete, ExpiresAt: c.Expires.UnixMilli()})
			dialogs.Go(func() { over(j.offer(waiting, say, c)) })
			return nil
		},
		Refused:   j.refuse,
		ClientKey: func(ctx context.Context) (secret.Text, error) { return j.clientKey(ctx, k, r) },
	})
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		err = context.Cause(waiting)
	}
	return p, err
}

// offer shows a code until ctx ends or the person dismisses it, which is the
// error.
func (j *job) offer(ctx context.Context, say Say, c oauth.DeviceCode) error {
	copying, stop := context.WithCancel(ctx)
	var copies sync.WaitGroup
	defer copies.Wait()
	defer stop()
	text := say.Text + "\n\n" + c.Page + "\n\n" + c.UserCode
	for {
		button, err := j.w.Desk.Offer(ctx, say.Title, text, say.OK, say.Other)
		switch {
		case err != nil:
			return err
		case button == 0:
			j.tell(Event{Event: "open", URL: cmp.Or(c.Complete, c.Page)})
		default:
			copies.Go(func() { j.copyCode(copying, c) }) // one before ends with this
		}
	}
}

// copyCode holds a code in the clipboard until ctx ends.
func (j *job) copyCode(ctx context.Context, c oauth.DeviceCode) {
	err := j.w.Desk.Copy(ctx, secret.New(c.UserCode), time.Until(c.Expires), func() {})
	if err != nil && ctx.Err() == nil {
		j.refuse(err)
	}
}

// paste lets a dialog be opened, unless one is.
func (j *job) paste() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.pasting {
		j.pasting = true
		j.pastes <- struct{}{} // has room: only askWhilst resets pasting
	}
}

// askWhilst opens a dialog for each paste, one at a time, until ctx ends.
func (j *job) askWhilst(ctx context.Context, say Say, to chan<- secret.Text) {
	for {
		select {
		case <-j.pastes:
		case <-ctx.Done():
			return
		}
		text, err := j.w.Desk.Ask(ctx, say.Title, j.withManual(say.Text))
		j.mu.Lock()
		j.pasting = false
		j.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			j.refuse(err)
			continue
		}
		select {
		case to <- text:
		case <-ctx.Done():
			return
		}
	}
}

// setManual notes why the browser cannot come back by itself.
func (j *job) setManual(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.manual = why
}

// withManual puts that, if it is so, before a text.
func (j *job) withManual(text string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.manual == "" {
		return text
	}
	return j.manual + ".\n" + text
}

// add asks for a secret until it is a good one.
func (j *job) add(ctx context.Context, k *keeper.Keeper, r Request, ref sink.Ref) (sink.Profile, error) {
	if j.w.Desk == nil {
		return sink.Profile{}, ErrNoDesk
	}
	what, from, err := k.Wanted(r.Provider, r.Kind)
	if err != nil {
		return sink.Profile{}, err
	}
	say := r.Say.or("Add "+what+" of "+nameOf(k, r.Provider), "Paste it here. It is kept in the keychain of this machine.", "")
	title, text := say.Title, say.Text
	if from != "" {
		text = "To get one: " + from + ".\n" + text
	}
	return k.Add(ctx, keeper.AddRequest{Ref: ref, Provider: r.Provider, Kind: r.Kind, Ask: func(ctx context.Context, refused error) (secret.Text, error) {
		full := text
		if refused != nil {
			j.refuse(refused)
			full = refused.Error() + ".\n" + text
		}
		var s secret.Text
		err := j.asking(func() (err error) {
			s, err = j.w.Desk.Ask(ctx, title, full)
			return err
		})
		return s, err
	}})
}

// or fills in what is empty.
func (s Say) or(title, text, ok string) Say {
	return Say{cmp.Or(s.Title, title), cmp.Or(s.Text, text), cmp.Or(s.OK, ok), s.Other}
}

// asking tells that the person is asked, and that they have answered.
func (j *job) asking(ask func() error) error {
	j.tell(Event{Event: "asking"})
	defer j.tell(Event{Event: "answered"})
	return ask()
}

// copy holds an access token in the clipboard for a while.
func (j *job) copy(ctx context.Context, k *keeper.Keeper, ref sink.Ref) error {
	if j.w.Desk == nil {
		return ErrNoDesk
	}
	p, err := k.Store.Profile(ref)
	if err != nil {
		return err
	}
	t, err := k.Token(ctx, p, 0)
	if err != nil {
		return err
	}
	return j.w.Desk.Copy(ctx, t.Access, clipboardTime, func() { j.tell(Event{Event: "copied"}) })
}

// logout removes a login, after a yes if that is wanted.
func (j *job) logout(ctx context.Context, k *keeper.Keeper, r Request, ref sink.Ref) error {
	if r.Confirm && j.w.Desk == nil {
		return ErrNoDesk
	}
	if r.Confirm {
		say := r.Say.or("Remove a login", "Remove "+ref.ID+" from this machine? Programs that use it have to sign in again.", "Remove")
		err := j.asking(func() error { return j.w.Desk.Confirm(ctx, say.Title, say.Text, say.OK) })
		if err != nil {
			return err
		}
	}
	f, why, err := k.Logout(ctx, ref, false)
	if err != nil {
		return err
	}
	said := Event{Event: "farewell", Farewell: f}
	if why != nil {
		failure := j.w.Explain(why)
		said.Failure = &failure
	}
	j.tell(said)
	return nil
}

// unlock lets a locked keychain ask the person who waits.
func (j *job) unlock(ctx context.Context, r Request) error {
	if !r.Person || j.w.Unlock == nil {
		return nil
	}
	return j.asking(func() error { return j.w.Unlock(ctx) })
}

// terminal opens a window with a command, for where a dialog cannot be shown.
func (j *job) terminal(r Request, ref sink.Ref) error {
	if j.w.Terminal == nil {
		return ErrNoDesk
	}
	args := []string{"doctor"}
	if r.Code {
		args = []string{"models", "auth", "login", "--device"}
	}
	switch r.Kind {
	case keeper.SetupToken:
		args = []string{"models", "auth", "setup-token"}
	case keeper.BearerToken:
		args = []string{"models", "auth", "paste-token"}
	case keeper.APIKey:
		args = []string{"models", "auth", "paste-api-key"}
	}
	if r.Kind != "" || r.Code {
		args = append(args, "--provider", r.Provider, "--agent", ref.Agent)
		if ref.ID != "" {
			args = append(args, "--profile-id", ref.ID)
		}
	}
	return j.w.Terminal(args...)
}

// nameOf is what people call a provider.
func nameOf(k *keeper.Keeper, id string) string {
	if p, ok := k.Providers.Find(id); ok {
		return p.Name
	}
	return id
}
