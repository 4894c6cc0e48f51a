package worker_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
	"github.com/keytray/keytray/worker"
)

var errNo = errors.New("they said no")

// person sits at a desk, enters the answers one after the other, and then keeps
// every dialog waiting.
type person struct {
	// hold, where there is one, keeps each answer back until it is closed.
	hold chan struct{}

	mu        sync.Mutex // guards all below
	answers   []string
	refuses   bool
	presses   []int    // buttons of Offer
	saw       []string // titles and texts
	clipboard secret.Text
}

func (p *person) Ask(ctx context.Context, title, text string) (secret.Text, error) {
	p.mu.Lock()
	p.saw = append(p.saw, title+"\n"+text)
	if p.refuses {
		p.mu.Unlock()
		return secret.Text{}, errNo
	}
	if len(p.answers) > 0 {
		answer := p.answers[0]
		p.answers = p.answers[1:]
		p.mu.Unlock()
		if p.hold != nil {
			<-p.hold
		}
		return secret.New(answer), nil
	}
	p.mu.Unlock()
	<-ctx.Done()
	return secret.Text{}, ctx.Err()
}

func (p *person) Confirm(_ context.Context, title, text, ok string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saw = append(p.saw, title+"\n"+text+"\n"+ok)
	if p.refuses {
		return errNo
	}
	return nil
}

func (p *person) Offer(ctx context.Context, title, text, first, second string) (int, error) {
	p.mu.Lock()
	p.saw = append(p.saw, strings.Join([]string{title, text, first, second}, "\n"))
	refuses, presses := p.refuses, p.presses
	p.presses = presses[min(1, len(presses)):]
	p.mu.Unlock()
	if refuses {
		return 0, errNo
	}
	if len(presses) > 0 {
		return presses[0], nil
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

func (p *person) Copy(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	p.mu.Lock()
	p.clipboard = text
	p.mu.Unlock()
	if during != 30*time.Second && during != 5*time.Minute {
		return errors.New("for how long?")
	}
	held()
	<-ctx.Done()
	return ctx.Err()
}

func (p *person) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.saw
}

func (p *person) will(answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, answer)
}

const setupToken = "sk-ant-oat01-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestAWorkerAsksForASecretUntilItIsGood(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := &person{answers: []string{" ", "sk-ant-api03-x", "sk-ant-oat01-x", "\x1b[200~" + setupToken[:40] + "\r\n " + setupToken[40:] + "\n"}}
	events, raw, err := d.serveWith(t.Context(), p, strings.NewReader(`{"do":"add","provider":"anthropic","kind":"setup-token"}`+"\n"), nil)
	if want := "started" + strings.Repeat(" asking answered refused", 3) + " asking answered committed done"; err != nil || names(events) != want {
		t.Fatalf("%s, %v, want %s", names(events), err, want)
	}
	for i, want := range []string{"Required", "Expected token starting with sk-ant-oat01-", "Token looks too short; paste the full setup-token"} {
		if got := events[3+3*i]; got.Message != want {
			t.Errorf("refused with %q, want %q", got.Message, want)
		}
		if !strings.Contains(p.seen()[i+1], want) {
			t.Errorf("the next dialog says %q", p.seen()[i+1])
		}
	}
	got := events[len(events)-1].Profile
	year := time.Until(time.UnixMilli(got.ExpiresAt)).Hours() / 24
	if got.ID != "anthropic:default" || got.State != "ok" || year < 364 || year > 365 {
		t.Errorf("profile = %+v, %v days", got, year)
	}
	if strings.Contains(raw, "AAAA") {
		t.Error("the secret passed through the pipe")
	}
	k := d.keeper()
	tok, err := k.Token(t.Context(), d.profile(sink.Ref{Agent: "main", ID: "anthropic:default"}), 0)
	if err != nil || tok.Access.Reveal() != setupToken {
		t.Errorf("the token is not what was pasted, %v", err)
	}
}

