//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const menuInterface = "com.canonical.dbusmenu"

// tray is a program with an icon.
type tray struct {
	launched
	obj dbus.BusObject // its menu
}

// startTray starts a program that is to show an icon, and waits until it
// offers its menu.
func (d *desktop) startTray(argv ...string) *tray {
	d.t.Helper()
	d.iconSeen = time.Time{}
	p := d.launch(argv...)
	name := fmt.Sprintf("org.kde.StatusNotifierItem-%d-1", p.PID())
	t := &tray{p, d.connect().Object(name, "/StatusNotifierItem/menu")}
	t.await("the menu of "+filepath.Base(argv[0]), func() bool {
		_, err := t.layout()
		return err == nil
	})
	return t
}

// awaitLog waits until the program has printed text.
func (t *tray) awaitLog(text string) {
	t.t.Helper()
	eventually(t.t, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(t.said(), text) })
}

// quit sends a signal and waits for the program's end. The code is -1 if the
// signal ended it.
func (t *tray) quit(sig syscall.Signal) (code int) {
	t.t.Helper()
	if err := syscall.Kill(t.PID(), sig); err != nil {
		t.t.Fatal(err)
	}
	return t.wait()
}

// item is an item of a menu, or the menu itself.
type item struct {
	id                 int32
	label              string
	separator, submenu bool
	enabled, visible   bool
	checkable, checked bool
	children           []item
}

// menu asks the program for its whole menu. systray leaves the submenus out of
// its first answer.
func (t *tray) menu() item {
	t.t.Helper()
	var m item
	eventually(t.t, "a menu with all its submenus", func() bool {
		var err error
		m, err = t.layout()
		return err == nil && m.complete()
	})
	return m
}

func (t *tray) layout() (item, error) {
	var revision uint32
	var layout []any
	err := t.obj.Call(menuInterface+".GetLayout", 0, int32(0), int32(-1), []string{}).Store(&revision, &layout)
	if err != nil {
		return item{}, err
	}
	return parseItem(layout)
}

// parseItem reads (ia{sv}av): an id, properties and children. A property that
// is left out has its default.
func parseItem(layout []any) (item, error) {
	if len(layout) != 3 {
		return item{}, fmt.Errorf("an item with %d parts", len(layout))
	}
	id, ok1 := layout[0].(int32)
	props, ok2 := layout[1].(map[string]dbus.Variant)
	children, ok3 := layout[2].([]dbus.Variant)
	if !ok1 || !ok2 || !ok3 {
		return item{}, fmt.Errorf("an item of %T, %T, %T", layout[0], layout[1], layout[2])
	}
	is := func(name string, value any) bool { return props[name].Value() == value }
	i := item{
		id: id, separator: is("type", "separator"), submenu: is("children-display", "submenu"),
		enabled: !is("enabled", false), visible: !is("visible", false),
		checkable: is("toggle-type", "checkmark"), checked: is("toggle-state", int32(1)),
	}
	i.label, _ = props["label"].Value().(string)
	for _, c := range children {
		parts, _ := c.Value().([]any)
		child, err := parseItem(parts)
		if err != nil {
			return item{}, err
		}
		i.children = append(i.children, child)
	}
	return i, nil
}

func (m item) complete() bool {
	for _, c := range m.children {
		if c.submenu && len(c.children) == 0 || !c.complete() {
			return false
		}
	}
	return true
}

// selectable reports whether a person can choose the item.
func (m item) selectable() bool { return m.visible && m.enabled && !m.separator }

// under reports whether the path begins with the item, and what follows.
func (m item) under(path string) (rest string, ok bool) {
	if path == m.label {
		return "", true
	}
	return strings.CutPrefix(path, m.label+"/")
}

// at finds an item by its path.
func (m item) at(path string) (item, bool) {
	for _, c := range m.children {
		if rest, ok := c.under(path); ok && !c.separator {
			if rest == "" {
				return c, true
			}
			if found, ok := c.at(rest); ok {
				return found, true
			}
		}
	}
	return item{}, false
}

// String is the menu as a person sees it.
func (m item) String() string {
	var b strings.Builder
	m.print(&b, "")
	return b.String()
}

func (m item) print(b *strings.Builder, indent string) {
	for _, c := range m.children {
		if !c.visible {
			continue
		}
		mark := map[bool]string{true: "[x] "}[c.checked]
		if c.checkable && !c.checked {
			mark = "[ ] "
		}
		text := mark + c.label
		if c.separator {
			text = "---"
		}
		if !c.enabled {
			text = "(" + text + ")"
		}
		fmt.Fprintf(b, "%s%s\n", indent, text)
		c.print(b, indent+"    ")
	}
}

// item waits for an item of that path: labels with slashes between, as in
// "OpenAI/ann@example.org/Refresh now". A label may have a slash itself.
func (t *tray) item(path string) item {
	t.t.Helper()
	var found item
	eventually(t.t, fmt.Sprintf("an item %q in the menu", path), func() (ok bool) {
		found, ok = t.menu().at(path)
		return ok
	})
	return found
}

// click chooses an item as a panel does, without one.
func (t *tray) click(path string) {
	t.t.Helper()
	err := t.obj.Call(menuInterface+".Event", 0, t.item(path).id, "clicked", dbus.MakeVariant(int32(0)), uint32(0)).Err
	if err != nil {
		t.t.Fatalf("clicking %q: %v", path, err)
	}
}

var buildTrayapp = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "trayapp")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Dir = "testdata/trayapp"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// trayapp is the program that the rig is tried on.
func trayapp(tb testing.TB) string {
	tb.Helper()
	path, err := buildTrayapp()
	if err != nil {
		tb.Fatalf("building trayapp: %v", err)
	}
	return path
}
