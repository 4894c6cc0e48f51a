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
	"time"
)

var buildForWindows = sync.OnceValues(func() (folder string, err error) {
	folder = filepath.Join(filepath.Dir(binary), "windows")
	for program, flags := range map[string]string{"keytray": "-s -w", "tray": "-s -w -H=windowsgui"} {
		path := filepath.Join(folder, program+".exe")
		if exists(path) {
			continue
		}
		build := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", path, "../cmd/"+program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
	}
	return folder, nil
})

// windows is a Windows on the desktop: Wine. Its icons are in the panel.
type windows struct {
	*desktop
	wine, server string
	programs     string // folder of our own
	prefix       string
}

// newWindows makes a Windows that nobody has used yet, and has the rig's keytray
// run there. Programs of Go ask for a library that this Wine does not have.
func newWindows(t *testing.T, d *desktop) *windows {
	t.Helper()
	need(t, "x86_64-w64-mingw32-gcc")
	w := &windows{
		desktop: d, prefix: filepath.Join(t.TempDir(), "prefix"),
		wine:   find(t, "wine64", "/usr/lib/wine/wine64"),
		server: find(t, "wineserver64", "/usr/lib/wine/wineserver64", "/usr/bin/wineserver"),
	}
	d.env = slices.DeleteFunc(d.env, func(entry string) bool { return strings.HasPrefix(entry, "KEYTRAY_STATE_DIR=") })
	d.env = append(d.env, "WINEPREFIX="+w.prefix, "WINEARCH=win64", "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=",
		"Keytray_State_Dir=Z:"+strings.ReplaceAll(d.root, "/", `\`)) // Windows does not mind the case
	t.Cleanup(func() { _ = w.command(w.server, "-k").Run() }) // fails if it has ended by itself
	if w.command(w.wine, "wineboot", "-i").Run() != nil {     // under load it gives up on itself
		w.do(w.wine, "wineboot", "-i")
	}
	w.do(w.server, "-w")
	w.do("x86_64-w64-mingw32-gcc", "-shared", "-o", filepath.Join(w.prefix, "drive_c/windows/system32/bcryptprimitives.dll"),
		"../keychain/testdata/processprng.c", "-ladvapi32")
	w.do(w.wine, "reg", "add", `HKCU\Software\Microsoft\Windows\CurrentVersion\Themes\Personalize`,
		"/v", "SystemUsesLightTheme", "/t", "REG_DWORD", "/d", "1") // the panel is light
	programs, err := buildForWindows()
	if err != nil {
		t.Fatalf("building for Windows: %v", err)
	}
	w.programs = programs
	d.under, d.program = []string{w.wine}, filepath.Join(programs, "keytray.exe")
	return w
}

func (w *windows) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = slices.Concat(w.env, []string{"DISPLAY="})
	return cmd
}

func (w *windows) do(name string, args ...string) {
	w.t.Helper()
	if out, err := w.command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// startTray starts the tray and waits for its icon. Now and then Wine draws none,
// of any program; then the tray is started again.
func (w *windows) startTray() launched {
	w.t.Helper()
	for range 4 {
		p, began := w.launch(w.wine, filepath.Join(w.programs, "tray.exe")), time.Now()
		p.await("an icon, or none for long", func() bool { return w.iconVisible() || time.Since(began) > 10*time.Second })
		if w.iconVisible() {
			w.t.Cleanup(func() {
				if w.t.Failed() {
					w.t.Logf("the tray's log:\n%s\nand what it said:\n%s", w.own("tray.log"), p.said())
				}
			})
			return p
		}
		p.Kill()
	}
	w.t.Fatalf("there is no icon in the panel\n%s", w.own("tray.log"))
	return launched{}
}

// own is the text of a file in Keytray's own folder, empty if there is none.
func (w *windows) own(name string) string {
	found, _ := filepath.Glob(filepath.Join(w.prefix, "drive_c/users/*/AppData/Local/keytray", name))
	if len(found) == 0 {
		return ""
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		w.t.Error(err)
	}
	return string(b)
}

// ink are points of the icon that are drawn, far from each other first.
func (w *windows) ink() (points []image.Point) {
	w.t.Helper()
	w.mouseAway()
	w.iconAt()
	now := w.still(panelStrip)
	for _, step := range []int{5, 3} {
		for y := now.Min.Y; y < now.Max.Y; y += step {
			for x := now.Min.X; x < now.Max.X; x += step {
				if now.at(x, y) != w.bare.at(x, y) {
					points = append(points, image.Pt(x, y))
				}
			}
		}
	}
	return points
}

// openMenu clicks at the icon and returns where the menu is. Wine's icons have
// the shape of what is drawn, with holes, and it leaves some of an older drawing
// beside them; a click there is not for the icon.
func (w *windows) openMenu() (menu image.Rectangle) {
	w.t.Helper()
	for _, at := range w.ink() {
		before, clicked := w.snap(belowPanel), time.Now()
		w.mouseClick(at)
		eventuallyEach(w.t, look, "what a click does", func() bool {
			return !w.changed(before).Empty() || time.Since(clicked) > 2*time.Second
		})
		if menu := differing(before, w.still(belowPanel)); !menu.Empty() {
			return menu
		}
	}
	w.t.Fatal("no point of the icon opens a menu")
	return menu
}

// choose opens the menu and presses keys there.
func (w *windows) choose(keys ...string) {
	w.t.Helper()
	w.openMenu()
	for _, k := range keys {
		w.key(k)
	}
}

// refreshNow is where the keys go for the first login's first item.
var refreshNow = []string{"Down", "Down", "Right", "Right"}

// TestTheTrayOnWindows: Wine, with a panel for its icons. A login that the
// command made there is shown and renewed by a worker, a setting is kept, and
// the tray ends by its menu; then with the session, after a renewal has ended.
func TestTheTrayOnWindows(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	d := newDesktop(t, newRig(t))
	w := newWindows(t, d)
	d.panel()
	id := d.login("ann")
	generation := func() uint64 { return d.profiles("")[id].Keytray.Generation }
	tr := w.startTray()
	if menu := w.openMenu(); menu.Dx() < 2*panelHeight || menu.Dy() < 4*panelHeight {
		t.Errorf("the menu is at %v, want some lines", menu)
	}
	d.screenshot("menu")
	d.key("Escape")
	w.choose(refreshNow...)
	d.screenshot("login")
	d.key("Return")
	eventually(t, "a renewal", func() bool { return generation() == 2 })

	d.mouseAway()
	normal := d.still(panelStrip)
	w.choose("Up", "Up", "Up", "Up", "Return")
	eventually(t, "the setting in its file", func() bool { return strings.Contains(w.own("tray.json"), `"paused": true`) })
	d.awaitChange("another icon", normal)
	d.mouseAway()
	d.screenshot("paused")
	w.choose("Up", "Return")
	if code := tr.wait(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	d.awaitNoIcon()

	tr = w.startTray()
	w.choose(refreshNow...)
	d.srv.holdAnswer(2500 * time.Millisecond) // Wine kills who has not ended after a second
	d.key("Return")
	eventually(t, "a second renewal at the server", func() bool { return len(d.srv.ledger().Refreshes) == 2 })
	ended := make(chan error, 1)
	go func() { ended <- w.command(w.wine, "wineboot", "--end-session").Run() }()
	tr.wait()
	if got := generation(); got != 3 {
		t.Errorf("the session ended the tray with generation %d, want 3: it did not wait for its worker", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("ending the session: %v", err)
	}
}
