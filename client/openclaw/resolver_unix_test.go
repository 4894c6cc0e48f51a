//go:build !windows

package openclaw_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/client/openclaw"
)

func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheResolverIsAFileAsOpenClawWantsIt(t *testing.T) {
	t.Parallel()
	self, data := program(t, "first"), t.TempDir()
	path := openclaw.Resolver(data)
	must := func(want bool) {
		t.Helper()
		if changed, err := openclaw.Install(self, data); err != nil || changed != want {
			t.Fatalf("Install: changed %v, %v; want %v", changed, err, want)
		}
		if why, err := openclaw.Wrong(self, data); why != "" || err != nil {
			t.Fatalf("after Install the resolver %s, %v", why, err)
		}
		fi, err := os.Lstat(path)
		if err != nil || fi.Mode() != 0o755 {
			t.Fatalf("the resolver has mode %v, %v", fi.Mode(), err)
		}
	}
	must(true)
	must(false)
	for what, spoil := range map[string]func() error{
		"another version": func() error { return os.WriteFile(self, []byte("second"), 0o600) },
		"longer":          func() error { return os.WriteFile(path, []byte("second, and more"), 0o600) },
		"writable":        func() error { return os.Chmod(path, 0o775) },
		"not executable":  func() error { return os.Chmod(path, 0o644) },
		"a link":          func() error { return errors.Join(os.Remove(path), os.Symlink(self, path)) },
		"missing":         func() error { return os.Remove(path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if why, _ := openclaw.Wrong(self, data); why == "" {
			t.Errorf("%s: nothing is wrong", what)
		}
		must(true)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAFolderThatOthersCouldWriteGetsNoResolver(t *testing.T) {
	t.Parallel()
	self, data := program(t, "first"), t.TempDir()
	if err := os.Mkdir(filepath.Join(data, "keytray"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(data, "keytray", "bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := openclaw.Install(self, data); err == nil {
		t.Error("the resolver was put where a link leads")
	}
}

// TestAProgramThatHangsIsEnded uses a program that starts another one, as
// OpenClaw does, which keeps the output open.
func TestAProgramThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for a hanging program")
	}
	dir := t.TempDir()
	p, err := openclaw.Find(program(t, "#!/bin/sh\nsleep 600 &\necho $! >"+filepath.Join(dir, "child")+"\nwait\n"), []string{"PATH=/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if _, err := p.Version(ctx); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("Version of a program that hangs: %v after %v", err, time.Since(began))
	}
	pid, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	for late := time.After(20 * time.Second); alive(child); { // a kill takes its time
		select {
		case <-late:
			t.Fatal("what it started lives on")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// alive: an orphan that nobody buries still has a number.
func alive(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return syscall.Kill(pid, 0) == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAProgramsVersionDecides(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]error{"2026.3.2": openclaw.ErrTooOld, "2026.3.7": nil} {
		p, err := openclaw.Find(program(t, "#!/bin/sh\necho OpenClaw "+said+"\n"), []string{"PATH=/usr/bin:/bin"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Version(t.Context()); !errors.Is(err, want) {
			t.Errorf("Version of %s: %v, want %v", said, err, want)
		}
	}
}
