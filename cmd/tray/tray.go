package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

const (
	// longestRest is how long the tray looks at nothing at all.
	longestRest = time.Minute
	// restoreRest lies between two comparisons of the files with the keychain.
	restoreRest = 30 * time.Second
	// probeRest lies between two looks at a keychain that was not usable.
	probeRest = time.Minute
	// tellRest is how long a notice that nobody could show waits for another try.
	tellRest = 10 * time.Minute
)

// tray is the resident program. It holds no secret and opens neither the
// keychain nor the network: whatever needs one of them is done by a worker, a
// child process. One goroutine, that of [tray.run], owns all fields below posts;
// others post it a function.
type tray struct {
	world  *setup.World
	keeper *keeper.Keeper // of a store without a keychain
	child  worker.Child
	words  *view.Words
	log    *slog.Logger
	shell  *shell
	posts  chan func()

	ctx     context.Context //nolint:containedctx // that of run, for the work that clicks start
	flights sync.WaitGroup  // workers and what else must end before the tray does
	files   *setup.Files
	memory  *memory
	state   view.State
	waiting map[string]*waiting
	buttons map[string]map[string]view.Action // by bubble and button
	causes  map[string]string                 // by bubble
	anew    func()                            // starts the program anew, where the system lets it
	wake    chan struct{}                     // has the keeper look at the files; holds one
	keeping func()                            // ends the keeping of tokens; nil while somebody else does it
	reloads *setup.Reloads                    // tells OpenClaw of renewals
	// supplies keeps files of other programs current, by workers.
	supplies *setup.Supplies
	// known are the logins seen so far; one that vanishes may have to be restored.
	known map[sink.Ref]bool
	// unheard is when a notice found nobody to show it.
	unheard            map[string]time.Time
	flying             int // workers under way, but for those of the keeper
	restored, probed   time.Time
	vanished           bool
	restoring, probing bool
	stale              bool // the files have to be read again
	first              view.Notice
	redraw             time.Duration // when the menu has to be drawn again
}

// post has f called by the tray's own goroutine.
func (t *tray) post(f func()) { t.posts <- f }

// run lives until ctx ends, and then until all work has: nothing new is started,
// and what is at stake is finished or left to its worker. Drawn is called once
// something is on the screen.
func (t *tray) run(ctx context.Context, drawn func()) {
	t.ctx = ctx
	t.stale = true
	t.show() //nolint:contextcheck // its context is the tray's
	drawn()
	t.restore()
	t.tell(t.first)
	rest := time.NewTimer(t.rest())
	defer rest.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case f := <-t.posts:
			f()
		case c := <-t.files.Changes():
			t.changed(c) //nolint:contextcheck // likewise
		case <-rest.C:
			t.stale = t.stale || t.redraw == 0
		}
		t.show() //nolint:contextcheck // likewise
		rest.Reset(t.rest())
	}
	t.drain()
}

// drain waits for the work that is under way.
func (t *tray) drain() {
	t.stopKeeping()
	rested := make(chan struct{})
	go func() { // ends with the work
		t.flights.Wait()
		t.reloads.Wait()
		t.supplies.Wait()
		close(rested)
	}()
	for {
		select {
		case f := <-t.posts:
			f()
		case <-rested:
			return
		}
	}
}

func (t *tray) changed(c setup.Change) {
	if c.Providers {
		t.reload()
	}
	t.stale = true
}

// reload reads the providers anew.
func (t *tray) reload() {
	root, err := t.world.Root()
	if err != nil || root.Dir != t.keeper.Store.Dir() {
		t.log.Warn("the providers are not read anew", "err", err)
		return
	}
	k, err := t.world.Keeper(root, noKeychain{})
	if err != nil {
		t.log.Warn("reading the providers", "err", err)
		return
	}
	t.stopKeeping()
	t.keeper.Providers = k.Providers
	t.state.Services = services(k.Providers)
	t.keep()
}

// services are the providers as the menu offers them.
func services(c provider.Catalog) []view.Service {
	var all []view.Service
	for _, p := range c {
		all = append(all, view.Service{ID: p.ID, Name: plain.Line(p.Name, 40), Browser: p.Browser(), Code: p.Device(), SetupToken: p.SetupToken != nil, APIKey: p.APIKey != nil})
	}
	return all
}

// rest is how long nothing can happen by itself.
func (t *tray) rest() time.Duration {
	if t.redraw > 0 {
		return t.redraw
	}
	rest := longestRest
	if at := t.state.Changes(); !at.IsZero() {
		rest = min(rest, time.Until(at))
	}
	return max(rest, time.Second)
}

// show reads what has changed, draws it, and tells of what is new.
func (t *tray) show() {
	t.state.Now = time.Now()
	if t.stale {
		t.read()
		t.keep()
		if t.keeping != nil {
			t.reloads.Look(t.ctx)
			t.supplies.Look(t.ctx)
		}
		t.probe()
		if t.vanished {
			t.restore()
		}
	}
	t.redraw = t.shell.draw(t.state)
	t.notices()
}

