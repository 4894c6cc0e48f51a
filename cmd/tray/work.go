package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

// waiting is a sign-in whose worker waits for a person.
type waiting struct {
	ref      sink.Ref
	code     bool   // is entered on the page
	url      string // of its page; not for logs
	manual   string
	then     *view.Action // a sign-in that the person wants instead
	commands chan worker.Command
}

// command reaches the worker, unless it has not followed the last ones yet.
func (x *waiting) command(cmd string) {
	select {
	case x.commands <- worker.Command{Cmd: cmd}:
	default:
	}
}

// do is an act of the person.
func (t *tray) do(a view.Action) {
	switch a.Verb {
	case view.DoLogin, view.DoCode:
		t.login(a)
	case view.DoPage, view.DoPaste, view.DoCancel:
		if x := t.waiting[a.Service]; x != nil {
			t.help(a, x)
		}
	case view.DoSetupToken:
		t.add(keeper.SetupToken, a)
	case view.DoAPIKey:
		t.add(keeper.APIKey, a)
	case view.DoRefresh:
		t.busy(a.Ref, worker.Request{Do: "refresh", Agent: a.Ref.Agent, Profile: a.Ref.ID}, a)
	case view.DoFirst, view.DoCopy:
		t.ask(worker.Request{Do: string(a.Verb), Agent: a.Ref.Agent, Profile: a.Ref.ID}, a)
	case view.DoRemove:
		t.ask(worker.Request{Do: "logout", Agent: a.Ref.Agent, Profile: a.Ref.ID, Confirm: true, Say: t.say(a)}, a)
	case view.DoUnlock:
		t.ask(worker.Request{Do: "unlock"}, a)
	case view.DoDiagnose:
		t.ask(worker.Request{Do: "terminal"}, a)
	case view.DoLog:
		t.shell.open(t.shell.logFile, func(err error) { t.post(func() { t.failed(a, err) }) })
	case view.DoNotify, view.DoEvery, view.DoPause, view.DoAutostart:
		t.set(a.Verb)
	case view.DoQuit:
		t.shell.quit()
	}
}

// say is what a worker's dialog says, in the person's language.
func (t *tray) say(a view.Action) worker.Say {
	d := t.words.Dialog(t.state, a)
	return worker.Say{Title: d.Title, Text: d.Text, OK: d.Button, Other: d.Other}
}

// set turns a setting over.
func (t *tray) set(which view.Verb) {
	m := t.memory
	switch which {
	case view.DoNotify:
		m.quiet = !m.quiet
	case view.DoEvery:
		m.every = !m.every
	case view.DoPause:
		m.paused = !m.paused
	case view.DoAutostart:
		if err := t.shell.autostart.Set(!t.state.Settings.Autostart); err != nil {
			t.failed(view.Action{Verb: which}, err)
		}
	}
	t.remember()
	t.settings()
	t.stale = true // so that keeping begins or ends
}

// settings shows what is set.
func (t *tray) settings() {
	on, err := t.shell.autostart.Enabled()
	if err != nil {
		t.log.Warn("reading whether the tray starts at login", "err", err)
	}
	t.state.Settings = view.Settings{Quiet: t.memory.quiet, Every: t.memory.every, Paused: t.memory.paused, Autostart: on}
}

// login begins a sign-in, or brings back the one that waits. A provider without
// a browser login has one with a code.
func (t *tray) login(a view.Action) {
	if p, ok := t.keeper.Providers.Find(a.Service); ok && !p.Browser() {
		a.Verb = view.DoCode
	}
	code := a.Verb == view.DoCode
	if x := t.waiting[a.Service]; x != nil {
		if x.ref != a.Ref || x.code != code { // of another login of this provider, or in another way
			x.then = &a
			x.command("cancel")
			return
		}
		t.help(view.Action{Verb: view.DoPage, Service: a.Service}, x)
		return
	}
	x := &waiting{ref: a.Ref, code: code, commands: make(chan worker.Command, 4)}
	t.waiting[a.Service] = x
	t.showWaiting()
	r := worker.Request{Do: "login", Provider: a.Service, Agent: a.Ref.Agent, Profile: a.Ref.ID, Code: code, Person: true, Say: t.say(a)}
	t.fly(r, x.commands, func(e worker.Event) { t.loginEvent(a, x, e) }, func(err error) {
		delete(t.waiting, a.Service)
		t.showWaiting()
		t.met(err)
		if code && noDialog(err) {
			r.Do, r.Person = "terminal", false
			t.ask(r, a)
			return
		}
		if err != nil && !quiet(err) {
			t.tell(t.words.SignInFailedWith(t.state, a.Service, why(err), a))
		}
		if x.then != nil {
			t.login(*x.then)
		}
	})
}

