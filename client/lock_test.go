package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/machine"
)

const (
	codexFile    = `{"tokens":{"access_token":"a","refresh_token":"r","id_token":"i"},"last_refresh":"2026-11-23T01:49:34Z"}`
	claudeFile   = `{"claudeAiOauth":{"accessToken":"sk-ant-oat01-1"}}`
	openclawFile = `{"profiles":{"openai-codex:rig@example.com":{"type":"oauth","provider":"openai-codex","access":"a","refresh":"r"}}}`
	piFile       = `{"a":{"type":"oauth","refresh":"r1","access":"a1"}}`
)

// owner is a program that locks, a file of it, the name of a login in that, and
// how many locks it takes.
type owner struct {
	program, text, name string
	locks               int
}

var owned = []owner{
	{"codex", codexFile, "tokens", 2},
	{"claude", claudeFile, "claudeAiOauth", 3},
	{"openclaw", openclawFile, "openai-codex:rig@example.com", 2},
	{"pi", piFile, "a", 1},
}

// TestLocksAreTheOwners: the very paths, in the very order, that the programs were
// seen to take.
func TestLocksAreTheOwners(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"codex":  {".codex/auth.lock", ".codex/auth.json.lock"},
		"claude": {".claude/.oauth_refresh.lock", ".claude.lock", ".claude/.storage-write.lock"},
		"openclaw": {
			".openclaw/locks/oauth-refresh/sha256-c48ef41f696f784ac8491bea1cf7ec3bc86e7ac89e1ee4b286bb1a2df30487ab.lock",
			".openclaw/agents/main/agent/auth-profiles.json.lock",
		},
		"pi": {".pi/agent/auth.json.lock"},
	}
	for _, o := range owned {
		h := newHome(t, o.program, o.text)
		paths, err := h.src.LockPaths(o.name)
		must(t, err)
		var got []string
		for _, p := range paths {
			rel, err := filepath.Rel(h.dir, p)
			must(t, err)
			got = append(got, filepath.ToSlash(rel))
		}
		if strings.Join(got, " ") != strings.Join(want[o.program], " ") {
			t.Errorf("%s: locks %q, want %q", o.program, got, want[o.program])
		}
	}
}

// TestOpenClawsLocksOfAnAgentElsewhere: that of a renewal stays in the state folder.
func TestOpenClawsLocksOfAnAgentElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t, "openclaw", openclawFile)
	inside, err := h.src.LockPaths("openai-codex:rig@example.com")
	must(t, err)
	p := h.places()
	p.AgentDir = filepath.Join(h.dir, "elsewhere")
	must(t, os.Rename(filepath.Dir(h.src.Path), p.AgentDir))
	found, err := client.Find("openclaw", p)
	must(t, err)
	if len(found) != 1 || filepath.Dir(found[0].Path) != p.AgentDir {
		t.Fatalf("found %v, want the file in %s", found, p.AgentDir)
	}
	got, err := found[0].LockPaths("openai-codex:rig@example.com")
	must(t, err)
	if want := []string{inside[0], found[0].Path + ".lock"}; !slices.Equal(got, want) {
		t.Errorf("locks %q, want %q", got, want)
	}
}

// TestAnOwnerAtWorkIsWaitedFor, for each of its locks, and none of ours is left
// behind.
func TestAnOwnerAtWorkIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, o := range owned {
		for i := range o.locks {
			t.Run(fmt.Sprintf("%s lock %d", o.program, i), func(t *testing.T) {
				t.Parallel()
				h := newHome(t, o.program, o.text)
				paths, err := h.src.LockPaths(o.name)
				must(t, err)
				release := take(t, o.program, paths[i])
				soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				if _, err := h.src.Hold(soon, o.name); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("held while the owner works: %v", err)
				}
				h.lockFree(o.program, paths[:i]...)
				time.AfterFunc(100*time.Millisecond, release)
				held, err := h.src.Hold(t.Context(), o.name)
				must(t, err)
				h.lockTaken(o.program, paths...)
				held.Close()
				h.lockFree(o.program, paths...)
			})
		}
	}
}

func TestAnOwnerThatWorksForLongIsBusy(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 10 s")
	}
	t.Parallel()
	h := newHome(t, "pi", piFile)
	take(t, "pi", h.src.Path+".lock")
	began := time.Now()
	if _, err := h.src.Hold(t.Context(), "a"); !errors.Is(err, client.ErrBusy) {
		t.Errorf("hold: %v, want ErrBusy", err)
	}
	if took := time.Since(began); took < 9*time.Second || took > 20*time.Second {
		t.Errorf("it waited for %v, want 10 s", took)
	}
}

