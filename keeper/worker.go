package keeper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// ErrBadRequest is a request that a worker does not understand.
var ErrBadRequest = errors.New("not a request to a worker")

// Step is a point in a renewal or sign-in that decides whether its process may
// be killed.
type Step string

const (
	// StepSending is right before the refresh token is spent.
	StepSending Step = "sending"
	// StepReceived is when a sign-in has its tokens, which are saved next.
	StepReceived Step = "received"
	// StepJournalled is when the answer lies in the journal, where the next
	// process finds it.
	StepJournalled Step = "journalled"
)

// step tells Observe. Only the error of StepSending means something.
func (k *Keeper) step(ref sink.Ref, s Step) error {
	if k.Observe == nil {
		return nil
	}
	return k.Observe(ref, s)
}

// Request is what a worker is asked to do: the first line that it reads.
type Request struct {
	// Do is one of:
	//
	//	renew    what is due, see [Keeper.Renew]
	//	refresh  renew now: a person wants it
	//	login    sign in through the browser, or with a code
	//	add      ask for a secret in a dialog, until it is a good one, and keep it
	//	copy     hold an access token in the clipboard for 30 s, or until cancel
	//	logout   remove the login
	//	first    put the login before others of its provider
	//	restore  the entry in the profile file; without a profile all that are missing,
	//	         after the end of imports that were killed
	//	probe    the keychain
	//	unlock   it, which asks the person
	//	sync     write the files that are kept current and are due
	//	terminal open a window with the command that does the same: doctor; with a
	//	         kind the one that asks for a secret
	Do string `json:"do"`
	// Agent empty means the default one.
	Agent string `json:"agent,omitempty"`
	// Profile is the id; login and add may go without.
	Profile string `json:"profile,omitempty"`
	// Provider is for login, add and terminal.
	Provider string `json:"provider,omitempty"`
	// Code has login show a code in a dialog, to be entered in a browser anywhere,
	// and terminal the command that does the same.
	Code bool `json:"code,omitempty"`
	// Kind is for add and terminal: setup-token, token or api_key.
	Kind Pasted `json:"kind,omitempty"`
	// Confirm lets logout ask the person first; a no is an error, cancelled.
	Confirm bool `json:"confirm,omitempty"`
	// Person says that a person waits for this: a keychain that is locked may ask
	// them to unlock it, before anything else.
	Person bool `json:"person,omitempty"`
	// Say is what a dialog of login, add and logout says, in the person's language;
	// empty parts are said in English.
	Say Say `json:"say,omitzero"`
}

// Say is the text of a dialog.
type Say struct {
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	OK    string `json:"ok,omitempty"`
	// Other is the second button, where there are two.
	Other string `json:"other,omitempty"`
}

// Command is a later line for a worker: cancel, or, during a login, paste, for
// which the worker shows a dialog of its own, since secrets never pass through
// the pipe. While that dialog is open a second paste does nothing.
type Command struct {
	Cmd string `json:"cmd"`
}

// Event is a line that a worker writes. The last one is done or error.
type Event struct {
	// Event is one of:
	//
	//	started    with pid
	//	url        the sign-in page waits, with url and perhaps manual
	//	code       a code waits to be entered, with userCode, url, perhaps complete,
	//	           and expiresAt
	//	open       the person wants to see a page, url
	//	asking     a dialog waits for the person, who takes the time they need
	//	answered   and they have answered it
	//	refused    a paste was no good, or a command cannot be followed; it goes on
	//	sending    a refresh token is about to be spent
	//	received   a login has its tokens, which are saved next
	//	journalled the answer is safe
	//	committed  and saved
	//	copied     the token is in the clipboard
	//	farewell   a login is gone from here; with farewell, and perhaps why the
	//	           provider does not know
	//	done, error
	Event string `json:"event"`
	// PID comes with started.
	PID int `json:"pid,omitempty"`
	// URL is the sign-in page. It is of use only in the browser of this person.
	URL string `json:"url,omitempty"`
	// UserCode comes with code: what is to be entered at URL, or is part of Complete
	// already, until ExpiresAt, in Unix milliseconds. It is for the person alone: in
	// no log and no notification.
	UserCode  string `json:"userCode,omitempty"`
	Complete  string `json:"complete,omitempty"`
	ExpiresAt int64  `json:"expiresAt,omitempty"`
	// Manual comes with url where the browser cannot come back by itself, and says
	// why: the person has to paste what it ends on.
	Manual string `json:"manual,omitempty"`
	// Farewell comes with farewell.
	Farewell Farewell `json:"farewell,omitempty"`
	// Profile comes with done where there is one.
	Profile *Report `json:"profile,omitempty"`
	// Failure comes with error and refused.
	*Failure
}

// Report is a login as programs are told of it.
type Report struct {
	Agent      string `json:"agent"`
	ID         string `json:"id"`
	Provider   string `json:"provider"`
	Email      string `json:"email,omitempty"`
	Plan       string `json:"plan,omitempty"`
	Generation uint64 `json:"generation"`
	// State, Message and Command are a [Condition].
	State   string `json:"state"`
	Message string `json:"message"`
	Command string `json:"command,omitempty"`
	// ExpiresAt is in Unix milliseconds, 0 where it is not known.
	ExpiresAt int64 `json:"expiresAt,omitempty"`
}

// Failure is an error as programs are told of it. It holds no secret.
type Failure struct {
	// Code is one word.
	Code string `json:"code"`
	// Exit is the exit code that the command has for it.
	Exit int `json:"exit"`
	// Reason is one word for why a login is gone, where it is.
	Reason string `json:"reason,omitempty"`
	// Message says it to a person, Hint what helps.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

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
	Keeper *Keeper
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
	// lineLimit is the length of the longest line on a worker's pipes, bytes.
	lineLimit = 64 << 10
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

func readRequest(lines *bufio.Scanner) (Request, error) {
	var r Request
	if !lines.Scan() {
		return r, ErrBadRequest
	}
	d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil {
		return r, ErrBadRequest // its text may quote the line
	}
	if r.Agent == "" {
		r.Agent = sink.DefaultAgent
	}
	if err := sink.CheckAgent(r.Agent); err != nil {
		return r, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return r, nil
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
		panic("keeper: encoding an event: " + err.Error())
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
func (j *job) observe(ctx context.Context, s Step) error {
	j.mu.Lock()
	if s == StepSending && !j.sent && (j.over || ctx.Err() != nil) {
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
	k.Observe = func(_ sink.Ref, s Step) error { return j.observe(ctx, s) }
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
		done.Profile = report(after, k.now().Wall)
	}
	j.tell(done)
	if j.w.Sync != nil && slices.Contains([]string{"refresh", "login", "add", "logout"}, r.Do) {
		_ = j.w.Sync(ctx) // the operation is done, and the status tells of the files
	}
	return nil
}

// operate is one ordinary operation of the keeper. Those that make a profile
// return it.
func (j *job) operate(ctx context.Context, k *Keeper, r Request, ref sink.Ref) (sink.Profile, error) {
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

func report(p sink.Profile, now time.Time) *Report {
	c := ConditionOf(p, now)
	r := &Report{
		Agent: p.Agent, ID: p.ID, Provider: p.Provider, Email: p.Account.Email, Plan: p.Account.Plan,
		Generation: p.Generation, State: c.Word, Message: c.Sentence, Command: c.Command,
	}
	if !p.Expires.IsZero() {
		r.ExpiresAt = p.Expires.UnixMilli()
	}
	return r
}
