//go:build !windows && !darwin

package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/keytray/keytray/secret"
)

// selectionLimit is the largest text that is handed over in one piece, well
// below the limit of every X server; tokens are far smaller.
const selectionLimit = 64 << 10

var errGone = errors.New("the display has gone")

// connectX connects to the X server that the environment names.
func (d Desk) connectX() (*xgb.Conn, error) {
	display := d.getenv("DISPLAY")
	if display == "" { // xgb would look for another
		return nil, errors.New("connecting to the display: DISPLAY is not set")
	}
	xgb.Logger.SetOutput(io.Discard) //nolint:forbidigo // it would write to our stderr
	c, err := xgb.NewConnDisplay(display)
	if err != nil {
		return nil, fmt.Errorf("connecting to the display: %w", err)
	}
	return c, nil
}

// copyX owns the CLIPBOARD selection, see ICCCM §2. The selection ends with our
// connection.
func (d Desk) copyX(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	if len(text.Reveal()) > selectionLimit {
		return errors.New("the text is too long for it")
	}
	c, err := d.connectX()
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := newSelection(c, text)
	if err != nil {
		return err
	}
	events := make(chan xgb.Event)
	gone := make(chan struct{})
	defer close(gone)
	go receive(c, events, gone) // ends with the connection
	since, err := s.own(ctx, events)
	if err != nil {
		return err
	}
	held()
	timer := time.NewTimer(during)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return errGone
			}
			switch e := e.(type) {
			case xproto.SelectionRequestEvent:
				s.answer(e, since)
			case xproto.SelectionClearEvent: // somebody else has it
				return nil
			}
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive hands on events until the connection ends. Errors are those of
// windows that have gone before they got their answer.
func receive(c *xgb.Conn, to chan<- xgb.Event, gone <-chan struct{}) {
	defer close(to)
	for {
		e, err := c.WaitForEvent()
		if e == nil && err == nil {
			return
		}
		if e == nil {
			continue
		}
		select {
		case to <- e:
		case <-gone:
			return
		}
	}
}

// selection is a text in the clipboard.
type selection struct {
	c      *xgb.Conn
	window xproto.Window
	text   []byte

	clipboard, targets, timestamp, hint xproto.Atom
	// texts are the names of the formats in which the text is given.
	texts []xproto.Atom
}

func newSelection(c *xgb.Conn, text secret.Text) (*selection, error) {
	s := &selection{c: c, text: []byte(text.Reveal())}
	var err error
	if s.window, err = xproto.NewWindowId(c); err != nil {
		return nil, err
	}
	roots := xproto.Setup(c).Roots
	if c.DefaultScreen >= len(roots) {
		return nil, errors.New("the display has no such screen")
	}
	err = xproto.CreateWindowChecked(c, 0, s.window, roots[c.DefaultScreen].Root, 0, 0, 1, 1, 0, xproto.WindowClassInputOnly, 0,
		xproto.CwEventMask, []uint32{xproto.EventMaskPropertyChange}).Check()
	if err != nil {
		return nil, err
	}
	names := map[string]*xproto.Atom{"CLIPBOARD": &s.clipboard, "TARGETS": &s.targets, "TIMESTAMP": &s.timestamp, hint: &s.hint}
	s.texts = make([]xproto.Atom, 5)
	for i, name := range []string{"UTF8_STRING", "text/plain;charset=utf-8", "text/plain", "STRING", "TEXT"} {
		names[name] = &s.texts[i]
	}
	for name, atom := range names {
		reply, err := xproto.InternAtom(c, false, uint16(len(name)), name).Reply() //nolint:gosec // names of ours
		if err != nil {
			return nil, err
		}
		*atom = reply.Atom
	}
	return s, nil
}

// own takes the selection and tells since when it is ours. The time is that of
// the server, which comes with a change of a property.
func (s *selection) own(ctx context.Context, events <-chan xgb.Event) (xproto.Timestamp, error) {
	xproto.ChangeProperty(s.c, xproto.PropModeAppend, s.window, xproto.AtomWmName, xproto.AtomString, 8, 0, nil)
	var since xproto.Timestamp
	for since == 0 {
		select {
		case e, ok := <-events:
			if !ok {
				return 0, errGone
			}
			if p, ok := e.(xproto.PropertyNotifyEvent); ok {
				since = p.Time
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	xproto.SetSelectionOwner(s.c, s.window, s.clipboard, since)
	owner, err := xproto.GetSelectionOwner(s.c, s.clipboard).Reply()
	if err != nil {
		return 0, err
	}
	if owner.Owner != s.window {
		return 0, errors.New("another program holds it")
	}
	return since, nil
}

// answer gives a program what it asks for, or tells it that there is no such
// thing.
func (s *selection) answer(e xproto.SelectionRequestEvent, since xproto.Timestamp) {
	property := e.Property
	if property == xproto.AtomNone { // an old client
		property = e.Target
	}
	kind, format, data := s.convert(e.Target, since)
	if data == nil || e.Selection != s.clipboard {
		property = xproto.AtomNone
	} else {
		units := uint32(len(data) / int(format/8)) //nolint:gosec // at most selectionLimit
		xproto.ChangeProperty(s.c, xproto.PropModeReplace, e.Requestor, property, kind, format, units, data)
	}
	notify := xproto.SelectionNotifyEvent{Time: e.Time, Requestor: e.Requestor, Selection: e.Selection, Target: e.Target, Property: property}
	xproto.SendEvent(s.c, false, e.Requestor, 0, string(notify.Bytes()))
}

// convert returns the selection in one of its formats; nil data means that there
// is no such format.
func (s *selection) convert(target xproto.Atom, since xproto.Timestamp) (kind xproto.Atom, format byte, data []byte) {
	switch target {
	case s.targets:
		for _, a := range append([]xproto.Atom{s.targets, s.timestamp, s.hint}, s.texts...) {
			data = appendCard32(data, uint32(a))
		}
		return xproto.AtomAtom, 32, data
	case s.timestamp:
		return xproto.AtomInteger, 32, appendCard32(nil, uint32(since))
	case s.hint:
		return s.hint, 8, []byte("secret")
	}
	for _, a := range s.texts {
		if a == target && a == s.texts[len(s.texts)-1] { // TEXT: the owner chooses
			return s.texts[0], 8, s.text
		}
		if a == target {
			return a, 8, s.text
		}
	}
	return 0, 0, nil
}

func appendCard32(b []byte, v uint32) []byte {
	b = append(b, 0, 0, 0, 0)
	xgb.Put32(b[len(b)-4:], v)
	return b
}
