//go:build linux

package notify_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/notify"
)

const serverName = "org.freedesktop.Notifications"

// desktop is a bus with nobody on it, and a screen that nobody sees.
type desktop struct {
	*session.Session
	display string
	conn    *dbus.Conn // of the test
}

// newBus gives a desktop without a screen.
func newBus(t *testing.T) *desktop {
	t.Helper()
	s, err := session.StartBus(t.Context(), t.TempDir())
	if m, ok := errors.AsType[*session.MissingError](err); ok {
		skip(t, m.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &desktop{Session: s, conn: connect(t, s.Address())}
}

func newDesktop(t *testing.T) *desktop {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an X server")
	}
	d := newBus(t)
	xvfb := find(t, "xvfb", "Xvfb")
	find(t, "xdotool", "xdotool")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(xvfb, "-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset", "-ac")
	cmd.ExtraFiles = []*os.File{w}
	d.launch(t, cmd)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	d.display = ":" + strings.TrimSpace(number)
	return d
}

func connect(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// find returns the first of the programs that is there, or skips.
func find(t *testing.T, pkg string, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	skip(t, "program not found: "+strings.Join(programs, " or ")+" (Debian: apt-get install "+pkg+")")
	return ""
}

// launch starts a program that ends with the test.
func (d *desktop) launch(t *testing.T, cmd *exec.Cmd) (kill func()) {
	t.Helper()
	log := filepath.Join(t.TempDir(), filepath.Base(cmd.Path)+".log")
	p, err := d.Launch(cmd, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if text, err := os.ReadFile(log); err == nil && t.Failed() && len(text) > 0 {
			t.Logf("%s said:\n%.2000s", filepath.Base(cmd.Path), text)
		}
	})
	return p.Kill
}

// command is a program on the desktop, with an environment of its own.
func (d *desktop) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(name, args...)
	cmd.Env = append(d.Env(), "PATH="+os.Getenv("PATH"), "DISPLAY="+d.display, "HOME="+home, "LANG=C.UTF-8", "NO_AT_BRIDGE=1",
		"GTK_A11Y=none", "GSETTINGS_BACKEND=memory", "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home)
	return cmd
}

func (d *desktop) output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, _ := d.command(t, name, args...).Output()
	return strings.TrimSpace(string(out))
}

// shot keeps a picture of the screen with what the test leaves behind.
func (d *desktop) shot(t *testing.T, name string) {
	t.Helper()
	if program, err := exec.LookPath("import"); err == nil {
		d.output(t, program, "-window", "root", filepath.Join(t.ArtifactDir(), name+".png"))
	}
}

// server is a real notification server on a desktop.
type server struct {
	*desktop
	process *exec.Cmd
	kill    func()
	// bubbles is how many are on the screen.
	bubbles func(t *testing.T) int
	// press presses one of the buttons of signInNeeded. Where the server draws
	// none for a click on the bubble, "Open" is that.
	press func(t *testing.T, label string)
	// dismiss closes the newest bubble as a person does.
	dismiss func(t *testing.T)
}

var servers = map[string]func(*testing.T, *desktop) *server{"dunst": startDunst, "xfce4-notifyd": startXfce}

func (d *desktop) awaitServer(t *testing.T) {
	t.Helper()
	settle(t, "a notification server", func() bool {
		var owned bool
		err := d.conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, serverName).Store(&owned)
		return err == nil && owned
	})
}

// dunst draws no buttons; its menu of them is a program, here one that picks.
const dunstConfig = `[global]
dmenu = %DIR%/menu
follow = none
origin = top-right
offset = 10x10
width = 360
mouse_left_click = do_action
mouse_right_click = close_current
markup = %MARKUP%
`

const dunstMenu = `#!/bin/sh
exec grep -F -m1 -f %DIR%/pick
`

func startDunst(t *testing.T, d *desktop) *server {
	t.Helper()
	return startDunstWith(t, d, "full")
}