// TestALockThatAKilledOwnerLeftIsTakenOver by the rule of that owner, and a fresh
// one is not.
func TestALockThatAKilledOwnerLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	gone := dead(t)
	folder := func(path string) error { return os.Mkdir(path, 0o700) }
	file := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	for _, c := range []struct {
		what, program string
		leave         func(path string) error
		age           time.Duration
		stale         bool
	}{
		{"pi, fresh", "pi", folder, 20 * time.Second, false},
		{"pi, old", "pi", folder, 40 * time.Second, true},
		{"claude, fresh", "claude", folder, 40 * time.Second, false},
		{"claude, old", "claude", folder, 70 * time.Second, true},
		{"openclaw, a dead process", "openclaw", file(fmt.Sprintf(`{"pid":%d,"createdAt":"x"}`, gone)), 0, true},
		{"openclaw, another process of that number", "openclaw", file(fmt.Sprintf(`{"pid":%d,"starttime":1}`, os.Getpid())), 0, runtime.GOOS == "linux"},
		{"openclaw, a living process", "openclaw", file(fmt.Sprintf(`{"pid":%d}`, os.Getpid())), time.Hour, false},
		{"openclaw, nobody, fresh", "openclaw", file(`{}`), 0, false},
		{"openclaw, nobody, old", "openclaw", file(`{}`), 4 * time.Minute, true},
		{"openclaw, a folder, fresh", "openclaw", folder, 0, false},
		{"openclaw, a folder, old", "openclaw", folder, 4 * time.Minute, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			o := ownedBy(c.program)
			h := newHome(t, o.program, o.text)
			paths, err := h.src.LockPaths(o.name)
			must(t, err)
			must(t, os.MkdirAll(filepath.Dir(paths[0]), 0o700))
			must(t, c.leave(paths[0]))
			then := time.Now().Add(-c.age)
			must(t, os.Chtimes(paths[0], then, then))
			soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			held, err := h.src.Hold(soon, o.name)
			if (err == nil) != c.stale {
				t.Errorf("hold: %v, want it taken over: %v", err, c.stale)
			}
			if err == nil {
				held.Close()
			}
		})
	}
}

// TestALockThatWasTakenAwayProtectsNothing: its new holder may be at work, so the
// file is not written, and the new holder's lock stays.
func TestALockThatWasTakenAwayProtectsNothing(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"pi", "openclaw", "claude"} {
		o := ownedBy(program)
		h := newHome(t, o.program, o.text)
		paths, err := h.src.LockPaths(o.name)
		must(t, err)
		held, err := h.src.Hold(t.Context(), o.name)
		must(t, err)
		must(t, os.Remove(paths[0]))
		time.Sleep(10 * time.Millisecond) // file times are coarse
		take(t, program, paths[0])
		if touched, err := held.Strip(); touched || !errors.Is(err, client.ErrChanged) || h.text() != o.text {
			t.Errorf("%s: strip: %v, want ErrChanged", program, err)
		}
		held.Close()
		h.lockTaken(program, paths[0])
	}
}

// TestALockNamesUs, so that OpenClaw can tell when we are dead.
func TestALockNamesUs(t *testing.T) {
	t.Parallel()
	o := ownedBy("openclaw")
	h := newHome(t, o.program, o.text)
	paths, err := h.src.LockPaths(o.name)
	must(t, err)
	held, err := h.src.Hold(t.Context(), o.name)
	must(t, err)
	defer held.Close()
	b, err := os.ReadFile(paths[1])
	must(t, err)
	var got struct {
		PID       int
		CreatedAt time.Time
		Starttime uint64
	}
	must(t, json.Unmarshal(b, &got))
	if me := machine.Self(); got.PID != me.PID || got.Starttime != me.Start || time.Since(got.CreatedAt) > time.Minute {
		t.Errorf("the lock says %s", b)
	}
}

func ownedBy(program string) owner {
	for _, o := range owned {
		if o.program == program {
			return o
		}
	}
	panic("no such program: " + program)
}

// lockTaken checks that nobody else can take these locks.
func (h *home) lockTaken(program string, paths ...string) {
	h.t.Helper()
	for _, path := range paths {
		if free(h.t, program, path) {
			h.t.Errorf("%s is not locked", path)
		}
	}
}

// lockFree checks that anybody can.
func (h *home) lockFree(program string, paths ...string) {
	h.t.Helper()
	for _, path := range paths {
		if !free(h.t, program, path) {
			h.t.Errorf("%s is still locked", path)
		}
	}
}

func free(t *testing.T, program, path string) bool {
	t.Helper()
	if program == "codex" {
		release, err := disk.TryLock(path)
		must(t, err)
		if release == nil {
			return false
		}
		release()
		return true
	}
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// take holds a lock as its owner does, in a process of its own where the lock
// names one.
func take(t *testing.T, program, path string) (release func()) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	switch program {
	case "codex":
		free, err := disk.TryLock(path)
		must(t, err)
		return free
	case "openclaw":
		must(t, os.WriteFile(path, fmt.Appendf(nil, "{\n  \"pid\": %d,\n  \"createdAt\": \"2026-11-23T00:00:00.000Z\"\n}\n", os.Getpid()), 0o600))
	default:
		must(t, os.Mkdir(path, 0o700))
	}
	return func() { must(t, os.Remove(path)) }
}

// dead is the number of a process that has ended.
func dead(t *testing.T) int {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^$")
	must(t, cmd.Run())
	return cmd.Process.Pid
}