func TestAWorkerAsksNobodyInVain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	for _, c := range []struct {
		request string
		want    error
	}{
		{`{"do":"add","provider":"acme!","kind":"token"}`, keeper.ErrUnknownProvider},
		{`{"do":"add","kind":"token"}`, keeper.ErrUnknownProvider},
		{`{"do":"add","provider":"anthropic","kind":"password"}`, keeper.ErrCannotPaste},
		{`{"do":"add","provider":"openai","kind":"setup-token"}`, keeper.ErrCannotPaste},
		{`{"do":"add","provider":"nowhere","kind":"setup-token"}`, keeper.ErrUnknownProvider},
		{`{"do":"copy","profile":"acme:nobody"}`, sink.ErrMirrorMissing},
		{`{"do":"copy"}`, worker.ErrBadRequest},
	} {
		p := &person{}
		if _, _, err := d.serveWith(t.Context(), p, strings.NewReader(c.request+"\n"), nil); !errors.Is(err, c.want) || len(p.seen()) > 0 {
			t.Errorf("%s: %v after %q, want %v", c.request, err, p.seen(), c.want)
		}
	}
	d.keychain.SetFault(func(sinktest.Op) sinktest.Fault { return sinktest.NotApplied })
	p := &person{}
	if _, _, err := d.serveWith(t.Context(), p, strings.NewReader(`{"do":"add","provider":"openai","kind":"api_key"}`+"\n"), nil); err == nil || len(p.seen()) > 0 {
		t.Errorf("with a keychain that fails: %v after %q", err, p.seen())
	}
	d.keychain.SetFault(nil)
	for _, request := range []string{`{"do":"add","provider":"openai","kind":"api_key"}`, `{"do":"copy","profile":"x"}`, `{"do":"logout","profile":"x","confirm":true}`} {
		if _, _, err := d.serve(t.Context(), strings.NewReader(request+"\n"), nil); !errors.Is(err, worker.ErrNoDesk) {
			t.Errorf("%s without anybody: %v, want ErrNoDesk", request, err)
		}
	}
}

// A worker of a login opens one dialog at a time, says what was no good, and
// takes the dialog away when the login is over.
func TestALoginIsPastedInADialog(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{Approve: "alice"})
	p := &person{answers: []string{"https://elsewhere.example/?code=x&state=y"}}
	in, commands := io.Pipe()
	say := func(line string) { _, _ = io.WriteString(commands, line+"\n") }
	url := ""
	tell := func(e worker.Event) {
		switch e.Event {
		case "url":
			url = e.URL
			go say(`{"cmd":"paste"}`)
		case "refused":
			go func() {
				if len(p.seen()) == 1 {
					p.will(redirect(t, url))
				}
				say(`{"cmd":"paste"}`)
				say(`{"cmd":"paste"}`)
			}()
		}
	}
	go say(`{"do":"login","provider":"` + d.server.Provider().ID + `"}`)
	events, raw, err := d.serveWith(t.Context(), p, in, tell)
	if want := "started url refused received committed done"; err != nil || names(events) != want {
		t.Errorf("%s, %v, want %s", names(events), err, want)
	}
	if n := len(p.seen()); n < 2 || n > 3 { // the last paste comes before the end of the second, or after
		t.Errorf("%d dialogs", n)
	}
	for _, s := range d.server.Secrets() {
		if strings.Contains(raw, s) {
			t.Error("a secret passed through the pipe")
		}
	}
}

func TestASecondPasteWhileADialogIsOpenDoesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := &person{answers: []string{"https://elsewhere.example/?code=x&state=y"}, hold: make(chan struct{})}
	in, commands := io.Pipe()
	say := func(line string) { _, _ = io.WriteString(commands, line+"\n") }
	go say(`{"do":"login","provider":"` + d.server.Provider().ID + `"}`)
	refusals := 0
	events, _, err := d.serveWith(t.Context(), p, in, func(e worker.Event) {
		switch e.Event {
		case "url":
			go func() {
				say(`{"cmd":"paste"}`)
				for len(p.seen()) == 0 { // the dialog opens in its own time
					time.Sleep(time.Millisecond)
				}
				for range 5 {
					say(`{"cmd":"paste"}`)
				}
				say(`{"cmd":"mark"}`) // is refused when all before it has been followed
			}()
		case "refused":
			refusals++
			switch refusals {
			case 1:
				close(p.hold)
			case 2: // the paste; another dialog would open now
				time.AfterFunc(200*time.Millisecond, func() { say(`{"cmd":"cancel"}`) })
			}
		}
	})
	if !errors.Is(err, context.Canceled) || names(events) != "started url refused refused error" || len(p.seen()) != 1 {
		t.Errorf("%s, %v, %d dialogs", names(events), err, len(p.seen()))
	}
}

