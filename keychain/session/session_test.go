//go:build linux

package session_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
)

// start gives a session, or skips where its programs are missing. In CI they
// have to be there.
func start(t *testing.T, dir string) *session.Session {
	t.Helper()
	s, err := session.Start(t.Context(), dir)
	return started(t, s, err)
}

func started(t *testing.T, s *session.Session, err error) *session.Session {
	t.Helper()
	if m, ok := errors.AsType[*session.MissingError](err); ok && os.Getenv("CI") != "true" {
		t.Skip(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStartGivesAnUnlockedKeyringInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if s.BusPID() == 0 || s.KeyringPID() == 0 {
		t.Fatal("no daemons")
	}
	files, err := filepath.Glob(filepath.Join(dir, "data", "keyrings", "login.keyring"))
	if err != nil || len(files) != 1 {
		t.Errorf("login.keyring in %s: %v, %v", dir, files, err)
	}
	for _, want := range []string{"DBUS_SESSION_BUS_ADDRESS=" + s.Address(), "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run")} {
		if env := strings.Join(s.Env(), "\n"); !strings.Contains(env, want) {
			t.Errorf("Env() = %s, want %s", env, want)
		}
	}
}

func TestALongDirectoryWorks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "data", "keyrings", "login.keyring")); err != nil {
		t.Error(err)
	}
}

func TestTheKeyringComesBackAfterAKill(t *testing.T) {
	s := start(t, t.TempDir())
	old := s.KeyringPID()
	if err := s.RestartKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.KeyringPID() == old {
		t.Error("the same process")
	}
	if err := s.Lock(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheBusComesBackAtItsAddress(t *testing.T) {
	s := start(t, t.TempDir())
	address, bus, keyring := s.Address(), s.BusPID(), s.KeyringPID()
	if err := s.RestartBus(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Address() != address {
		t.Errorf("the address is %s, want %s", s.Address(), address)
	}
	if s.BusPID() == bus || s.KeyringPID() == keyring {
		t.Error("the same processes")
	}
	if err := s.Lock(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestALaunchedProgramAndItsChildrenAreKilled has a shell with a child.
func TestALaunchedProgramAndItsChildrenAreKilled(t *testing.T) {
	s := start(t, t.TempDir())
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	p, err := s.Launch(cmd, log)
	if err != nil {
		t.Fatal(err)
	}
	var child int
	for tick := time.NewTicker(5 * time.Millisecond); child == 0; <-tick.C {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Sscan(string(text), &child)
	}
	p.Kill()
	if err := p.Wait(); err == nil {
		t.Error("it ended well, want a signal")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	waitGone(t, ctx, child)
	p.Kill() // once more does nothing
}

func TestABusAlone(t *testing.T) {
	only := t.TempDir()
	if daemon, err := exec.LookPath("dbus-daemon"); err == nil {
		if err := os.Symlink(daemon, filepath.Join(only, "dbus-daemon")); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", only)
	s, err := session.StartBus(t.Context(), t.TempDir())
	started(t, s, err)
	if s.KeyringPID() != 0 {
		t.Error("it has a keyring")
	}
	old, address := s.BusPID(), s.Address()
	if err := s.RestartBus(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.BusPID() == old || s.Address() != address {
		t.Errorf("process %d at %s, then %d at %s", old, address, s.BusPID(), s.Address())
	}
}

func TestCloseTwice(t *testing.T) {
	s := start(t, t.TempDir())
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// TestTheDaemonsEndWithTheirParent runs itself as a parent and kills it.
func TestTheDaemonsEndWithTheirParent(t *testing.T) {
	if dir := os.Getenv("KEYTRAY_TEST_PARENT"); dir != "" {
		s := start(t, dir)
		fmt.Printf("pids %d %d\n", s.BusPID(), s.KeyringPID())
		select {}
	}
	start(t, t.TempDir()) // skips here where it cannot work
	parent := exec.Command(os.Args[0], "-test.run=^TestTheDaemonsEndWithTheirParent$", "-test.v")
	parent.Env = append(os.Environ(), "KEYTRAY_TEST_PARENT="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); pids == nil && lines.Scan(); {
		var a, b int
		if n, _ := fmt.Sscanf(lines.Text(), "pids %d %d", &a, &b); n == 2 {
			pids = []int{a, b}
		}
	}
	if pids == nil {
		t.Fatal("the parent did not start its session")
	}
	// Stopped processes die of SIGKILL only, not because their bus went away.
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, pid := range pids {
		waitGone(t, ctx, pid)
	}
}

func waitGone(t *testing.T, ctx context.Context, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for running(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("process %d lives on without its parent", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}

// running reports whether a process is there and no zombie: in a container
// there may be nobody who waits for it.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := session.Start(t.Context(), t.TempDir())
	m, ok := errors.AsType[*session.MissingError](err)
	if !ok {
		t.Fatalf("Start() = %v, want a MissingError", err)
	}
	if got := strings.Join(m.Packages, " "); got != "dbus gnome-keyring" {
		t.Errorf("packages = %s", got)
	}
}
