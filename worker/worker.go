// Package worker does one operation of the keeper in a process of its own, for a
// program that owns neither keychain nor network: the tray. It has both ends of
// the pipes between the two: [Child] starts a worker, asks it and follows it;
// [Worker] is what runs in there.
//
// A hung keychain call dies with its process, and a tray that is killed takes no
// login with it. No secret passes through the pipes, in either direction: where a
// person has to paste one or wants one in the clipboard, the worker meets them at
// a [Desk] of its own.
package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// Desk is where a worker meets the person.
type Desk interface {
	// Ask shows a dialog with a hidden entry, and Confirm one with a question, to
	// which nil is a yes; ok is the button that says so.
	Ask(ctx context.Context, title, text string) (secret.Text, error)
	Confirm(ctx context.Context, title, text, ok string) error
	// Offer shows a text with two buttons, besides one that dismisses it, and
	// returns which of them was pressed, 0 or 1.
	Offer(ctx context.Context, title, text, first, second string) (int, error)
	// Copy holds the clipboard for a while, and calls held when it has it.
	Copy(ctx context.Context, text secret.Text, during time.Duration, held func()) error
}

// ErrNoDesk means that a worker that has no [Desk] was asked for something that
// needs one.
var ErrNoDesk = errors.New("there is no dialog to ask in")

// Worker does one operation for another process, which owns neither keychain nor
// network: the tray. Keeper and Explain are required.
type Worker struct {
	Keeper *keeper.Keeper
	// Explain says what an error means to people.
	Explain func(error) Failure
	// Desk is nil where there is no person to meet.
	Desk Desk
	// Unlock asks the person to unlock the keychain, if it is locked; Terminal
	// opens a window with a keytray command. Both may be nil.
	Unlock   func(context.Context) error
	Terminal func(args ...string) error
	// Sync writes the files that are kept current and are due; it may be nil. It is
	// asked for by name, and after whatever a person changed.
	Sync func(context.Context) error
}

const (
	// lastGrace is how long an operation has to end after it was cancelled and
	// before it is left hanging, if nothing has been sent.
	lastGrace = 2 * time.Second
	// clipboardTime is how long a token stays in the clipboard.
	clipboardTime = 30 * time.Second
)

// Serve reads a [Request] and does it, while it follows the [Command] lines that
// come after it, and writes an [Event] line for each step. It returns the
// operation's error, after it was written.
//
// The end of in is no reason to stop, nor is a reader of out that has gone: a
// worker finishes what it began. A cancelled operation that does not end is
// abandoned only if nothing has been sent, and then nothing will be: the caller
// is expected to end the process.
func (w Worker) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	j := &job{w: w, out: out, moved: make(chan struct{}, 1), pastes: make(chan struct{}, 1)}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), lineLimit)
	r, err := readRequest(lines)
	if err != nil {
		j.fail(err)
		return err
	}
	j.tell(Event{Event: "started", PID: os.Getpid()})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go j.obey(lines, r.Do == "login" && !r.Code, cancel) // blocked in a read until the process ends
	finished := make(chan error, 1)
	go func() { finished <- j.do(ctx, r) }() // waited for, or abandoned with the process
	err = j.wait(ctx, finished)
	if err != nil {
		j.fail(err)
	}
	return err
}

// job is one operation of a worker.
type job struct {
	w     Worker
	moved chan struct{} // holds one: the operation has come further
	// pastes holds one: the person wants to paste.
	pastes chan struct{}

	mu      sync.Mutex // guards all below
	out     io.Writer
	sent    bool   // and so the process must not end before it is done
	over    bool   // nothing may be sent any more
	pasting bool   // a dialog for it is open, or will be
	manual  string // why the browser cannot come back by itself
}

// tell writes an event. One that nobody reads is no reason to stop.
func (j *job) tell(e Event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic("worker: encoding an event: " + err.Error())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = j.out.Write(append(b, '\n'))
}

func (j *job) fail(err error) {
	f := j.w.Explain(err)
	j.tell(Event{Event: "error", Failure: &f})
}

// refuse tells of what was no good, while the operation goes on.
func (j *job) refuse(err error) {
	f := j.w.Explain(err)
	j.tell(Event{Event: "refused", Failure: &f})
}

