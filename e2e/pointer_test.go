//go:build linux

package e2e

import (
	"image"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var belowPanel = image.Rect(0, panelHeight, screenWidth, screenHeight)

func (d *desktop) mouseMove(p image.Point) {
	d.t.Helper()
	d.xdotool("mousemove", strconv.Itoa(p.X), strconv.Itoa(p.Y))
}

// mouseAway moves the pointer off the panel: what it is on looks different.
func (d *desktop) mouseAway() {
	d.t.Helper()
	d.mouseMove(image.Pt(screenWidth/2, screenHeight/2))
}

// mouseClick clicks with the left button. A bubble that has just appeared needs
// a moment between the pointer and the click.
func (d *desktop) mouseClick(p image.Point) {
	d.t.Helper()
	d.mouseMove(p)
	d.still(wholeScreen)
	d.xdotool("click", "1")
}

// key presses a key and waits until the screen shows that it was understood.
func (d *desktop) key(name string) {
	d.t.Helper()
	if !d.tryKey(name, 30*time.Second) {
		d.t.Fatalf("%s does nothing", name)
	}
}

// tryKey is key for a key that may do nothing.
func (d *desktop) tryKey(name string, patience time.Duration) bool {
	d.t.Helper()
	before, pressed := d.snap(wholeScreen), time.Now()
	d.xdotool("key", name)
	var done bool
	eventuallyEach(d.t, look, "what "+name+" does", func() bool {
		done = !d.changed(before).Empty()
		return done || time.Since(pressed) > patience
	})
	d.still(wholeScreen)
	return done
}

// mouseOpenMenu clicks at the icon and returns where its menu is. systray tells
// a panel its submenus only after a while, and again when it has asked.
func (d *desktop) mouseOpenMenu() image.Rectangle {
	d.t.Helper()
	at := d.iconAt()
	pass(d.t, time.Until(d.iconSeen.Add(500*time.Millisecond)))
	below := d.snap(belowPanel)
	d.mouseClick(at)
	return d.awaitChange("a menu below the icon", below)
}

// closeMenu leaves the menu, however deep, until the screen is as it was.
func (d *desktop) closeMenu(before *picture) {
	d.t.Helper()
	for range 5 {
		if d.changed(before).Empty() {
			return
		}
		d.tryKey("Escape", time.Second)
	}
	d.t.Fatal("the menu does not close")
}

// mouseClickItem opens the menu with the mouse, and clicks an item with it that
// is found with the keys: where the arrows stop can be told from the menu, and
// where that is drawn from its colour. The item is named as in [tray.click]. On a slow machine the panel may
// not know the submenu yet; then the menu is opened again.
func (d *desktop) mouseClickItem(tr *tray, path string) {
	d.t.Helper()
	keys := tr.menu().keys(path)
	if keys == nil {
		d.t.Fatalf("no item %q that can be chosen in\n%v", path, tr.menu())
	}
	d.mouseAway()
	before, last := d.still(belowPanel), len(keys)-1
	stuck := func(k string) bool { return !d.tryKey(k, 3*time.Second) }
	for range 5 {
		d.mouseOpenMenu()
		if !slices.ContainsFunc(keys[:last], stuck) {
			look := d.still(belowPanel)
			if !stuck(keys[last]) {
				d.still(belowPanel)
				if d.clickLine(d.selected(d.changed(look))) {
					return
				}
			}
		}
		d.closeMenu(before)
	}
	d.t.Fatalf("the menu of the panel has no %q", path)
}

// clickLine clicks a line of a menu, and reports whether the menu took it.
func (d *desktop) clickLine(line image.Rectangle) (taken bool) {
	d.t.Helper()
	d.mouseMove(middle(line))
	look := d.still(line)
	d.xdotool("click", "1")
	for began := time.Now(); time.Since(began) < 3*time.Second; pass(d.t, 20*time.Millisecond) {
		if !d.changed(look).Empty() {
			return true
		}
	}
	return false
}

// selected is the line of a menu that the keys have selected, within a part of
// the screen.
func (d *desktop) selected(part image.Rectangle) (line image.Rectangle) {
	d.t.Helper()
	blue := [3]byte{0xe4, 0x84, 0x35} // GTK's own theme, as bytes lie in a picture
	look := d.snap(part)
	for y := look.Min.Y; y < look.Max.Y; y++ {
		for x := look.Min.X; x < look.Max.X; x++ {
			if p := look.at(x, y); [3]byte(p[:3]) == blue {
				line = line.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if line.Empty() {
		d.t.Fatalf("nothing is selected in %v", part)
	}
	return line
}

// keys are the keys that reach an item in an open menu of GTK's. The arrows
// pass over what cannot be chosen, and → selects the first item.
func (m item) keys(path string) []string {
	n := 0
	for _, c := range m.children {
		if !c.selectable() {
			continue
		}
		n++
		rest, ok := c.under(path)
		if !ok {
			continue
		}
		down := repeat("Down", n)
		if rest == "" {
			return down
		}
		if inner := c.keys(rest); inner != nil {
			return append(append(down, "Right"), inner[1:]...) // → selects the first
		}
	}
	return nil
}

func repeat(s string, n int) []string { return strings.Fields(strings.Repeat(s+" ", n)) }

// TestClicksReachTheProgram: by mouse and keys through a real panel, and over
// the bus as every panel does in the end.
func TestClicksReachTheProgram(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	d := newDesktop(t, newRig(t))
	d.panel()
	tr := d.startTray(trayapp(t))
	eventually(t, "the submenu", func() bool { return tr.menu().keys("People/ann/work") != nil })

	if menu := d.mouseOpenMenu(); menu.Dy() < 3*panelHeight || menu.Min.Y > panelHeight+5 || menu.Max.X < screenWidth-5 {
		t.Errorf("the menu is at %v, want it below the icon, with some lines", menu)
	}
	d.screenshot("menu")
	d.key("Escape")
	for _, path := range []string{"Sign in", "People/ann/work", "Pause"} {
		d.mouseClickItem(tr, path)
		tr.awaitLog("clicked " + strings.TrimPrefix(path, "People/"))
	}
	if pause := tr.item("Pause"); !pause.checkable || !pause.checked {
		t.Errorf("Pause is %+v, want it checked", pause)
	}
	d.mouseOpenMenu()
	d.screenshot("checked")
	d.key("Escape")
	if not := tr.item("Not now"); not.enabled {
		t.Errorf("Not now is %+v, want it disabled", not)
	}
	tr.click("People/bob_home")
	tr.awaitLog("clicked Pause\nclicked bob_home")
	tr.click("Quit")
	if code := tr.wait(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	d.awaitNoIcon()
}
