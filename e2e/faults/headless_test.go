//go:build linux

package faults

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// within starts a program where other things are mounted than outside: script
// mounts them.
func (s *stage) within(script string, argv ...string) *process {
	s.t.Helper()
	need(s.t, "unshare", "mount")
	if os.Geteuid() != 0 {
		lack(s.t, "leave to mount (root)")
	}
	return s.launch(slices.Concat([]string{"unshare", "--mount", "--propagation", "private", "sh", "-ec", script + "\n" + `exec "$@"`, "sh"}, argv)...)
}

// TestEmptyEnvironment: cron and `env -i` leave nothing, not even HOME; the user
// database knows the home, and the bus is where logind puts it.
func TestEmptyEnvironment(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.login(time.Hour)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	socket, _, _ := strings.Cut(strings.TrimPrefix(s.relay.address, "unix:path="), ",")
	mounts := "mount --bind " + s.home + " " + home + "; mount -t tmpfs none /run; mkdir -p /run/user/0; "
	for name, c := range map[string]struct {
		script string
		code   int
	}{
		"the bus is there": {mounts + "ln -s " + socket + " /run/user/0/bus", 0},
		"there is no bus":  {mounts, 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{{"token", profileID}, {"export", "--profile", profileID, "--format", "plain"}} {
				got := s.within(c.script, slices.Concat([]string{"env", "-i", command, "--state-dir", s.root}, args)...).wait()
				s.check(got, c.code)
				if got.took > 5*time.Second {
					t.Errorf("it took %v", got.took)
				}
			}
		})
	}
	s.ledger(0, 0, 0)
}

// TestLockedAndNobodyThere: without a terminal a locked keychain is exit 3, soon,
// and nobody is asked for a password.
func TestLockedAndNobodyThere(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	if err := s.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	s.relay.on(func(c busCall) verdict {
		if c.method == "Prompt" || c.method == "Unlock" {
			asked.Add(1)
		}
		return verdict{}
	})
	for _, args := range [][]string{{"token", profileID}, {"token", profileID, "--no-refresh"}, {"export", profileID}, {"export", profileID, "--format", "codex"}} {
		got := s.run(args...)
		if got.code != 3 && !slices.Contains(args, "--no-refresh") { // that one sees without a key that the token is over
			t.Errorf("%q: exit %d, want 3\n%s", args, got.code, got.stderr)
		}
		if got.stdout != "" || got.took > 5*time.Second || got.code == 0 {
			t.Errorf("%q: exit %d and %d bytes after %v", args, got.code, len(got.stdout), got.took)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a person was asked %d times", n)
	}
	s.ledger(0, 0, 0)
}

// TestReadOnlyHome: a token that lives comes out where nothing can be written; one
// that is over is not renewed, since the answer could not be kept.
func TestReadOnlyHome(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{prepare: func(s *stage) {
		s.smallDisk(s.home)
		s.smallDisk(s.root)
	}})
	s.due()
	for _, dir := range []string{s.home, s.root} {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	s.token(0)
	s.token(0, "--no-refresh")
	for _, args := range [][]string{{"token", profileID, "--min-ttl", "9m59s"}, {"refresh", profileID}} {
		got := s.run(args...)
		if got.code != 1 && got.code != 5 || got.stdout != "" {
			t.Errorf("%q: exit %d, %d bytes on stdout\n%s", args, got.code, len(got.stdout), got.stderr)
		}
	}
	got := s.run("export", profileID, "--out", filepath.Join(s.home, "env"))
	if s.check(got, 1); !strings.Contains(got.stderr, "read-only file system") {
		t.Errorf("a file in a read-only folder: %s", got.stderr)
	}
	s.ledger(0, 0, 0)
}

// TestTwoHundredCallers: all get the token, from the keychain, and none waits for a
// lock.
func TestTwoHundredCallers(t *testing.T) {
	const callers = 200
	s := newStage(t, options{})
	s.login(time.Hour)
	began := time.Now()
	var all sync.WaitGroup
	took := make([]time.Duration, callers)
	for i := range callers {
		p := s.start(nil, "token", profileID)
		all.Go(func() {
			got := p.wait()
			s.check(got, 0)
			took[i] = got.took
		})
	}
	all.Wait()
	slices.Sort(took)
	t.Logf("%d callers in %v: p50 %v, p99 %v", callers, time.Since(began).Round(time.Millisecond),
		took[callers/2].Round(time.Millisecond), took[callers*99/100-1].Round(time.Millisecond))
	s.ledger(0, 0, 0)
}

// TestNobodyTakesTheToken: what is renewed is kept, whatever becomes of stdout,
// and the exit code tells where something can know.
func TestNobodyTakesTheToken(t *testing.T) {
	t.Parallel()
	broken := func(t *testing.T) *os.File { // as by head -c0
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		return w
	}
	for name, c := range map[string]struct {
		stdout func(t *testing.T) *os.File
		want   error
	}{
		"a full disk":        {fullDevice, syscall.ENOSPC},
		"a reader that left": {broken, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.due()
			for _, args := range [][]string{{"token", profileID, "--min-ttl", "9m59s"}, {"export", profileID}, {"export", profileID, "--format", "codex"}} {
				code, stderr := s.into(c.stdout(t), args...)
				if code != 1 || !strings.Contains(stderr, c.want.Error()) {
					t.Errorf("%q: exit %d, want 1 and %q:\n%s", args, code, c.want, stderr)
				}
				for _, secret := range s.as.Secrets() {
					if strings.Contains(stderr, secret) {
						t.Errorf("%q: the error has the token", args)
					}
				}
			}
			s.token(0, "--min-ttl", "30m")
			s.ledger(1, 1, 0)
		})
	}
	// The Go runtime puts /dev/null in the place of a stdout that is closed: no other
	// file that is opened may get the token.
	t.Run("no stdout", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, options{})
		s.due()
		if got := s.launch("sh", "-c", command+" token "+profileID+" --min-ttl 9m59s >&-").wait(); got.stdout != "" {
			t.Errorf("%d bytes on a closed stdout", len(got.stdout))
		}
		s.token(0, "--min-ttl", "30m")
		s.ledger(1, 1, 0)
	})
}

// into runs keytray with its stdout in f, and closes f.
func (s *stage) into(f *os.File, args ...string) (code int, stderr string) {
	s.t.Helper()
	defer f.Close()
	cmd := exec.Command(command, args...)
	var b bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.dir, f, &b
	err := cmd.Run()
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

// TestFullDiskLeavesTheOldFile: --out has the new file or the old one.
func TestFullDiskLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.login(time.Hour)
	dir := filepath.Join(t.TempDir(), "disk") // not in the stage, where no token may be
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.smallDisk(dir)
	path := filepath.Join(dir, "auth.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo := s.fill(dir)
	got := s.run("export", profileID, "--out", path)
	if s.check(got, 1); !strings.Contains(got.stderr, "no space left") {
		t.Errorf("on a full disk: %s", got.stderr)
	}
	if b, err := os.ReadFile(path); string(b) != "old" || err != nil {
		t.Errorf("the file has %d bytes, %v, want the old ones", len(b), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	undo()
	if got := s.run("export", profileID, "--out", path); got.code != 0 || got.stdout != "" {
		t.Errorf("with room: exit %d, %d bytes on stdout\n%s", got.code, len(got.stdout), got.stderr)
	}
	if b, err := os.ReadFile(path); !strings.HasPrefix(string(b), "export DEMO_TOKEN='ey") || err != nil {
		t.Errorf("with room the file has %d bytes, %v", len(b), err)
	}
}