// obey follows commands.
func (j *job) obey(lines *bufio.Scanner, login bool, cancel func()) {
	for lines.Scan() {
		var c Command
		switch err := json.Unmarshal(lines.Bytes(), &c); {
		case err == nil && c.Cmd == "cancel":
			cancel()
		case err == nil && c.Cmd == "paste" && (j.w.Desk == nil || !login):
			j.refuse(ErrNoDesk)
		case err == nil && c.Cmd == "paste":
			j.paste()
		default:
			j.tell(Event{Event: "refused", Failure: &Failure{Code: "usage", Exit: 2, Message: "not a command"}})
		}
	}
}

// wait waits for the operation, beyond a cancellation as long as something is at
// stake.
func (j *job) wait(ctx context.Context, finished <-chan error) error {
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(lastGrace)
	defer grace.Stop()
	late := false
	for {
		select {
		case err := <-finished:
			return err
		case <-grace.C:
			late = true
		case <-j.moved:
		}
		if late && j.abandon() {
			return context.Cause(ctx)
		}
	}
}

// abandon makes sure that nothing will be sent, unless it has been.
func (j *job) abandon() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = !j.sent
	return j.over
}

// observe is the keeper's Observe. What it tells of sending is on the pipe
// before anything is sent.
func (j *job) observe(ctx context.Context, s keeper.Step) error {
	j.mu.Lock()
	if s == keeper.StepSending && !j.sent && (j.over || ctx.Err() != nil) {
		j.mu.Unlock()
		return context.Canceled
	}
	j.sent = true
	j.mu.Unlock()
	j.tell(Event{Event: string(s)})
	select {
	case j.moved <- struct{}{}:
	default:
	}
	return nil
}

// do is the operation and its good end.
func (j *job) do(ctx context.Context, r Request) error {
	k := *j.w.Keeper
	k.Observe = func(_ sink.Ref, s keeper.Step) error { return j.observe(ctx, s) }
	ref := sink.Ref{Agent: r.Agent, ID: r.Profile}
	before, _ := k.Store.Profile(ref) // the zero profile for one that is new
	after, err := j.operate(ctx, &k, r, ref)
	if err != nil {
		return err
	}
	if after.ID == "" {
		after, _ = k.Store.Profile(ref) // there is none after a logout
	}
	if after.Generation > before.Generation && after.State != sink.StatePendingSave {
		j.tell(Event{Event: "committed"})
	}
	done := Event{Event: "done"}
	if after.Generation > 0 {
		done.Profile = report(after, time.Now())
	}
	j.tell(done)
	if j.w.Sync != nil && slices.Contains([]string{"refresh", "login", "add", "logout"}, r.Do) {
		_ = j.w.Sync(ctx) // the operation is done, and the status tells of the files
	}
	return nil
}

// operate is one ordinary operation of the keeper. Those that make a profile
// return it.
func (j *job) operate(ctx context.Context, k *keeper.Keeper, r Request, ref sink.Ref) (sink.Profile, error) {
	if err := j.unlock(ctx, r); err != nil {
		return sink.Profile{}, err
	}
	switch {
	case r.Do == "unlock":
		return sink.Profile{}, k.Store.Probe(ctx)
	case r.Do == "sync" && j.w.Sync != nil:
		return sink.Profile{}, j.w.Sync(ctx)
	case r.Do == "terminal":
		return sink.Profile{}, j.terminal(r, ref)
	case r.Do == "login" && r.Code:
		return j.loginWithCode(ctx, k, r)
	case r.Do == "login":
		return j.login(ctx, k, r)
	case r.Do == "add":
		return j.add(ctx, k, r, ref)
	case r.Do == "probe":
		return sink.Profile{}, k.Store.Probe(ctx)
	case r.Do == "restore" && ref.ID == "":
		return sink.Profile{}, errors.Join(k.FinishImports(ctx), k.RestoreMissing(ctx))
	case ref.ID == "":
		return sink.Profile{}, fmt.Errorf("%w: no profile", ErrBadRequest)
	}
	switch r.Do {
	case "renew":
		return sink.Profile{}, k.Renew(ctx, ref)
	case "refresh":
		p, err := k.Store.Profile(ref)
		if err != nil {
			return p, err
		}
		t, err := k.Refresh(ctx, p)
		return t.Profile, err
	case "copy":
		return sink.Profile{}, j.copy(ctx, k, ref)
	case "first":
		return sink.Profile{}, k.Store.PutFirst(ctx, ref)
	case "logout":
		return sink.Profile{}, j.logout(ctx, k, r, ref)
	case "restore":
		return sink.Profile{}, k.Store.Restore(ctx, ref)
	default:
		return sink.Profile{}, fmt.Errorf("%w: it cannot do that", ErrBadRequest)
	}
}
