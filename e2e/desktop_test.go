//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/keychain/session"
)

// desktop is a rig that a person can look at: it has a screen, and whatever of
// a panel, a notification daemon and a password dialog a test asks for. All of
// it are the real programs, and none outlives the test.
type desktop struct {
	*rig
	bubbleLog
	bare     *picture // the panel before any icon was in it
	xfconf   *session.Program
	shell    *session.Program // the panel
	iconSeen time.Time        // when the panel first showed it
	notifier *session.Program
	daemon   string // the notifier's name
	older    int    // how many bubbles others have shown before it
	deaf     func() // ends what fills the bubbleLog
}

// newDesktop gives the rig a screen.
func newDesktop(tb testing.TB, r *rig) *desktop {
	tb.Helper()
	need(tb, "Xvfb", "xdotool")
	r.startDisplay()
	tb.Cleanup(func() {
		if tb.Failed() {
			r.screenshot("failed")
		}
	})
	r.writeAll(map[string]string{
		".config/gtk-3.0/settings.ini": "[Settings]\ngtk-enable-animations=0\n", // what has been drawn is what is meant
		panelFile:                      panelSettings,
	})
	return &desktop{rig: r}
}

// launched is a program of the desktop's.
type launched struct {
	*session.Program
	t   testing.TB
	log string
}

// launch starts a program in the desktop. Its log is searched for secrets like
// any other file of the rig.
func (r *rig) launch(argv ...string) launched {
	r.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = r.dir, r.env
	log := r.newLog(filepath.Base(argv[0]))
	p, err := r.bus.Launch(cmd, log)
	if err != nil {
		r.t.Fatal(err)
	}
	return launched{p, r.t, log}
}

// said is all that the program has printed so far.
func (l launched) said() string {
	l.t.Helper()
	b, err := os.ReadFile(l.log)
	if err != nil {
		l.t.Error(err)
	}
	return string(b)
}

// wait waits for the program's end.
func (l launched) wait() (code int) {
	l.t.Helper()
	select {
	case <-l.Done():
	case <-time.After(30 * time.Second):
		l.t.Fatalf("%s did not end\n%s", filepath.Base(l.log), l.said())
	}
	if exit := (*exec.ExitError)(nil); errors.As(l.Wait(), &exit) {
		return exit.ExitCode()
	}
	return 0
}

// await waits until ok answers true, and no longer than the program lives.
func (l launched) await(what string, ok func() bool) {
	l.t.Helper()
	eventually(l.t, what, func() bool {
		select {
		case <-l.Done():
			l.t.Fatalf("%s has ended: %v\n%s", filepath.Base(l.log), l.Wait(), l.said())
		default:
		}
		return ok()
	})
}

// find returns the path of a program that is not on the PATH: desktops keep
// their daemons elsewhere, and where depends on the architecture.
func find(tb testing.TB, name string, patterns ...string) string {
	tb.Helper()
	for _, p := range patterns {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[0]
		}
	}
	need(tb, name)
	return name
}

// connect is a connection to the bus for the test itself.
func (r *rig) connect() *dbus.Conn {
	r.t.Helper()
	c, err := dbus.Connect(r.bus.Address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// owned reports whether a name is taken on the bus.
func (r *rig) owned(name string) bool {
	c, err := dbus.Connect(r.bus.Address())
	if err != nil {
		return false
	}
	defer c.Close()
	var owned bool
	return c.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned) == nil && owned
}

// serve starts a program and waits until it has its name on the bus.
func (d *desktop) serve(name string, argv ...string) *session.Program {
	d.t.Helper()
	eventually(d.t, "the end of another "+name, func() bool { return !d.owned(name) })
	p := d.launch(argv...)
	p.await(name+" on the bus", func() bool { return d.owned(name) })
	return p.Program
}

// startXfconf starts what keeps the settings of xfce's programs. On a real
// desktop the bus would start it.
func (d *desktop) startXfconf() {
	d.t.Helper()
	const name = "org.xfce.Xfconf"
	if !d.owned(name) {
		d.xfconf = d.serve(name, find(d.t, "xfconfd", "/usr/lib/*/xfce4/xfconf/xfconfd", "/usr/lib/xfce4/xfconf/xfconfd"))
	}
}

// restartBus ends the session bus, with all that cannot live without it, and
// starts it again at the same address. The keyring is there afterwards, the
// panel and the notification daemon are not.
func (d *desktop) restartBus() {
	d.t.Helper()
	for _, p := range []*session.Program{d.shell, d.notifier, d.xfconf} {
		p.Kill()
	}
	if err := d.bus.RestartBus(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// xdotool is the person's hand.
func (d *desktop) xdotool(args ...string) string {
	d.t.Helper()
	out, err := d.hand(args...)
	if err != nil {
		d.t.Fatalf("xdotool %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (d *desktop) hand(args ...string) (string, error) {
	cmd := exec.Command("xdotool", args...)
	cmd.Env = d.env
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// windows are the visible windows of a program's class or with such a title,
// oldest first.
func (d *desktop) windows(by, pattern string) []string {
	out, _ := d.hand("search", "--onlyvisible", by, pattern) // it fails where there is none
	ids := strings.Fields(out)
	slices.SortFunc(ids, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return ids
}

// TestNothingOfTheDesktopOutlivesTheTest runs itself and kills it, with a
// panel, a notification daemon, a program in the tray and an open browser.
func TestNothingOfTheDesktopOutlivesTheTest(t *testing.T) {
	const variable = "E2E_KILL_ME"
	if ready := os.Getenv(variable); ready != "" {
		d := newDesktop(t, newRig(t))
		d.panel()
		d.notifications(dunst)
		d.startTray(trayapp(t))
		d.installBrowser("alice")
		d.person("alice", "wait")
		d.launch("xdg-open", d.srv.issuer)
		d.awaitPerson()
		d.write(ready, d.dir+" "+d.display)
		_, _ = io.Copy(io.Discard, os.Stdin) // ends if whoever was to kill it was killed
		return
	}
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", dunst, "chromium")
	tmp := shortDir(t)
	ready := filepath.Join(tmp, "ready")
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), variable+"="+ready, "TMPDIR="+tmp, programsVariable+"="+filepath.Dir(trayapp(t)))
	var said bytes.Buffer
	victim.Stdout = &said
	if _, err := victim.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- victim.Wait() }()
	var dir string
	var display int
	eventually(t, "the desktop", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the test to be killed has ended: %v\n%s", err, &said)
		default:
		}
		text, _ := os.ReadFile(ready)
		n, _ := fmt.Sscanf(string(text), "%s :%d", &dir, &display)
		return n == 2
	})
	if lock := lockDisplay(display); lock != nil {
		t.Errorf("display %d is in use and can be taken", display)
	}
	if n := len(processesWith(dir)); n < 12 {
		t.Errorf("only %d programs are in the desktop, so this proves little", n)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	var left []string
	began := time.Now()
	eventually(t, "the end of the desktop", func() bool {
		left = processesWith(dir)
		return len(left) == 0 || time.Since(began) > 5*time.Second
	})
	if len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	lock := lockDisplay(display)
	if lock == nil {
		t.Fatalf("display %d cannot be taken again", display)
	}
	lock.Close()
}