// read reads the profile files.
func (t *tray) read() {
	t.stale = false
	t.files.Follow()
	t.followRoot()
	var all []sink.Profile
	var trouble error
	complete := true
	for _, agent := range t.keeper.Store.Agents() {
		logins, err := t.keeper.Store.InOrder(agent)
		if err != nil {
			complete = false
			if !errors.Is(err, sink.ErrMirrorMissing) {
				trouble = errors.Join(trouble, err)
			}
		}
		all = append(all, logins...)
	}
	poke(t.wake)
	t.state.Profiles, t.state.First, t.state.Trouble = all, t.firsts(all), ""
	if trouble != nil {
		t.state.Trouble = setup.OneLine(trouble)
	}
	t.compare(complete)
}

// followRoot starts anew in another state root, where workers work from now on:
// OpenClaw has come, or no longer keeps its logins in files.
func (t *tray) followRoot() {
	root, err := t.world.Root()
	if err == nil && root.Dir != t.keeper.Store.Dir() && t.free() {
		t.log.Info("the state folder is another one now; starting anew", "why", root.Notice)
		t.anew()
	}
}

// free reports whether no worker is under way, a sign-in that waits for its
// person included.
func (t *tray) free() bool { return t.flying == 0 && len(t.state.Working) == 0 }

// firsts are the logins that stand first in a stored order.
func (t *tray) firsts(all []sink.Profile) map[sink.Ref]bool {
	type group struct{ agent, provider string }
	firsts := map[sink.Ref]bool{}
	asked := map[group]bool{}
	for _, p := range all {
		g := group{p.Agent, p.Provider}
		if asked[g] {
			continue
		}
		asked[g] = true
		if ids, err := t.keeper.Store.Order(p.Agent, p.Provider); err == nil && len(ids) > 0 {
			firsts[sink.Ref{Agent: p.Agent, ID: ids[0]}] = true
		}
	}
	return firsts
}

// compare notes which logins fail, and has the keychain asked about those that
// are not in the files any more.
func (t *tray) compare(complete bool) {
	there := map[sink.Ref]bool{}
	failing := map[sink.Ref]time.Time{}
	for _, p := range t.state.Profiles {
		there[p.Ref] = true
		if p.State == sink.StateRetrying {
			failing[p.Ref] = t.state.Now
			if since := t.state.Failing[p.Ref]; !since.IsZero() {
				failing[p.Ref] = since
			}
		}
	}
	t.state.Failing = failing
	for ref := range t.known {
		if !there[ref] {
			t.shell.withdraw(view.Bubble(ref))
			t.vanished = true
		}
	}
	t.known = there
	if complete && t.memory.told.Forget(t.state) {
		t.remember()
	}
}

// remember keeps the memory; a disk that does not take it is met again.
func (t *tray) remember() {
	if err := t.memory.keep(); err != nil {
		t.log.Warn("the settings are kept in memory only", "err", err)
	}
}

// notices tells of what needs a person, once.
func (t *tray) notices() {
	about := map[string]bool{}
	for _, n := range t.words.Notices(t.state) {
		about[n.Bubble] = true
		t.tell(n)
	}
	for bubble := range t.buttons {
		if view.AboutLogin(bubble) && !about[bubble] {
			delete(t.buttons, bubble)
			t.shell.withdraw(bubble)
		}
	}
}

// tell gives a notice, unless the person was told of its cause before.
func (t *tray) tell(n view.Notice) {
	at, again := t.unheard[n.Cause]
	switch {
	case t.memory.quiet, n.Bubble == "", t.memory.told[n.Cause], again && time.Since(at) < tellRest:
		return
	case n.Cause != "":
		t.memory.told[n.Cause] = true // before it is shown, so that it is not told twice
	}
	actions := map[string]view.Action{}
	for _, b := range n.Buttons {
		actions[buttonID(b)] = b.Does
	}
	t.buttons[n.Bubble] = actions
	t.causes[n.Bubble] = n.Cause
	if !again {
		t.log.Info("notice", "title", n.Title, "body", n.Body)
	}
	t.shell.tell(n, func(err error) { t.post(func() { t.told(n, err) }) })
}

// told remembers a notice that was shown; one that nobody could show is for
// another time.
func (t *tray) told(n view.Notice, err error) {
	switch {
	case n.Cause == "":
	case err == nil:
		delete(t.unheard, n.Cause)
		t.remember()
	default:
		delete(t.memory.told, n.Cause)
		t.unheard[n.Cause] = time.Now()
		t.remember() // another one may have kept it
	}
	if err != nil {
		t.log.Debug("a notice was not shown", "err", err)
	}
}

// farewell takes back the bubbles whose buttons nobody would hear, for the next
// start to tell again, and waits for the last notices to be shown. Run has ended.
func (t *tray) farewell(again bool) {
	for bubble, cause := range t.causes {
		if again && view.AboutLogin(bubble) && t.buttons[bubble] != nil {
			t.shell.withdraw(bubble)
			delete(t.memory.told, cause)
		}
	}
	if again {
		t.remember()
	}
	t.until(t.shell.close())
	for len(t.posts) > 0 {
		(<-t.posts)()
	}
}

// pressed does what a button of a bubble offers.
func (t *tray) pressed(bubble, button string) {
	t.do(t.buttons[bubble][button])
}

// poke leaves a message that need not be left twice.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
