package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/keytray/keytray/keeper"
)

var (
	// ErrLeft means that a worker goes on by itself, in a session of its own: it
	// holds what nobody else has yet. What becomes of it shows in the profile
	// file.
	ErrLeft = errors.New("the operation goes on by itself")
	// ErrHung means that a worker did not end in time and was killed; nothing was
	// at stake.
	ErrHung = errors.New("the operation hung and was ended")
	// ErrMute means that a worker ended without a result.
	ErrMute = errors.New("the operation ended without a result")
)

// FailureError is what a worker reported.
type FailureError struct{ Failure }

func (e *FailureError) Error() string { return e.Message }

const (
	// flightLimit is how long an operation may take.
	flightLimit = 120 * time.Second
	// farewell is how long the work is waited for when this process ends.
	farewell = 25 * time.Second
	// obituary is how long after a kill the pipe may stay open.
	obituary = 5 * time.Second
)

// Child starts workers: processes that do one operation each.
type Child struct {
	// Path is the program, on Linux /proc/self/exe, so that an update of the file
	// does no harm. Args are all of its arguments, from its name on.
	Path string
	Args []string
	// Stderr is where its log goes; nil is nowhere.
	Stderr *os.File
	// Limit is how long an operation may take; 0 means 120 s. A person who signs
	// in has the time that the login itself gives.
	Limit time.Duration
}

// Do starts a worker, asks it for r and returns when it is done. Each of its
// events is told in this goroutine; commands, which may be nil, go to it. The
// error of the operation is a [*FailureError].
//
// When ctx ends the worker is asked to stop, which it does where nothing is at
// stake, and after 25 s it is left to itself: ErrLeft. One that takes too long is
// asked and then killed (ErrHung), but only before it has announced that it
// sends the refresh token, or after the answer is safe; in between it is left.
func (c Child) Do(ctx context.Context, r Request, commands <-chan Command, tell func(Event)) error {
	f, err := c.start(r)
	if err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	defer f.leave()
	return f.watch(ctx, commands, tell)
}

// Leave starts a worker, asks it for r, and leaves it to itself: what comes of it
// shows in files.
func (c Child) Leave(r Request) error {
	f, err := c.start(r)
	if err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	f.leave()
	return nil
}

// flight is a running worker, seen from its parent.
type flight struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	limit  time.Duration
	events chan Event
	// left is closed when nobody listens any more.
	left chan struct{}
	// ended has the result of Wait after the last event.
	ended chan error

	person  bool // signs in
	atStake bool
	hung    bool
	last    Event
}

func (c Child) start(r Request) (*flight, error) {
	cmd := &exec.Cmd{Path: c.Path, Args: c.Args, SysProcAttr: ownSession()}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &flight{cmd: cmd, stdin: stdin, limit: c.Limit, events: make(chan Event), left: make(chan struct{}), ended: make(chan error, 1)}
	if f.limit == 0 {
		f.limit = flightLimit
	}
	go f.listen(stdout) // ends with the worker
	f.write(r)
	return f, nil
}

// listen hands on the worker's events, and buries it when it has ended.
func (f *flight) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(make([]byte, 0, 4096), lineLimit)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // not one of ours; the result is still to come
		}
		select {
		case f.events <- e:
		case <-f.left:
		}
	}
	_, _ = io.Copy(io.Discard, stdout) // after a line that is too long: it must not block
	f.ended <- f.cmd.Wait()
	close(f.events)
}

// write sends a line. A worker that has ended says so by the end of its events.
func (f *flight) write(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("worker: encoding a request: " + err.Error())
	}
	_, _ = f.stdin.Write(append(b, '\n'))
}

// leave lets the worker go on without us, if it still runs.
func (f *flight) leave() {
	close(f.left)
	_ = f.stdin.Close() // nothing that could fail
}

func (f *flight) watch(ctx context.Context, commands <-chan Command, tell func(Event)) error {
	limit := time.NewTimer(f.limit)
	defer limit.Stop()
	quit := ctx.Done()
	var gone, last <-chan time.Time
	for {
		select {
		case e, ok := <-f.events:
			if !ok {
				return f.result(<-f.ended)
			}
			f.note(e, limit)
			if tell != nil {
				tell(e)
			}
		case c, ok := <-commands:
			if !ok {
				commands = nil
				continue
			}
			f.write(c)
		case <-quit:
			quit = nil
			f.write(Command{"cancel"})
			gone = time.After(farewell)
		case <-gone:
			if f.hung {
				return ErrHung
			}
			return ErrLeft
		case <-limit.C:
			if f.atStake {
				return ErrLeft
			}
			f.write(Command{"cancel"})
			f.hung = true
			last = time.After(2 * lastGrace)
		case <-last:
			if f.atStake {
				return ErrLeft
			}
			end(f.cmd)
			gone = time.After(obituary)
		}
	}
}

// note keeps what an event says about the risk of killing its sender.
func (f *flight) note(e Event, limit *time.Timer) {
	switch e.Event {
	case "url", "code": // a person is on the way, as long as it takes
		f.person = true
		limit.Stop()
	case "asking":
		limit.Stop()
	case "answered", "copied":
		limit.Reset(f.limit)
	case string(keeper.StepSending), string(keeper.StepReceived):
		f.atStake = true
		if f.person {
			limit.Reset(f.limit)
		}
	case string(keeper.StepJournalled), "committed":
		f.atStake = false
	case "done", "error":
		f.atStake, f.last = false, e
	}
}

// result is what became of a worker that has ended.
func (f *flight) result(waitErr error) error {
	switch {
	case f.last.Event == "done":
		return nil
	case f.hung:
		return ErrHung
	case f.last.Event == "error" && f.last.Failure != nil:
		return &FailureError{*f.last.Failure}
	case waitErr != nil:
		return fmt.Errorf("%w: %w", ErrMute, waitErr)
	default:
		return ErrMute
	}
}