// loginEvent follows a sign-in.
func (t *tray) loginEvent(a view.Action, x *waiting, e worker.Event) {
	switch e.Event {
	case "url":
		x.url, x.manual = e.URL, e.Manual
		t.showWaiting()
		t.help(view.Action{Verb: view.DoPage, Service: a.Service}, x)
		if e.Manual != "" { // the browser cannot come back, so that only this helps
			x.command("paste")
		}
	case "code":
		x.url = cmp.Or(e.Complete, e.URL)
		t.showWaiting()
	case "open":
		t.shell.open(e.URL, func(err error) { t.post(func() { t.failed(a, err) }) })
	case "refused":
		t.log.Info("nothing could be pasted, or it was no good", "provider", a.Service, "why", e.Message)
		if e.Code != "cancelled" {
			t.tell(t.words.FailedWith(view.Action{Verb: view.DoPaste, Service: a.Service}, why(&worker.FailureError{Failure: *e.Failure})))
		}
	case "done":
		if e.Profile != nil {
			p, err := t.keeper.Store.Profile(sink.Ref{Agent: e.Profile.Agent, ID: e.Profile.ID})
			if err == nil {
				t.tell(t.words.SignedInAs(t.state, a.Service, view.Name(p)))
			}
		}
	}
}

// help is what a person can do for a sign-in that waits.
func (t *tray) help(a view.Action, x *waiting) {
	switch a.Verb {
	case view.DoPaste:
		x.command("paste")
	case view.DoCancel:
		x.command("cancel")
	default:
		if x.url == "" {
			return // it is still on its way
		}
		t.shell.open(x.url, func(err error) {
			t.post(func() {
				t.log.Warn("the browser could not be opened", "err", err)
				t.withoutBrowser(a.Service, x)
			})
		})
	}
}

// withoutBrowser goes on where none can be opened: with a code if the provider
// has that, which any other browser takes.
func (t *tray) withoutBrowser(service string, x *waiting) {
	p, _ := t.keeper.Providers.Find(service)
	switch {
	case x.code:
		// The dialog says where to go.
	case p.Device() && t.waiting[service] == x:
		t.login(view.Action{Verb: view.DoCode, Service: service, Ref: x.ref})
	default:
		x.command("paste")
	}
}

func (t *tray) showWaiting() {
	t.state.Waiting = nil
	for _, v := range t.state.Services {
		if x := t.waiting[v.ID]; x != nil {
			t.state.Waiting = append(t.state.Waiting, view.Wait{Service: v.ID, Code: x.code, Manual: x.manual})
		}
	}
}

// add asks for a secret in a dialog; where none can be shown, in a terminal.
func (t *tray) add(kind keeper.Pasted, a view.Action) {
	r := worker.Request{Do: "add", Provider: a.Service, Kind: kind, Agent: a.Ref.Agent, Profile: a.Ref.ID, Person: true, Say: t.say(a)}
	t.fly(r, nil, nil, func(err error) {
		t.met(err)
		if noDialog(err) {
			r.Do, r.Person = "terminal", false
			t.ask(r, a)
			return
		}
		t.failed(a, err)
	})
}

// noDialog reports whether a worker could show none.
func noDialog(err error) bool {
	f, ok := errors.AsType[*worker.FailureError](err)
	return ok && f.Code == "no_dialog"
}

// ask has a worker do what a person asked for.
func (t *tray) ask(r worker.Request, a view.Action) {
	r.Person = r.Do != "terminal" && r.Do != "first" // these need no keychain
	t.fly(r, nil, func(e worker.Event) {
		switch e.Event {
		case "copied":
			t.tell(t.words.CopiedNow(t.state, a))
		case "farewell":
			t.tell(t.words.Removed(t.state, a, e.Farewell))
		}
	}, func(err error) {
		if r.Person {
			t.met(err)
		}
		t.failed(a, err)
	})
}

// busy is ask for a login on which a worker shows that it works.
func (t *tray) busy(ref sink.Ref, r worker.Request, a view.Action) {
	if t.state.Working[ref] {
		return
	}
	r.Person = true
	t.working(ref, true)
	t.fly(r, nil, nil, func(err error) {
		t.working(ref, false)
		t.met(err)
		t.failed(a, err)
	})
}

func (t *tray) working(ref sink.Ref, on bool) {
	if on {
		t.state.Working[ref] = true
	} else {
		delete(t.state.Working, ref)
		t.stale = true
	}
}

// failed tells a person that what they asked for did not work.
func (t *tray) failed(a view.Action, err error) {
	if err == nil || quiet(err) {
		return
	}
	t.log.Warn("what was asked for did not work", "what", string(a.Verb), "profile", a.Ref.ID, "err", err)
	t.tell(t.words.FailedWith(a, why(err)))
}