func TestADismissedPasteLeavesTheLoginWaiting(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := &person{refuses: true}
	in, commands := io.Pipe()
	say := func(line string) { _, _ = io.WriteString(commands, line+"\n") }
	url := ""
	go say(`{"do":"login","provider":"` + d.server.Provider().ID + `"}`)
	events, _, err := d.serveWith(t.Context(), p, in, func(e worker.Event) {
		switch e.Event {
		case "url":
			url = e.URL
			go say(`{"cmd":"paste"}`)
		case "refused":
			go func() { _, _ = oauthtest.Browser{User: "alice"}.Open(t.Context(), url) }()
		}
	})
	if err != nil || names(events) != "started url refused received committed done" || events[2].Message != errNo.Error() {
		t.Errorf("%s, %v", names(events), err)
	}
}

func TestAWorkerCopiesATokenUntilItIsCancelled(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	login := d.login("alice")
	p := &person{}
	in, commands := io.Pipe()
	say := func(line string) { _, _ = io.WriteString(commands, line+"\n") }
	go say(`{"do":"copy","profile":"` + login.ID + `"}`)
	events, raw, err := d.serveWith(t.Context(), p, in, func(e worker.Event) {
		if e.Event == "copied" {
			go say(`{"cmd":"cancel"}`)
		}
	})
	if !errors.Is(err, context.Canceled) || names(events) != "started copied error" {
		t.Errorf("%s, %v", names(events), err)
	}
	if !d.server.Valid(p.clipboard.Reveal()) || strings.Contains(raw, p.clipboard.Reveal()) {
		t.Error("it was not an access token that was copied, or it passed through the pipe")
	}
}

func TestALogoutIsConfirmed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	login := d.login("alice")
	request := `{"do":"logout","profile":"` + login.ID + `","confirm":true}` + "\n"
	p := &person{refuses: true}
	if events, _, err := d.serveWith(t.Context(), p, strings.NewReader(request), nil); !errors.Is(err, errNo) || names(events) != "started asking answered error" {
		t.Errorf("declined: %s, %v", names(events), err)
	}
	if d.profile(login.Ref).Generation != 1 || !strings.Contains(p.seen()[0], login.ID) {
		t.Errorf("asked %q", p.seen())
	}
	if events, _, err := d.serveWith(t.Context(), &person{}, strings.NewReader(request), nil); err != nil || names(events) != "started asking answered farewell done" {
		t.Errorf("confirmed: %s, %v", names(events), err)
	}
	if _, err := d.keeper().Store.Profile(login.Ref); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("the login is still there: %v", err)
	}
}

func TestAWorkerRestoresWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	a, b := d.login("alice"), d.login("bob")
	if err := os.Remove(filepath.Join(d.base, "root", "agents", "main", "agent", "auth-profiles.json")); err != nil {
		t.Fatal(err)
	}
	if events, _, err := d.serve(t.Context(), strings.NewReader(`{"do":"restore"}`+"\n"), nil); err != nil || names(events) != "started done" {
		t.Errorf("%s, %v", names(events), err)
	}
	if d.profile(a.Ref).Generation != 1 || d.profile(b.Ref).Generation != 1 {
		t.Error("not all is back")
	}
}

// TestAWorkerAsksForAClientsSecret in a dialog, before the browser opens.
func TestAWorkerAsksForAClientsSecret(t *testing.T) {
	d := newDesk(t, oauthtest.Options{ClientSecret: "s3cret", Approve: "alice"})
	p := &person{answers: []string{"s3cret"}}
	open := func(e worker.Event) {
		if e.Event == "url" {
			go func() { _, _ = oauthtest.Browser{}.Open(t.Context(), e.URL) }()
		}
	}
	events, raw, err := d.serveWith(t.Context(), p, strings.NewReader(`{"do":"login","provider":"demo"}`+"\n"), open)
	if want := "started asking answered url received committed done"; err != nil || names(events) != want {
		t.Fatalf("%s, %v, want %s", names(events), err, want)
	}
	if seen := p.seen(); len(seen) != 1 || !strings.Contains(seen[0], "secret of the client") || strings.Contains(raw, "s3cret") {
		t.Errorf("asked %q", seen)
	}
	if _, _, err := d.serve(t.Context(), strings.NewReader(`{"do":"login","provider":"demo"}`+"\n"), open); err != nil {
		t.Errorf("with nobody to ask, and the secret in the keychain: %v", err)
	}
}
