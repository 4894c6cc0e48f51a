//go:build linux

package e2e

import (
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

const (
	notificationsName = "org.freedesktop.Notifications"
	notificationsPath = dbus.ObjectPath("/org/freedesktop/Notifications")

	dunst   = "dunst"
	notifyd = "xfce4-notifyd"
)

// bubble is a notification, as a program asked for it and as it went on.
type bubble struct {
	id, replaces       uint32 // id is 0 until the daemon has answered
	app, summary, body string
	actions            []string // keys and labels by turns
	hints              map[string]dbus.Variant
	timeout            int32
	invoked            []string // keys of actions
	closed             uint32   // the reason: 1 expired, 2 dismissed, 3 by the program

	call string // sender and serial
}

// key is the key of the action with that label.
func (b bubble) key(label string) (key string, ok bool) {
	for pair := range slices.Chunk(b.actions, 2) {
		if len(pair) == 2 && pair[1] == label {
			return pair[0], true
		}
	}
	return "", false
}

// bubbleLog is what went over the bus about notifications.
type bubbleLog struct {
	bubblesMu sync.Mutex // guards bubbleList
	// bubbleList is in the order of the calls.
	bubbleList []bubble
}

// bubbles are all notifications since the first daemon started.
func (l *bubbleLog) bubbles() []bubble {
	l.bubblesMu.Lock()
	defer l.bubblesMu.Unlock()
	return slices.Clone(l.bubbleList)
}

// take enters a message.
func (l *bubbleLog) take(m *dbus.Message) {
	l.bubblesMu.Lock()
	defer l.bubblesMu.Unlock()
	member, _ := m.Headers[dbus.FieldMember].Value().(string)
	switch {
	case m.Type == dbus.TypeMethodCall && member == "Notify":
		b := bubble{call: fmt.Sprint(m.Headers[dbus.FieldSender].Value(), m.Serial())}
		var icon string
		if dbus.Store(m.Body, &b.app, &b.replaces, &icon, &b.summary, &b.body, &b.actions, &b.hints, &b.timeout) == nil {
			l.bubbleList = append(l.bubbleList, b)
		}
	case m.Type == dbus.TypeMethodReply:
		call := fmt.Sprint(m.Headers[dbus.FieldDestination].Value(), m.Headers[dbus.FieldReplySerial].Value())
		for i := range l.bubbleList {
			if l.bubbleList[i].call == call {
				_ = dbus.Store(m.Body, &l.bubbleList[i].id)
			}
		}
	case member == "ActionInvoked":
		var id uint32
		var key string
		if b := l.newest(m, &id, &key); b != nil {
			b.invoked = append(b.invoked, key)
		}
	case member == "NotificationClosed":
		var id, reason uint32
		if b := l.newest(m, &id, &reason); b != nil {
			b.closed = reason
		}
	}
}

// newest is the latest notification with the id that a signal is about.
func (l *bubbleLog) newest(m *dbus.Message, id *uint32, rest any) *bubble {
	if dbus.Store(m.Body, id, rest) != nil {
		return nil
	}
	for i := range slices.Backward(l.bubbleList) {
		if l.bubbleList[i].id == *id {
			return &l.bubbleList[i]
		}
	}
	return nil
}

// notifications starts a real daemon, instead of another one: dunst or notifyd.
func (d *desktop) notifications(daemon string) {
	d.t.Helper()
	d.notifier.Kill()
	d.eavesdrop()
	d.older = len(d.bubbles())
	switch d.daemon = daemon; daemon {
	case dunst:
		need(d.t, dunst)
		d.notifier = d.serve(notificationsName, dunst, "-conf", d.dunstSettings())
	case notifyd:
		path := find(d.t, notifyd, "/usr/lib/*/xfce4/notifyd/xfce4-notifyd", "/usr/lib/xfce4/notifyd/xfce4-notifyd")
		d.startXfconf()
		d.notifier = d.serve(notificationsName, path)
	default:
		d.t.Fatalf("no daemon %q", daemon)
	}
}

// eavesdrop enters what goes over the bus into the log, until the test or the
// bus ends.
func (d *desktop) eavesdrop() {
	d.t.Helper()
	if d.deaf != nil {
		d.deaf()
	}
	spy, err := dbus.Connect(d.bus.Address())
	if err != nil {
		d.t.Fatal(err)
	}
	messages, ended := make(chan *dbus.Message, 1000), make(chan struct{})
	// A message that comes after Close would be sent to a closed channel: godbus
	// is told first that nobody listens.
	d.deaf = sync.OnceFunc(func() {
		spy.Eavesdrop(nil)
		spy.Close()
		close(ended)
	})
	d.t.Cleanup(d.deaf)
	rules := []string{"interface='" + notificationsName + "'", "type='method_return'"}
	if err := spy.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, rules, uint32(0)).Err; err != nil {
		d.t.Fatal(err)
	}
	spy.Eavesdrop(messages)
	go func() { // ends with the bus, or when nobody wants to know any more
		for {
			select {
			case m, ok := <-messages:
				if !ok {
					return
				}
				d.take(m)
			case <-ended:
				return
			}
		}
	}()
}