func startDunstWith(t *testing.T, d *desktop, markup string) *server {
	t.Helper()
	s := &server{desktop: d}
	dir := t.TempDir()
	for name, text := range map[string]string{"dunstrc": dunstConfig, "menu": dunstMenu} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.NewReplacer("%DIR%", dir, "%MARKUP%", markup).Replace(text)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.process = d.command(t, find(t, "dunst", "dunst"), "-conf", filepath.Join(dir, "dunstrc"))
	s.kill = d.launch(t, s.process)
	d.awaitServer(t)
	dunst := d.conn.Object(serverName, "/org/freedesktop/Notifications")
	s.bubbles = func(t *testing.T) int {
		t.Helper()
		v, err := dunst.GetProperty("org.dunstproject.cmd0.displayedLength")
		n, ok := v.Value().(uint32)
		if err != nil || !ok {
			t.Fatalf("dunst has %#v bubbles, %v", v, err)
		}
		return int(n)
	}
	s.press = func(t *testing.T, label string) {
		t.Helper()
		if label == "Open" {
			d.click(t, 600, 40, 1)
			return
		}
		if err := os.WriteFile(filepath.Join(dir, "pick"), []byte(label), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := dunst.Call("org.dunstproject.cmd0.ContextMenuCall", 0).Err; err != nil {
			t.Fatal(err)
		}
	}
	s.dismiss = func(t *testing.T) {
		t.Helper()
		d.click(t, 600, 40, 3)
	}
	return s
}

func startXfce(t *testing.T, d *desktop) *server {
	t.Helper()
	s := &server{desktop: d}
	program := find(t, "xfce4-notifyd", "xfce4-notifyd", "/usr/lib/"+machine(t)+"/xfce4/notifyd/xfce4-notifyd")
	d.serve(t, "org.xfce.Xfconf", find(t, "xfconf", "xfconfd", "/usr/lib/"+machine(t)+"/xfce4/xfconf/xfconfd"))
	s.process = d.command(t, program)
	s.kill = d.launch(t, s.process)
	d.awaitServer(t)
	windows := func(t *testing.T) []string {
		t.Helper()
		return strings.Fields(d.output(t, "xdotool", "search", "--onlyvisible", "--class", "xfce4-notifyd"))
	}
	s.bubbles = func(t *testing.T) int {
		t.Helper()
		return len(windows(t))
	}
	at := func(t *testing.T, where func(w, h int) (x, y int)) {
		t.Helper()
		geometry := map[string]int{}
		for line := range strings.Lines(d.output(t, "xdotool", "getwindowgeometry", "--shell", windows(t)[0])) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			geometry[name], _ = strconv.Atoi(value)
		}
		x, y := where(geometry["WIDTH"], geometry["HEIGHT"])
		d.click(t, geometry["X"]+x, geometry["Y"]+y, 1)
	}
	s.press = func(t *testing.T, label string) {
		t.Helper()
		third := slices.Index([]string{"Open", "Sign in", "Later"}, label)
		at(t, func(w, h int) (int, int) { return w * (2*third + 1) / 6, h - 25 })
	}
	s.dismiss = func(t *testing.T) {
		t.Helper()
		at(t, func(w, _ int) (int, int) { return w / 2, 20 })
	}
	return s
}

func machine(t *testing.T) string {
	t.Helper()
	matches, _ := filepath.Glob("/usr/lib/*-linux-gnu*/xfce4")
	if len(matches) == 0 {
		return "none"
	}
	return filepath.Base(filepath.Dir(matches[0]))
}

// serve lets the bus start a program for a name.
func (d *desktop) serve(t *testing.T, name, program string) {
	t.Helper()
	text := "[D-BUS Service]\nName=" + name + "\nExec=" + program + "\n"
	if err := os.WriteFile(filepath.Join(d.ServiceDir(), name+".service"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.conn.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
		t.Fatal(err)
	}
}

// click moves there first: dunst wants to have seen the pointer.
func (d *desktop) click(t *testing.T, x, y, button int) {
	t.Helper()
	d.output(t, "xdotool", "mousemove", "1", "1", "sleep", "0.1", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "sleep", "0.3", "click", strconv.Itoa(button))
}

// spy sees the calls to whoever shows notifications, and their signals.
type spy struct{ messages chan *dbus.Message }

func (d *desktop) newSpy(t *testing.T) *spy {
	t.Helper()
	c := connect(t, d.Address())
	rules := []string{"interface='" + serverName + "'"}
	if err := c.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, rules, uint32(0)).Err; err != nil {
		t.Fatal(err)
	}
	s := &spy{messages: make(chan *dbus.Message, 10_000)}
	c.Eavesdrop(s.messages)
	t.Cleanup(func() { c.Eavesdrop(nil) })
	return s
}

// next waits for a message of that name.
func (s *spy) next(t *testing.T, member string) *dbus.Message {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case m := <-s.messages:
			if m.Headers[dbus.FieldMember].Value() == member {
				return m
			}
		case <-late:
			t.Fatalf("nobody said %s", member)
		}
	}
}

// replaces returns which bubble the next notice takes the place of.
func (s *spy) replaces(t *testing.T) uint32 {
	t.Helper()
	return s.next(t, "Notify").Body[1].(uint32)
}

// answer is what a person did.
type answer struct{ cause, action string }

func open(t *testing.T, address string) (*notify.Bell, chan answer) {
	t.Helper()
	answers := make(chan answer, 10)
	b := notify.Open(notify.Options{
		App: "Keytray", Icon: "dialog-password", Bus: address,
		Acted: func(cause, action string) { answers <- answer{cause, action} },
	})
	t.Cleanup(b.Close)
	return b, answers
}

func send(t *testing.T, b *notify.Bell, n notify.Notice) {
	t.Helper()
	if err := b.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// settle waits until something is so.
func settle(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func awaitAnswer(t *testing.T, answers <-chan answer, want answer) {
	t.Helper()
	select {
	case got := <-answers:
		if got != want {
			t.Errorf("answer %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no answer, want %v", want)
	}
}

func (s *server) await(t *testing.T, want int) {
	t.Helper()
	settle(t, strconv.Itoa(want)+" bubbles", func() bool { return s.bubbles(t) == want })
}
