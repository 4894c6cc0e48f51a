//go:build linux

package keychain_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// screen is an X server that nobody sees, for the dialogs of real programs.
type screen struct{ display string }

func newScreen(t *testing.T) *screen {
	t.Helper()
	xvfb := find(t, "xvfb", "Xvfb")
	find(t, "xdotool", "xdotool")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.CommandContext(t.Context(), xvfb, "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset", "-ac")
	cmd.ExtraFiles = []*os.File{w}
	launch(t, cmd)
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return &screen{":" + strings.TrimSpace(number)}
}

// launch starts a program that ends with the test.
func launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(t.TempDir(), filepath.Base(cmd.Path)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() && len(text) > 0 {
			t.Logf("%s said:\n%.2000s", filepath.Base(cmd.Path), text)
		}
	})
}

func (s *screen) xdotool(args ...string) (string, error) {
	cmd := exec.Command("xdotool", args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+s.display)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// windows returns the ids of the visible windows with a title that matches.
func (s *screen) windows(title string) []string {
	out, _ := s.xdotool("search", "--onlyvisible", "--name", title)
	return strings.Fields(out)
}

// answer waits for a window and presses the keys in it until it is
// gone: there is no window manager, and a dialog may not yet listen when it is seen.
func (s *screen) answer(t *testing.T, title string, keys ...string) {
	t.Helper()
	settle(t, "a window "+title, func() bool { return len(s.windows(title)) > 0 })
	settle(t, "the window's end", func() bool {
		for _, id := range s.windows(title) {
			_, _ = s.xdotool("windowfocus", "--sync", id)
			for _, k := range keys {
				if text, ok := strings.CutPrefix(k, "text:"); ok {
					_, _ = s.xdotool("key", "--clearmodifiers", "ctrl+a")
					_, _ = s.xdotool("type", "--delay", "1", text)
				} else {
					_, _ = s.xdotool("key", k)
				}
			}
		}
		gone := time.After(500 * time.Millisecond)
		for {
			select {
			case <-gone:
				return len(s.windows(title)) == 0
			case <-time.After(20 * time.Millisecond):
				if len(s.windows(title)) == 0 {
					return true
				}
			}
		}
	})
}

// activate lets the bus start a program for a name, on the screen.
func (s *screen) activate(t *testing.T, name, program string) {
	t.Helper()
	file := filepath.Join(desktop.ServiceDir(), name+".service")
	text := fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s\n", name, program)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := busConn(t)
	reload := func() {
		if err := bus.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
			t.Error(err)
		}
	}
	environment := map[string]string{"DISPLAY": s.display, "NO_AT_BRIDGE": "1", "GTK_A11Y": "none"}
	if err := bus.BusObject().Call("org.freedesktop.DBus.UpdateActivationEnvironment", 0, environment).Err; err != nil {
		t.Fatal(err)
	}
	reload()
	t.Cleanup(func() {
		_ = os.Remove(file)
		reload()
		var pid int
		if bus.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&pid) == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		bus.Close()
	})
}

func busConn(t *testing.T) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(desktop.Address())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// spy counts the calls of a method on the bus, by whomever.
type spy struct {
	messages chan *dbus.Message
	seen     int
}

func newSpy(t *testing.T, rule string) *spy {
	t.Helper()
	c := busConn(t)
	if err := c.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, []string{rule}, uint32(0)).Err; err != nil {
		t.Fatal(err)
	}
	s := &spy{messages: make(chan *dbus.Message, 1000)}
	c.Eavesdrop(s.messages)
	t.Cleanup(func() {
		c.Eavesdrop(nil)
		c.Close()
	})
	return s
}

func (s *spy) count() int {
	for {
		select {
		case m := <-s.messages:
			if m.Type == dbus.TypeMethodCall { // a monitor is told of the loss of its name, too
				s.seen++
			}
		default:
			return s.seen
		}
	}
}
