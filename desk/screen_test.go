//go:build linux

package desk_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/desk"
)

// find returns the program's path, or skips the test; where CI=true it fails.
func find(t *testing.T, pkg, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("%s is not installed (Debian: apt-get install %s)", program, pkg)
	}
	return path
}

// screen is an X server that nobody sees.
type screen struct {
	t       *testing.T
	display string
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an X server")
	}
	find(t, "xvfb", "Xvfb")
	find(t, "xdotool", "xdotool")
	return &screen{t, startDisplay(t)}
}

// startDisplay starts an X server that nobody sees on a display number of its own:
// servers that look for a free one at the same moment take each other's sockets.
func startDisplay(t *testing.T) (display string) {
	t.Helper()
	for n := 700; n < 700+100; n++ {
		lock, err := os.OpenFile(fmt.Sprintf("/tmp/.keytray-display-%d", n), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		ok := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && tryDisplay(t, n, lock)
		lock.Close() // Xvfb has it too
		if ok {
			return fmt.Sprintf(":%d", n)
		}
	}
	t.Fatal("starting Xvfb: no display is free, or it does not start")
	return ""
}

func tryDisplay(t *testing.T, n int, lock *os.File) bool {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", fmt.Sprintf(":%d", n), "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset", "-ac")
	cmd.ExtraFiles = []*os.File{w, lock}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it removes its socket
		_ = cmd.Wait()
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		end()
		return false
	}
	t.Cleanup(end)
	return true
}

// environ is that of a program on the screen; more comes last.
func (s *screen) environ(more ...string) []string {
	env := append(os.Environ(), "DISPLAY="+s.display, "WAYLAND_DISPLAY=", "NO_AT_BRIDGE=1", "GTK_A11Y=none", "XDG_CURRENT_DESKTOP=", "TERMINAL=", "LC_ALL=C.UTF-8")
	return append(env, more...)
}

func (s *screen) desk(more ...string) desk.Desk { return desk.Desk{Environ: s.environ(more...)} }

// run runs a program on the screen and returns what it prints.
func (s *screen) run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.WaitDelay = s.environ(), time.Second
	out, err := cmd.Output()
	return string(out), err
}

// windows returns the ids of the visible windows with a title that matches.
func (s *screen) windows(title string) []string {
	out, _ := s.run("xdotool", "search", "--onlyvisible", "--name", title)
	return strings.Fields(out)
}

// await waits for a window, and returns its id and the process that shows it.
func (s *screen) await(title string) (id string, pid int) {
	s.t.Helper()
	settle(s.t, "a window "+title, func() bool {
		all := s.windows(title)
		if len(all) == 0 {
			return false
		}
		out, err := s.run("xdotool", "getwindowpid", all[0])
		if err != nil {
			return false
		}
		id = all[0]
		_, err = fmt.Sscan(out, &pid)
		return err == nil
	})
	return id, pid
}

// answer waits for a window and presses keys in it until it is gone: there is no
// window manager, and a dialog may not yet listen when it is seen.
func (s *screen) answer(title string, keys ...string) {
	s.t.Helper()
	s.await(title)
	s.picture(title)
	settle(s.t, "the end of "+title, func() bool {
		for _, id := range s.windows(title) {
			_, _ = s.run("xdotool", "windowfocus", "--sync", id)
			for _, k := range keys {
				if text, ok := strings.CutPrefix(k, "text:"); ok {
					_, _ = s.run("xdotool", "key", "--clearmodifiers", "ctrl+a")
					_, _ = s.run("xdotool", "type", "--delay", "1", text)
				} else {
					_, _ = s.run("xdotool", "key", k)
				}
			}
		}
		gone := time.Now().Add(500 * time.Millisecond)
		for len(s.windows(title)) > 0 {
			if time.Now().After(gone) {
				return false
			}
		}
		return true
	})
}

// picture keeps what is seen, where the tests keep artifacts.
func (s *screen) picture(name string) {
	if _, err := exec.LookPath("import"); err != nil {
		return
	}
	file := filepath.Join(s.t.ArtifactDir(), strings.ReplaceAll(name, " ", "-")+".png")
	_, _ = s.run("import", "-window", "root", file)
}

// settle waits for something that happens by itself soon.
func settle(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still no %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// alive reports whether a process runs, and is more than a body to be buried.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