// dunstSettings writes dunst's settings and the program that plays its menu:
// dunst draws no buttons, but asks a menu which of all actions is wanted.
func (d *desktop) dunstSettings() string {
	d.t.Helper()
	menu, settings := filepath.Join(d.dir, "dunst-menu"), filepath.Join(d.dir, "dunstrc")
	d.write(menu, fmt.Sprintf("#!/bin/sh\ngrep -F -m1 -e \"$(cat '%s')\"\n", d.dunstPick()))
	if err := os.Chmod(menu, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.write(settings, "[global]\ndmenu = "+menu+"\nfollow = none\norigin = top-right\noffset = 10x50\nwidth = 360\n"+
		"mouse_left_click = do_action\nmouse_right_click = close_current\nmarkup = full\n")
	return settings
}

func (d *desktop) dunstPick() string { return filepath.Join(d.dir, "dunst-pick") }

// awaitBubble waits for a notification with that text in its summary or body,
// which the daemon has accepted.
func (d *desktop) awaitBubble(text string) (b bubble) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("a notification with %q", text), func() bool {
		i := slices.IndexFunc(d.bubbles(), func(b bubble) bool { return b.id > 0 && strings.Contains(b.summary+"\n"+b.body, text) })
		if i >= 0 {
			b = d.bubbles()[i]
		}
		return i >= 0
	})
	return b
}

// pressAction presses the button with that label on the newest bubble that has
// one, and waits until the daemon has said so.
func (d *desktop) pressAction(label string) {
	d.t.Helper()
	var b bubble
	var key string
	eventually(d.t, fmt.Sprintf("a bubble with a button %q", label), func() (ok bool) {
		for _, b = range slices.Backward(d.bubbles()) {
			if key, ok = b.key(label); ok && b.id > 0 && b.closed == 0 {
				return true
			}
		}
		return false
	})
	before := d.presses(b, key)
	switch d.daemon {
	case dunst:
		d.write(d.dunstPick(), fmt.Sprintf("[%d,%s]", b.id, key))
		cmd := exec.Command("dunstctl", "context")
		cmd.Env = d.env
		if out, err := cmd.CombinedOutput(); err != nil {
			d.t.Fatalf("dunstctl context: %v\n%s", err, out)
		}
	case notifyd:
		d.mouseClick(d.buttonAt(b, key))
	}
	eventually(d.t, fmt.Sprintf("the press of %q", label), func() bool { return d.presses(b, key) > before })
}

// presses counts how often the button of a bubble was pressed.
func (d *desktop) presses(of bubble, key string) (n int) {
	for _, b := range d.bubbles() {
		if b.call == of.call {
			n += len(slices.DeleteFunc(b.invoked, func(k string) bool { return k != key }))
		}
	}
	return n
}

// shown are the ids of the daemon's bubbles that are open. One that replaces
// another keeps its id and its window.
func (d *desktop) shown() (ids []uint32) {
	for _, b := range d.bubbles()[d.older:] {
		ids = slices.DeleteFunc(ids, func(id uint32) bool { return id == b.id && b.closed != 0 })
		if b.closed == 0 && !slices.Contains(ids, b.id) {
			ids = append(ids, b.id)
		}
	}
	return ids
}

