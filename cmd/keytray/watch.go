package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

const (
	// keepingRest is how often a watcher looks without being told of a change:
	// time alone changes some states.
	keepingRest = time.Minute
	// followingRest is how often one without the seat asks for it.
	followingRest = 30 * time.Second
)

func (a *app) watchCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Keep the tokens of all agents fresh, and print what happens",
		Long: `Keep the tokens of all agents fresh, where no tray does it, and print a line for
each login at first and for each change from then on. One process at a time
keeps a state folder fresh; another one only prints, and takes over when the
first has gone. It ends with Ctrl-C, after what is under way. Other commands work
beside it as always. A service manager that listens (Type=notify) is told how
things are.

With --json each line is an object: schemaVersion, time, event (keeping,
following, offline, online, state, added, refreshed, removed, or the name of a
new state), and of
a login agent, profile, provider, state, reason, message, hint (the command that
helps) and expiresAt in milliseconds.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.watch(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object per line")
	return cmd
}

func (a *app) watch(ctx context.Context, asJSON bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	ctx, stop := setup.Resident(ctx, "watch")
	defer stop()
	a.warn(a.takeIn(ctx, k))
	a.world.Sweep(ctx)
	folders, err := setup.WatchFiles(k.Store)
	if err != nil {
		return err
	}
	defer folders.Close()
	w := &watcher{
		k: k, folders: folders, write: writeLine, out: a.sys.stdout, patience: followingRest,
		reloads:  &setup.Reloads{World: a.world, Store: k.Store},
		supplies: &setup.Supplies{World: a.world, Store: k.Store, Do: func(ctx context.Context) error { return a.world.Supply(ctx, k) }},
		manager:  manager{socket: a.world.Getenv("NOTIFY_SOCKET"), log: a.sys.log},
		seen:     map[sink.Ref]shown{}, wake: make(chan struct{}, 1), met: make(chan struct{}, 1), locked: map[sink.Ref]bool{},
	}
	if asJSON {
		w.write = writeLineJSON
	}
	err = w.run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, setup.ErrReplaced) {
		fmt.Fprintf(a.sys.stderr, "keytray: ended: %s\n", cause)
	}
	return err
}

// watcher is one `keytray watch`. What it prints it reads from the profile
// files, so that it tells the same whether it does the work or somebody else.
type watcher struct {
	k        *keeper.Keeper
	folders  *setup.Files
	out      io.Writer
	write    func(io.Writer, line) error
	patience time.Duration // between two attempts to take the seat
	reloads  *setup.Reloads
	supplies *setup.Supplies
	manager  manager

	seen map[sink.Ref]shown
	// wake lets the loop look at the files, met lets us look at what is guarded below;
	// both hold one.
	wake, met chan struct{}
	// toldOffline is what was printed last of the network.
	toldOffline bool

	mu      sync.Mutex // guards all below
	locked  map[sink.Ref]bool
	offline bool
}

// shown is what was printed last of a login.
type shown struct {
	generation   uint64
	word, reason string
}

// run prints and, while it has the seat, keeps. It ends with ctx, or when
// nobody reads what it prints.
func (w *watcher) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := w.look(ctx, "state"); err != nil {
		return err
	}
	kept := make(chan error, 1)
	keeping, err := w.sit(ctx, kept, true)
	if err != nil {
		return err
	}
	w.manager.tell(ctx, "READY=1")
	err = w.stream(ctx, &keeping, kept)
	w.manager.tell(ctx, "STOPPING=1")
	stop()
	if keeping { // what is under way is finished first
		err = errors.Join(err, <-kept)
	}
	w.reloads.Wait()
	w.supplies.Wait()
	return errors.Join(err, w.look(ctx, "state"))
}

// stream prints changes until ctx ends, and takes the seat when it is free.
func (w *watcher) stream(ctx context.Context, keeping *bool, kept chan<- error) error {
	rest := time.NewTimer(w.patience)
	defer rest.Stop()
	if *keeping { // what was renewed while nobody watched
		w.owed(ctx)
	}
	for {
		w.manager.describe(ctx, w.summary(*keeping))
		select {
		case <-ctx.Done():
			return nil
		case c := <-w.folders.Changes():
			if !c.Logins {
				continue
			}
			poke(w.wake)
		case <-w.met:
		case <-rest.C:
		}
		if !*keeping {
			var err error
			if *keeping, err = w.sit(ctx, kept, false); err != nil {
				return err
			}
		}
		if err := w.look(ctx, "added"); err != nil {
			return err
		}
		if *keeping {
			w.owed(ctx)
			rest.Reset(keepingRest)
		} else {
			rest.Reset(w.patience)
		}
	}
}

// summary is how all is, in a line that names no login.
func (w *watcher) summary(keeping bool) string {
	if !keeping {
		return fmt.Sprintf("process %d keeps the tokens fresh; this one takes over when that has gone", w.k.Store.SeatHolder())
	}
	kept, wrong := 0, 0
	for _, s := range w.seen {
		switch s.word {
		case "moved": // to another machine
			continue
		case "ok":
		default:
			wrong++
		}
		kept++
	}
	if wrong > 0 {
		return fmt.Sprintf("keeps %d logins fresh, of which %d are not well: see `keytray status`", kept, wrong)
	}
	return fmt.Sprintf("keeps %d logins fresh", kept)
}

// owed has done what other programs are owed after a renewal.
func (w *watcher) owed(ctx context.Context) {
	w.reloads.Look(ctx)
	w.supplies.Look(ctx)
}

// sit takes the seat if it is free, and keeps the tokens fresh from then on. The
// end of that is told to kept. Loud says also that it is not free.
func (w *watcher) sit(ctx context.Context, kept chan<- error, loud bool) (keeping bool, err error) {
	release, taken, err := w.k.Store.Seat(ctx)
	if err != nil {
		return false, err
	}
	if !taken {
		if !loud {
			return false, nil
		}
		return false, w.write(w.out, line{Event: "following", Message: fmt.Sprintf("another process (%d) keeps the tokens fresh; this one prints what happens", w.k.Store.SeatHolder())})
	}
	if err := w.write(w.out, line{Event: "keeping", Message: "this process keeps the tokens fresh"}); err != nil {
		release()
		return false, err
	}
	go func() { // run waits for kept
		defer release()
		w.restore(ctx)
		kept <- w.k.Run(ctx, keeper.Schedule{Do: w.renew, Wake: w.wake, Offline: w.setOffline})
	}()
	return true, nil
}

// restore writes anew what was lost of the profile files. A keychain that does
// not answer is met again when something is due.
func (w *watcher) restore(ctx context.Context) {
	if err := w.k.RestoreMissing(ctx); err != nil && ctx.Err() == nil {
		w.k.Log.Warn("the keychain's logins could not be compared with the profile files", "err", setup.OneLine(err))
	}
}

// renew does what is due for a login, and notes whether the keychain is locked:
// no profile file says that.
func (w *watcher) renew(ctx context.Context, ref sink.Ref) error {
	err := w.k.Renew(ctx, ref)
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := errors.Is(err, keychain.ErrLocked); now != w.locked[ref] {
		w.locked[ref] = now
		poke(w.met)
	}
	return err
}

// setOffline notes whether tokens cannot be renewed for want of a network.
func (w *watcher) setOffline(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offline = yes
	poke(w.met)
}

// showNetwork prints that the network went, or came back.
func (w *watcher) showNetwork() error {
	w.mu.Lock()
	now := w.offline
	w.mu.Unlock()
	if now == w.toldOffline {
		return nil
	}
	w.toldOffline = now
	if now {
		return w.write(w.out, line{Event: "offline", Message: "there is no network: tokens cannot be renewed until there is one"})
	}
	return w.write(w.out, line{Event: "online", Message: "there is a network again: tokens are renewed"})
}

func (w *watcher) isLocked(ref sink.Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.locked[ref]
}

// poke leaves a message that need not be left twice.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// look prints what has changed since the last look. A login that was not there
// is called by the name fresh.
func (w *watcher) look(ctx context.Context, fresh string) error {
	w.folders.Follow()
	if err := w.showNetwork(); err != nil {
		return err
	}
	gone, err := w.read(fresh)
	if err != nil || len(gone) == 0 {
		return err
	}
	// Signed out, or another program that writes the file dropped what is ours.
	if err := w.k.RestoreMissing(ctx); err != nil {
		w.k.Log.Debug("asking the keychain about logins that vanished", "err", setup.OneLine(err))
		return nil // it is asked again
	}
	if gone, err = w.read(fresh); err != nil {
		return err
	}
	for _, ref := range gone {
		delete(w.seen, ref)
		if err := w.write(w.out, line{Event: "removed", Agent: ref.Agent, Profile: ref.ID, Message: "signed out"}); err != nil {
			return err
		}
	}
	return nil
}

// read shows the logins that the profile files have, and returns those seen
// before that they have no more.
func (w *watcher) read(fresh string) (gone []sink.Ref, err error) {
	there := map[sink.Ref]bool{}
	unreadable := map[string]bool{}
	for _, agent := range w.k.Store.Agents() {
		for p, err := range w.k.Store.Profiles(agent) {
			if err != nil {
				unreadable[agent] = !errors.Is(err, sink.ErrMirrorMissing)
				break
			}
			there[p.Ref] = true
			if err := w.show(p, fresh); err != nil {
				return nil, err
			}
		}
	}
	for ref := range w.seen {
		if !there[ref] && !unreadable[ref.Agent] {
			gone = append(gone, ref)
		}
	}
	return gone, nil
}

// show prints a login if it is not as it was.
func (w *watcher) show(p sink.Profile, fresh string) error {
	if w.isLocked(p.Ref) && p.State != sink.StateNeedsLogin && p.State != sink.StatePendingSave {
		p.State = keeper.StateKeychainLocked
	}
	c := keeper.ConditionOf(p, time.Now())
	now := shown{p.Generation, c.Word, p.Reason}
	was, known := w.seen[p.Ref]
	if known && was == now {
		return nil
	}
	w.seen[p.Ref] = now
	l := line{
		Agent: p.Agent, Profile: p.ID, Provider: p.Provider, State: c.Word, Reason: p.Reason,
		Message: c.Sentence, Hint: c.Command,
	}
	if !p.Expires.IsZero() {
		l.ExpiresAt = p.Expires.UnixMilli()
	}
	switch {
	case !known:
		l.Event = fresh
	case was.generation != now.generation:
		l.Event = "refreshed"
	case c.Word == "ok":
		l.Event = "state"
	default:
		l.Event = c.Word
	}
	return w.write(w.out, l)
}

// line is one thing that happened.
type line struct {
	SchemaVersion int       `json:"schemaVersion"`
	Time          time.Time `json:"time"`
	Event         string    `json:"event"`
	Agent         string    `json:"agent,omitempty"`
	Profile       string    `json:"profile,omitempty"`
	Provider      string    `json:"provider,omitempty"`
	State         string    `json:"state,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	Message       string    `json:"message,omitempty"`
	// Hint is the command that helps.
	Hint      string `json:"hint,omitempty"`
	ExpiresAt int64  `json:"expiresAt,omitempty"`
}

func writeLineJSON(w io.Writer, l line) error {
	l.SchemaVersion, l.Time = 1, time.Now().UTC().Truncate(time.Millisecond)
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return said(err)
}

func writeLine(w io.Writer, l line) error {
	text := time.Now().Format(time.TimeOnly)
	if l.Profile != "" {
		text += "  " + l.Profile
		if l.Agent != sink.DefaultAgent {
			text += " of agent " + l.Agent
		}
		if l.Event == "refreshed" || l.Event == "added" {
			text += "  " + l.Event
		}
		if l.State != "" {
			text += "  " + l.State
		}
		text += ":"
	}
	text += " " + l.Message
	if l.Hint != "" {
		text += "; " + l.Hint
	}
	_, err := fmt.Fprintln(w, plain.Text(text))
	return said(err)
}

// said is the end of a watcher that nobody listens to any more.
func said(err error) error {
	if err != nil {
		return fmt.Errorf("printing what happened: %w", err)
	}
	return nil
}
