package keychaintest

import (
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Dialog is an unlock dialog on the screen.
type Dialog struct {
	s      *Service
	path   dbus.ObjectPath
	paths  []dbus.ObjectPath
	shown  bool
	closed bool
}

// SetPerson says what a person does with a dialog: [(*Dialog).Accept], which is
// the default, [(*Dialog).Dismiss], or a function that waits or does nothing.
// It is called in a goroutine of its own.
func (s *Service) SetPerson(person func(*Dialog)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person = person
}

// Shown counts the dialogs that were on the screen, Open those that still are.
func (s *Service) Shown() int { return s.count(func(d *Dialog) bool { return d.shown }) }

// Open counts the dialogs that nobody has answered and the client has not taken away.
func (s *Service) Open() int { return s.count(func(d *Dialog) bool { return d.shown && !d.closed }) }

func (s *Service) count(is func(*Dialog) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, d := range s.dialogs {
		if is(d) {
			n++
		}
	}
	return n
}

func (s *Service) newDialog(paths []dbus.ObjectPath) dbus.ObjectPath {
	d := &Dialog{s: s, paths: paths}
	d.path = servicePath + dbus.ObjectPath(fmt.Sprintf("/prompt/p%d", len(s.dialogs)+1))
	s.dialogs[d.path] = d
	return d.path
}

func (s *Service) onPrompt(c call) ([]any, error) {
	d := s.dialogs[c.path]
	switch c.member {
	case "Prompt":
		d.shown = true
		person := s.person
		s.done.Go(func() { person(d) })
		return nil, nil
	case "Dismiss":
		d.closed = true
		return nil, nil
	}
	return nil, dbusError(unknownMethod)
}

// Accept types the right password.
func (d *Dialog) Accept() {
	d.s.mu.Lock()
	d.s.locked = false
	for _, p := range d.paths {
		if it := d.s.items[p]; it != nil {
			it.Locked = false
		}
	}
	d.closed = true
	d.s.mu.Unlock()
	d.Signal(iface+"Prompt.Completed", false, dbus.MakeVariant(d.paths))
}

// Dismiss closes the dialog.
func (d *Dialog) Dismiss() {
	d.s.mu.Lock()
	d.closed = true
	d.s.mu.Unlock()
	d.Signal(iface+"Prompt.Completed", true, dbus.MakeVariant([]dbus.ObjectPath{}))
}

// Signal sends any signal in the name of the dialog.
func (d *Dialog) Signal(name string, body ...any) { _ = d.s.conn.Emit(d.path, name, body...) }

// Stray sends signals that are not the end of this dialog: of another one, of
// another interface, of another program.
func (d *Dialog) Stray() {
	d.Signal(iface + "Prompt.Progress")
	_ = d.s.conn.Emit(d.path+"9", iface+"Prompt.Completed", true, dbus.MakeVariant(""))
	_ = d.s.conn.Emit(loginPath, iface+"Collection.ItemCreated", loginPath)
}

// Ended is closed when the service ends, for a person who waits.
func (d *Dialog) Ended() <-chan struct{} { return d.s.end }