// buttonAt is the middle of a button as notifyd draws it: a row of them, in the
// order of the actions. Bubbles on the screen are in the order of their windows.
func (d *desktop) buttonAt(b bubble, key string) image.Point {
	d.t.Helper()
	shown, windows := d.shown(), d.windows("--class", notifyd)
	i := slices.Index(shown, b.id)
	if i < 0 || len(windows) != len(shown) {
		d.t.Fatalf("bubble %d is not in %d windows that show %d", b.id, len(windows), shown)
	}
	var x, y, width, height int
	geometry := d.xdotool("getwindowgeometry", "--shell", windows[i])
	if _, err := fmt.Sscanf(geometry, "WINDOW="+windows[i]+"\nX=%d\nY=%d\nWIDTH=%d\nHEIGHT=%d", &x, &y, &width, &height); err != nil {
		d.t.Fatalf("reading the place of a window: %v\n%s", err, geometry)
	}
	var keys []string // of what is drawn: not of what has no label
	for pair := range slices.Chunk(b.actions, 2) {
		if pair[1] != "" {
			keys = append(keys, pair[0])
		}
	}
	var buttons []image.Rectangle
	look := d.still(image.Rect(x, y, x+width, y+height))
	for line := look.Max.Y - 1; line > look.Min.Y && len(buttons) != len(keys); line-- {
		buttons = boxes(look, line)
	}
	for n, button := range buttons {
		if keys[n] == key {
			return middle(button)
		}
	}
	d.t.Fatalf("the bubble shows no row of %d buttons", len(keys))
	return image.Point{}
}

// boxes are what a line of a picture crosses: wide parts that do not look like
// the ground at its left edge.
func boxes(p *picture, line int) (found []image.Rectangle) {
	const border, wide = 3, 24
	left := p.Min.X + border
	ground, begin := p.at(left, line), left
	for x := left; x < p.Max.X-border; x++ {
		if p.at(x, line) != ground {
			continue
		}
		if x-begin > wide {
			found = append(found, image.Rect(begin, line-wide/2, x, line))
		}
		begin = x + 1
	}
	return found
}

// notify asks for a bubble as any program does, or for another content of one.
func (d *desktop) notify(replaces uint32, summary, body string, actions ...string) (id uint32) {
	d.t.Helper()
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(byte(2))}
	err := d.connect().Object(notificationsName, notificationsPath).Call(notificationsName+".Notify", 0,
		"e2e", replaces, "", summary, body, actions, hints, int32(0)).Store(&id)
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

// TestBubblesAreShown by real daemons, and their buttons can be pressed.
func TestBubblesAreShown(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", dunst)
	d := newDesktop(t, newRig(t))
	for _, daemon := range []string{dunst, notifyd} {
		d.notifications(daemon)
		black := d.still(wholeScreen)
		id := d.notify(0, "Soon", "the first of "+daemon, "later", "Not now", "reauth", "Sign in")
		d.awaitChange("a bubble", black)
		d.notify(0, "Alone", "the second of "+daemon, "ok", "Fine")
		d.notify(id, "Sign in again", "the third of "+daemon, "default", "Open", "reauth", "Sign in", "later", "Not now")
		third := d.awaitBubble("the third of " + daemon)
		if third.id != id || third.replaces != id || third.app != "e2e" || third.hints["urgency"].Value() != byte(2) {
			t.Errorf("the bubble is %+v, want the one that was asked for, with id %d", third, id)
		}
		d.still(wholeScreen)
		d.screenshot(daemon)
		d.pressAction("Sign in")
		d.pressAction("Fine")
		for text, want := range map[string][]string{"first": nil, "second": {"ok"}, "third": {"reauth"}} {
			if got := d.awaitBubble("the " + text + " of " + daemon).invoked; !slices.Equal(got, want) {
				t.Errorf("%s says that %q were pressed on the %s bubble, want %q", daemon, got, text, want)
			}
		}
	}
}