// fly starts a worker. Its events and its end are told in the tray's own
// goroutine.
func (t *tray) fly(r worker.Request, commands <-chan worker.Command, tell func(worker.Event), landed func(error)) {
	if t.ctx.Err() != nil {
		return
	}
	t.flying++
	t.flights.Go(func() {
		err := t.child.Do(t.ctx, r, commands, func(e worker.Event) {
			if tell != nil {
				t.post(func() { tell(e) })
			}
		})
		t.post(func() {
			t.flying--
			landed(err)
		})
	})
}

// met notes what a worker's end says of the keychain.
func (t *tray) met(err error) {
	switch f, ok := errors.AsType[*worker.FailureError](err); {
	case err == nil:
		t.state.Keychain = view.Usable
	case ok && f.Code == string(keeper.StateKeychainLocked):
		t.state.Keychain = view.Locked
	case ok && f.Exit == setup.ExitKeychain:
		t.state.Keychain = view.Absent
	case ok:
		// It failed for another reason, which says nothing of the keychain.
	}
}

// quiet are the ends that a person need not be told of: they wanted it, or it is
// none yet.
func quiet(err error) bool {
	f, ok := errors.AsType[*worker.FailureError](err)
	return ok && f.Code == "cancelled" || errors.Is(err, context.Canceled) || errors.Is(err, worker.ErrLeft)
}

// why is an error as a bubble says it.
func why(err error) string {
	text := err.Error()
	if f, ok := errors.AsType[*worker.FailureError](err); ok && f.Hint != "" {
		text += " – " + f.Hint
	}
	return plain.Line(text, 300)
}

// keep keeps the tokens fresh, unless the person paused that or another process
// does it.
func (t *tray) keep() {
	switch {
	case t.memory.paused:
		t.stopKeeping()
		return
	case t.keeping != nil:
		return
	}
	release, taken, err := t.keeper.Store.Seat(t.ctx)
	if err != nil || !taken {
		if err != nil {
			t.log.Debug("the seat could not be taken", "err", err)
		}
		return
	}
	ctx, stop := context.WithCancel(t.ctx)
	done := make(chan struct{})
	t.flights.Go(func() {
		defer close(done)
		defer release()
		_ = t.keeper.Run(ctx, keeper.Schedule{Do: t.renew, Wake: t.wake})
	})
	t.keeping = func() { stop(); t.until(done) }
	t.log.Info("this process keeps the tokens fresh")
}

// stopKeeping ends the keeping, after what is under way.
func (t *tray) stopKeeping() {
	if t.keeping != nil {
		t.keeping()
		t.keeping = nil
	}
}

// until goes on with the tray's own work until done is closed.
func (t *tray) until(done <-chan struct{}) {
	for {
		select {
		case f := <-t.posts:
			f()
		case <-done:
			return
		}
	}
}

// renew does in a worker what is due for a login. It is called by the keeper's
// goroutines.
func (t *tray) renew(ctx context.Context, ref sink.Ref) error {
	t.post(func() { t.working(ref, true) })
	before, _ := t.keeper.Store.Profile(ref)
	err := t.child.Do(ctx, worker.Request{Do: "renew", Agent: ref.Agent, Profile: ref.ID}, nil, nil)
	t.post(func() {
		t.working(ref, false)
		p, e := t.keeper.Store.Profile(ref)
		renewed := err == nil && e == nil && p.Generation > before.Generation
		if err != nil || renewed { // else it did not come to the keychain
			t.met(err)
		}
		if renewed {
			t.tell(t.words.Renewal(t.state, p, t.memory.told))
		}
	})
	return err
}

// restore has the files compared with the keychain, and what they lack written
// anew: the loop goes by the files.
func (t *tray) restore() {
	if t.restoring || time.Since(t.restored) < restoreRest {
		return
	}
	t.restoring, t.restored, t.vanished = true, time.Now(), false
	t.fly(worker.Request{Do: "restore"}, nil, nil, func(err error) {
		t.restoring = false
		t.met(err)
		t.stale = true
		if err != nil {
			t.log.Warn("the keychain's logins could not be compared with the profile files", "err", err)
		}
	})
}

// probe looks again at a keychain that was not usable.
func (t *tray) probe() {
	if t.state.Keychain == view.Usable || t.probing || time.Since(t.probed) < probeRest {
		return
	}
	t.probing, t.probed = true, time.Now()
	t.fly(worker.Request{Do: "probe"}, nil, nil, func(err error) {
		t.probing = false
		t.met(err)
		if err == nil {
			t.restore()
		}
	})
}
