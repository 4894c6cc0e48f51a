//go:build unix && !darwin

package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	serverName = "org.freedesktop.Notifications"
	serverPath = dbus.ObjectPath("/org/freedesktop/Notifications")
	busName    = "org.freedesktop.DBus."
	// desktopEntry is the name of the .desktop file, by which desktops keep their
	// settings of an app.
	desktopEntry = "keytray"
)

var errRefused = errors.New("the notification server refuses it")

// errGone is worth another try: the server or the bus is not the one of last time.
const errGone = noServerError("the notification server went away")

// link is a connection to the session bus and what was shown through it.
type link struct {
	heard chan<- heard
	conn  *dbus.Conn
	// server is the unique name of who shows notifications: the well-known name
	// can go to another one, to whom the numbers of our bubbles mean nothing.
	server  string
	can     []string
	bubbles map[string]*bubble // by cause
}

// bubble is a notice on the screen, or on its way there.
type bubble struct {
	call    *dbus.Call // until it is answered
	id      uint32
	since   dbus.Sequence     // when the answer came
	actions map[string]string // ours by the server's word for them
}

// DeliverSignal implements [dbus.SignalHandler]. What comes faster than it is
// heard is dropped: nobody presses that many buttons.
func (l *link) DeliverSignal(iface, _ string, s *dbus.Signal) {
	if iface != serverName {
		return
	}
	select {
	case l.heard <- heard{l, s}:
	default:
	}
}

func (l *link) ask(ctx context.Context, method string, args ...any) *dbus.Call {
	return l.conn.BusObject().CallWithContext(ctx, busName+method, 0, args...)
}

func (l *link) object() dbus.BusObject { return l.conn.Object(l.server, serverPath) }

// findServer asks who shows notifications now, starts one where the bus can, and
// where it is another one than before asks what it can do.
func (l *link) findServer(ctx context.Context) error {
	var server string
	err := l.ask(ctx, "GetNameOwner", serverName).Store(&server)
	if e, ok := errors.AsType[dbus.Error](err); ok && e.Name == busName+"Error.NameHasNoOwner" {
		if err := l.ask(ctx, "StartServiceByName", serverName, uint32(0)).Err; err != nil {
			return classify(err, ErrNoServer)
		}
		err = l.ask(ctx, "GetNameOwner", serverName).Store(&server)
	}
	if err != nil || server == l.server {
		return classify(err, errGone)
	}
	clear(l.bubbles)
	l.server = server
	err = l.object().CallWithContext(ctx, serverName+".GetCapabilities", 0).Store(&l.can)
	return classify(err, errRefused)
}

// show sends n to the server. There is one call for a cause at a time: until a
// server that is slow has told the number of a bubble, it cannot be replaced.
func (l *link) show(ctx context.Context, opts Options, n Notice) error {
	var replaces uint32
	if old := l.bubbles[n.Cause]; old != nil {
		if err := old.settle(ctx); ctx.Err() != nil {
			return err
		}
		replaces = old.id
	}
	words, actions := l.actions(opts, n)
	u := &bubble{actions: actions}
	// Not ctx: who has waited long enough must still learn the number later.
	u.call = l.object().GoWithContext(context.WithoutCancel(ctx), serverName+".Notify", 0, make(chan *dbus.Call, 1),
		oneLine(opts.App, labelLimit), replaces, icon(opts.Icon), oneLine(n.Title, titleLimit), l.body(n), words, hints(n), int32(-1))
	l.bubbles[n.Cause] = u
	err := u.settle(ctx)
	if err != nil && ctx.Err() == nil {
		delete(l.bubbles, n.Cause)
	}
	return err
}

// settle waits for the number of the bubble.
func (u *bubble) settle(ctx context.Context) error {
	if u.call == nil {
		return nil
	}
	select {
	case <-u.call.Done:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := u.call.Store(&u.id)
	u.since, u.call = u.call.ResponseSequence, nil
	return classify(err, errRefused)
}

// hear takes in a signal and returns what was pressed, if something was.
//
// A server may close the bubble of which a button was pressed, or not, and some
// say so after a notice of ours has taken its place. So a pressed one is taken
// away and forgotten here, and the next notice of its cause is a new bubble.
// What was said of a bubble before the answer about its present text is old.
func (l *link) hear(s *dbus.Signal) (cause, action string) {
	if s.Sender != l.server || len(s.Body) < 2 {
		return "", ""
	}
	id, _ := s.Body[0].(uint32)
	cause, u := l.find(id)
	if u == nil || s.Sequence < u.since {
		return "", ""
	}
	switch s.Name {
	case serverName + ".NotificationClosed":
		delete(l.bubbles, cause)
	case serverName + ".ActionInvoked":
		word, _ := s.Body[1].(string)
		if action = u.actions[word]; action != "" {
			l.end(cause, id)
		}
	}
	return cause, action
}

func (l *link) find(id uint32) (cause string, u *bubble) {
	for cause, u := range l.bubbles {
		if u.call != nil && len(u.call.Done) > 0 { // a late answer
			_ = u.settle(context.Background())
		}
		if u.call == nil && u.id == id {
			return cause, u
		}
	}
	return "", nil
}

func (l *link) withdraw(ctx context.Context, cause string) {
	if u := l.bubbles[cause]; u != nil && u.settle(ctx) == nil {
		l.end(cause, u.id)
	}
}

func (l *link) end(cause string, id uint32) {
	delete(l.bubbles, cause)
	l.object().Go(serverName+".CloseNotification", dbus.FlagNoReplyExpected, nil, id)
}

// actions returns the buttons as the server takes them, and what its words for
// them mean. The words are ours: some of others have a meaning somewhere.
func (l *link) actions(opts Options, n Notice) (words []string, meaning map[string]string) {
	words, meaning = []string{}, map[string]string{}
	if opts.Acted == nil || !slices.Contains(l.can, "actions") {
		return words, meaning
	}
	add := func(word string, a Action) {
		if a.ID != "" {
			words = append(words, word, oneLine(a.Label, labelLimit))
			meaning[word] = a.ID
		}
	}
	add("default", n.Click)
	for i, a := range n.Actions {
		add(strconv.Itoa(i), a)
	}
	return words, meaning
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (l *link) body(n Notice) string {
	body := lines(n.Body, bodyLimit)
	if slices.Contains(l.can, "body-markup") {
		return escaper.Replace(body)
	}
	return body
}

func hints(n Notice) map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"urgency":        dbus.MakeVariant(byte(min(max(n.Urgency, Low), Critical) + 1)),
		"transient":      dbus.MakeVariant(n.Urgency <= Low),
		"suppress-sound": dbus.MakeVariant(true),
		"desktop-entry":  dbus.MakeVariant(desktopEntry),
	}
}

func icon(name string) string {
	if !filepath.IsAbs(name) {
		return name
	}
	return (&url.URL{Scheme: "file", Path: name}).String()
}

// classify makes one of our errors of one of theirs: of a D-Bus error refused,
// if the server is still there. Its name is kept; its text could hold anything.
func classify(err, refused error) error {
	e, ok := errors.AsType[dbus.Error](err)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case !ok:
		return errGone
	case errors.Is(refused, errRefused) && (e.Name == busName+"Error.ServiceUnknown" || e.Name == busName+"Error.NoReply"):
		return errGone
	}
	return fmt.Errorf("%w: %.100q", refused, e.Name)
}
