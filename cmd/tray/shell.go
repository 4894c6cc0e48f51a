package main

import (
	"context"
	"errors"
	"time"

	"github.com/pkg/browser"

	"github.com/keytray/keytray/cmd/tray/autostart"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/notify"
)

// errBusy is a desktop that does not keep up with what it is told.
var errBusy = errors.New("the notification server is slow")

// shell is what the tray shows itself on. It decides nothing.
type shell struct {
	words     *view.Words
	screen    *screen // nil where there is no place for an icon
	bell      *notify.Bell
	jobs      chan job // for the bell, in order
	closed    bool     // no more of them
	rung      chan struct{}
	autostart *autostart.Switch
	logFile   string
	quit      func()
	hush      func() // ends what is being shown
}

// job is a notice to show or, without one, a bubble to take back.
type job struct {
	notice   view.Notice
	withdraw string
	shown    func(error)
}

// draw shows the state. Again is when that has to be done again, 0 for never.
func (s *shell) draw(state view.State) (again time.Duration) {
	if s.screen == nil {
		return 0
	}
	s.screen.face(state.Icon(), s.words.Tooltip(state))
	return s.screen.draw(s.words.Menu(state))
}

// tell shows a notice; shown is called, in another goroutine, once it is known
// whether somebody could show it.
func (s *shell) tell(n view.Notice, shown func(error)) {
	if s.closed {
		return
	}
	select {
	case s.jobs <- job{notice: n, shown: shown}:
	default:
		go shown(errBusy) // ends at once
	}
}

// withdraw takes a bubble back, if it is still there.
func (s *shell) withdraw(bubble string) {
	if s.closed {
		return
	}
	select {
	case s.jobs <- job{withdraw: bubble}:
	default:
	}
}

// close lets the notices that wait be shown, for a while; rung is closed then.
func (s *shell) close() (rung <-chan struct{}) {
	s.closed = true
	close(s.jobs)
	time.AfterFunc(telling, s.hush)
	return s.rung
}

// ring shows notices until jobs is closed.
func (s *shell) ring(ctx context.Context) {
	defer close(s.rung)
	for j := range s.jobs {
		if j.withdraw != "" {
			s.bell.Withdraw(ctx, j.withdraw)
			continue
		}
		j.shown(s.bell.Send(ctx, bubble(j.notice)))
	}
}

// bubble is a notice as the desktop shows it.
func bubble(n view.Notice) notify.Notice {
	b := notify.Notice{Cause: n.Bubble, Title: n.Title, Body: n.Body}
	switch {
	case n.Low:
		b.Urgency = notify.Low
	case n.Critical:
		b.Urgency = notify.Critical
	}
	for _, x := range n.Buttons {
		b.Actions = append(b.Actions, notify.Action{ID: buttonID(x), Label: x.Label})
	}
	if len(b.Actions) > 0 {
		b.Click = notify.Action{ID: b.Actions[0].ID} // without a label, or some draw it as another button
	}
	return b
}

// buttonID names a button among those of its bubble.
func buttonID(b view.Button) string {
	if b.Does.Verb == "" {
		return "later"
	}
	return string(b.Does.Verb)
}

// open shows a page or a file in the program that the person has for it. It does
// not wait for that program: some live as long as their window does. What they
// print is dropped.
func (s *shell) open(what string, failed func(error)) {
	go func() { // ends with the opener or with the process
		if err := browser.OpenURL(what); err != nil {
			failed(err)
		}
	}()
}
