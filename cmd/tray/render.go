package main

import (
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"fyne.io/systray"

	"github.com/keytray/keytray/cmd/tray/icon"
	"github.com/keytray/keytray/cmd/tray/view"
)

// screen draws a menu and an icon, and tells of clicks. It never removes an item
// (systray panics on a click that comes at that moment): those that are not
// needed are hidden, and shown again under other names. Only what changed is
// drawn, so that a menu that is open does not flicker. All but show is for one
// goroutine.
type screen struct {
	// clicked is told what a click asks for: what the line said at that moment. It
	// is called in goroutines of the items.
	clicked func(view.Action)
	// settle is how long a submenu that is new is on the screen before it gets
	// items. The library of GTK's panels asks for what is new from the inside out,
	// and drops for good an item whose submenu it does not know yet.
	settle  time.Duration
	root    list
	now     time.Time // when this drawing began
	again   bool      // something has to wait for another one
	icon    icon.State
	tooltip string
	drawn   bool
}

// list is a menu or a submenu: the items that were ever made in it, in the order
// in which the system shows them.
type list struct {
	parent *systray.MenuItem
	slots  []*slot
}

// slot is an item of the system's menu and what it shows now.
type slot struct {
	kind   view.Kind
	item   *systray.MenuItem // nil for a separator
	shown  view.Item
	does   atomic.Pointer[view.Action] // what a click asks for
	hidden bool
	born   time.Time
	below  list
}

// show runs the icon's event loop until [screen.close], and must be called by
// main's goroutine. Ready is called when the icon can be drawn; gone when the
// loop ends, also when the system ends it.
//
// On Linux the icon is set before: a host that asks before the event loop is up
// would otherwise never learn it. The other systems drop what comes so early.
func (s *screen) show(ready, gone func()) {
	if runtime.GOOS == "linux" {
		s.face(icon.Normal, "Keytray")
	}
	systray.Run(ready, gone)
}

func (s *screen) close() { systray.Quit() }

// face sets icon and title.
func (s *screen) face(state icon.State, tooltip string) {
	if s.drawn && s.icon == state && s.tooltip == tooltip {
		return
	}
	if !s.drawn || s.icon != state {
		systray.SetIcon(icon.Of(state, icon.Dark()))
	}
	if !s.drawn {
		s.name()
	}
	systray.SetTooltip(tooltip)
	s.icon, s.tooltip, s.drawn = state, tooltip, true
}

// name tells hosts who we are. On macOS a title is text beside the icon.
func (s *screen) name() {
	if runtime.GOOS != "darwin" {
		systray.SetTitle("Keytray")
	}
}

// draw makes the menu show items. Again is when it has to be called again to show
// all of them, 0 for never.
func (s *screen) draw(items []view.Item) (again time.Duration) {
	s.now, s.again = time.Now(), false
	s.drawIn(&s.root, items)
	if s.again {
		return s.settle / 4
	}
	return 0
}

// drawIn puts each item into the next slot of its kind, and hides the slots in
// between.
func (s *screen) drawIn(l *list, items []view.Item) {
	next := 0
	for _, item := range items {
		i := slices.IndexFunc(l.slots[next:], func(x *slot) bool { return x.kind == item.Kind })
		if i < 0 {
			i = len(l.slots) - next
			l.slots = append(l.slots, s.make(l, item))
		}
		l.hide(next, next+i)
		next += i
		s.update(l.slots[next], item)
		next++
	}
	l.hide(next, len(l.slots))
}

func (l *list) hide(from, to int) {
	for _, x := range l.slots[from:to] {
		x.hide()
	}
}

// hide hides an item; a separator that is left over stays.
func (x *slot) hide() {
	if !x.hidden && x.item != nil {
		x.item.Hide()
		x.hidden = true
	}
}

// make adds an item at the end of a menu.
func (s *screen) make(l *list, item view.Item) *slot {
	x := &slot{kind: item.Kind, shown: item, born: s.now}
	x.does.Store(&item.Does)
	label := escaped(item.Label)
	switch {
	case item.Kind == view.Separator && l.parent == nil:
		systray.AddSeparator()
		return x
	case item.Kind == view.Separator:
		l.parent.AddSeparator()
		return x
	case item.Kind == view.Check && l.parent == nil:
		x.item = systray.AddMenuItemCheckbox(label, "", item.Checked)
	case item.Kind == view.Check:
		x.item = l.parent.AddSubMenuItemCheckbox(label, "", item.Checked)
	case l.parent == nil:
		x.item = systray.AddMenuItem(label, "")
	default:
		x.item = l.parent.AddSubMenuItem(label, "")
	}
	x.shown.Items = nil
	x.shown.Disabled = false
	x.below.parent = x.item
	if x.kind != view.Submenu {
		go s.listen(x) // for as long as the process lives, as the item does
	}
	return x
}

// listen hands on the clicks on an item. It does nothing else: systray drops a
// click while nobody listens.
func (s *screen) listen(x *slot) {
	for range x.item.ClickedCh {
		s.clicked(*x.does.Load())
	}
}

// update draws what is new in an item.
func (s *screen) update(x *slot, item view.Item) {
	if x.item == nil {
		return
	}
	if item.Hidden {
		x.hide()
		return
	}
	was := x.shown
	x.shown = item
	x.does.Store(&item.Does)
	if was.Label != item.Label {
		x.item.SetTitle(escaped(item.Label))
	}
	if was.Checked != item.Checked {
		set(item.Checked, x.item.Check, x.item.Uncheck)
	}
	if was.Disabled != item.Disabled {
		set(item.Disabled, x.item.Disable, x.item.Enable)
	}
	switch {
	case x.kind != view.Submenu:
	case s.now.Sub(x.born) < s.settle:
		s.again = true
	default:
		s.drawIn(&x.below, item.Items)
	}
	if x.hidden {
		x.item.Show()
		x.hidden = false
	}
}

func set(on bool, yes, no func()) {
	if on {
		yes()
	} else {
		no()
	}
}

// escaped keeps the system from taking a character for the mark of a mnemonic.
func escaped(label string) string {
	switch runtime.GOOS {
	case "windows":
		return strings.ReplaceAll(label, "&", "&&")
	case "darwin":
		return label
	default:
		return strings.ReplaceAll(label, "_", "__")
	}
}
