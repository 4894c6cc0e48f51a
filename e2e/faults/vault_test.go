//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// vault is the folder of the encrypted files.
func (s *stage) vault() string { return filepath.Join(s.home, ".local/state/keytray/vault") }

// item is the file of one of the profile's items: ".slot.0".
func (s *stage) item(name string) string {
	s.t.Helper()
	return filepath.Join(s.vault(), strings.TrimSuffix(filepath.Base(s.file("")), ".")+name+".age")
}

func (s *stage) chooseFiles() {
	s.t.Helper()
	if got := s.run("status", "--keychain", "file"); got.code != 0 {
		s.t.Fatalf("choosing the file keychain: exit %d\n%s", got.code, got.stderr)
	}
}

// TestKillAtEveryStepWithFiles: the steps of a renewal that touch the keychain, when
// that is in files. The others are those of TestKillAtEveryStep.
func TestKillAtEveryStepWithFiles(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	unspent := expectation{"none", 0, 1, 1, 0}
	carried := expectation{"received", 0, 1, 1, 0}
	for _, tt := range []struct {
		name string
		at   func(s *stage) at
		want expectation
	}{
		{"R at the barrier", func(s *stage) at { return at{call: "getdents64", file: s.vault()} }, unspent},
		{"C reading the slot", func(s *stage) at { return at{call: "openat", file: s.item(".slot.1")} }, unspent},
		{"P after the commit", func(*stage) at { return at{server: "commit"} }, expectation{"sending", 4, 2, 1, 1}},
		{"K before the slot", func(s *stage) at { return at{call: "renameat", file: s.item(".slot.0")} }, carried},
		{"K after the slot", func(s *stage) at { return at{call: "fsync", file: s.vault()} }, carried},
		{"K before the access token", func(s *stage) at { return at{call: "renameat", file: s.item(".at.0")} }, carried},
		{"M before the mirror", func(*stage) at { return at{call: "renameat", file: "mirror"} }, carried},
		{"E before the end", func(*stage) at { return at{call: "unlinkat", file: "journal"} }, carried},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{files: true})
			s.expired()
			s.dieAt(tt.at(s))
			if got := s.journal().Phase; got != tt.want.phase {
				t.Errorf("the journal says %s, want %s", got, tt.want.phase)
			}
			s.token(tt.want.code)
			s.ledger(tt.want.sends, tt.want.served, tt.want.reuse)
			if tt.want.code == 0 {
				s.token(0) // and it is not renewed again
				s.ledger(tt.want.sends, tt.want.served, tt.want.reuse)
			}
		})
	}
}

// TestDiskFailsUnderFiles: one system call on an item fails after the server has
// answered. The journal has the token, the command waits until the disk takes it.
func TestDiskFailsUnderFiles(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	for _, fault := range []string{"renameat:error=EIO", "renameat:error=EROFS", "renameat:error=ENOSPC"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{files: true})
			s.expired()
			s.check(s.inject(theStart, s.item(".slot.0"), "renameat", fault+":when=1"), 0)
			s.ledger(1, 1, 0)
			s.token(0)
			if state, _, g := s.state(); state != "ok" || g != 2 {
				t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
			}
			s.ledger(1, 1, 0)
		})
	}
}

// TestFullDiskWithFiles: a disk that is full by the time of the answer. The journal
// has its room; the login is saved when there is room again.
func TestFullDiskWithFiles(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{files: true, prepare: func(s *stage) { s.smallDisk(s.home) }})
	s.expired()
	undo := s.fill(s.home)
	s.token(1) // no room for the answer: nothing is sent
	s.ledger(0, 0, 0)
	undo()
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestCrowdWithFiles: 200 processes want a token at the moment when one has expired.
func TestCrowdWithFiles(t *testing.T) {
	s := newStage(t, options{files: true})
	s.expired()
	var callers sync.WaitGroup
	var mu sync.Mutex
	tokens := map[string]int{}
	began := time.Now()
	for range 200 {
		callers.Go(func() {
			got := s.run("token", profileID)
			mu.Lock()
			defer mu.Unlock()
			if got.code != 0 {
				t.Errorf("exit %d\n%s", got.code, got.stderr)
			}
			tokens[got.stdout]++
		})
	}
	callers.Wait()
	t.Logf("200 callers, one renewal: %s", time.Since(began).Round(time.Millisecond))
	if len(tokens) != 1 {
		t.Errorf("%d different answers, want one token", len(tokens))
	}
	s.ledger(1, 1, 0)
}

// twin is another machine with the same server: a home, a root and a vault of its
// own.
func (s *stage) twin() *stage {
	s.t.Helper()
	there := &stage{t: s.t, dir: filepath.Join(s.dir, "there"), as: s.as, tracer: make(chan chan struct{}, 8)}
	there.root, there.home = filepath.Join(there.dir, "root"), filepath.Join(there.dir, "home")
	for _, d := range []string{"home", "root", "tmp", "log"} {
		if err := os.MkdirAll(filepath.Join(there.dir, d), 0o700); err != nil {
			s.t.Fatal(err)
		}
	}
	there.env = append(slices.Clone(s.env), "HOME="+there.home, "XDG_STATE_HOME="+filepath.Join(there.home, ".local/state"),
		"KEYTRAY_STATE_DIR="+there.root, "TMPDIR="+filepath.Join(there.dir, "tmp"))
	there.provide()
	there.chooseFiles()
	return there
}

var recipient = regexp.MustCompile(`age1[a-z0-9]{20,}`)

// export is the command that moves the login to another machine, and its file.
func (s *stage) export(there *stage) (args []string, file string) {
	s.t.Helper()
	to := recipient.FindString(there.run("doctor").stdout)
	file = filepath.Join(s.dir, "tmp", "sealed.age")
	return []string{"export", profileID, "--sealed", "--recipient", to, "--move", "--out", file}, file
}

// kill runs a command that dies there.
func (s *stage) kill(a at, args ...string) {
	s.t.Helper()
	var under []string
	v := newVictim()
	if a.call != "" {
		under = s.tracing(theStart, v, "-P", s.traced(a.file), "-e", "trace="+a.call, "-e", "inject="+a.call+":signal=KILL")
	}
	s.dieInServer(a.server, v.kill)
	p := s.start(under, args...)
	v <- p
	if got := p.wait(); got.code != -1 {
		s.t.Fatalf("the process was not killed: exit %d\n%s", got.code, got.stderr)
	}
	s.as.onRefresh(nil)
}

// TestKillAHandOverAtEveryStep: two machines, and the one that gives a login away is
// killed at each step. After its next command the login is in one place, works there,
// and no refresh token was sent twice.
func TestKillAHandOverAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	const here, there = true, false
	for i, tt := range []struct {
		name string
		at   func(s *stage, file string) at
		want bool
	}{
		{"reserving the file", func(s *stage, f string) at { return at{call: "fsync", file: s.half(f)} }, here},
		{"before the journal", func(*stage, string) at { return at{call: "renameat", file: ".journal.tmp"} }, here},
		{"after the journal", func(*stage, string) at { return at{call: "fsync", file: ""} }, here},
		{"writing the file", func(s *stage, f string) at { return at{call: "ftruncate", file: s.half(f)} }, here},
		{"before the file has its name", func(_ *stage, f string) at { return at{call: "renameat", file: f} }, here},
		{"after the file has its name", func(_ *stage, f string) at { return at{call: "openat", file: f} }, there},
		{"before the slot is deleted", func(s *stage, _ string) at { return at{call: "unlinkat", file: s.item(".slot.1")} }, there},
		{"before the access token is deleted", func(s *stage, _ string) at { return at{call: "unlinkat", file: s.item(".at.1")} }, there},
		{"before the tombstone", func(*stage, string) at { return at{call: "renameat", file: "mirror"} }, there},
		{"after the tombstone", func(*stage, string) at { return at{call: "unlinkat", file: "journal"} }, there},
	} {
		t.Run(fmt.Sprintf("%d %s", i, tt.name), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{files: true})
			twin := s.twin()
			s.due()
			args, file := s.export(twin)
			s.kill(tt.at(s, file), args...)
			s.ledger(0, 0, 0)
			got := s.run("token", profileID)
			if isHere := got.code == 0; isHere != tt.want || isHere == exists(file) {
				t.Errorf("here: %v, in the file: %v, want here: %v\n%s", isHere, exists(file), tt.want, got.stderr)
			}
			if got := s.journal().Phase; got != "none" {
				t.Errorf("the journal says %s, want none", got)
			}
			if tt.want == here {
				if got := s.run(args...); got.code != 0 {
					t.Fatalf("moving it now: exit %d\n%s", got.code, got.stderr)
				}
			}
			s.token(4)
			twin.received(file)
			s.ledger(1, 1, 0)
		})
	}
}

// half is the file before it has its name.
func (s *stage) half(file string) string {
	s.t.Helper()
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+filepath.Base(s.file(""))[:16]+".moving")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// received takes the login over, and finds it working.
func (s *stage) received(file string) {
	s.t.Helper()
	if got := s.run("import", "--sealed", file); got.code != 0 {
		s.t.Errorf("importing: exit %d\n%s", got.code, got.stderr)
	}
	s.token(0)
}

// TestKillAReceiverAtEveryStep: the one that takes the login over is killed. The same
// command again ends it; the login works there, and no refresh token was sent twice.
func TestKillAReceiverAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	for _, tt := range []struct {
		name string
		at   func(s *stage) at
	}{
		{"before the receipt", func(s *stage) at { return at{call: "fsync", file: s.place()} }},
		{"before the profile file", func(s *stage) at { return at{call: "renameat", file: s.traced("mirror")} }},
		{"after the profile file", func(s *stage) at { return at{call: "fsync", file: s.traced("mirror folder")} }},
		{"before it is renewed", func(*stage) at { return at{server: "request"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{files: true})
			twin := s.twin()
			s.due()
			args, file := s.export(twin)
			if got := s.run(args...); got.code != 0 {
				t.Fatalf("moving: exit %d\n%s", got.code, got.stderr)
			}
			twin.kill(tt.at(twin), "import", "--sealed", file)
			if got := twin.run("import", "--sealed", file); got.code != 0 {
				t.Errorf("again: exit %d\n%s", got.code, got.stderr)
			}
			twin.token(0)
			if got := twin.run("import", "--sealed", file); got.code != 1 || !strings.Contains(got.stderr, "taken over already") {
				t.Errorf("once more: exit %d, want 1 and why\n%s", got.code, got.stderr)
			}
			if stats := s.as.Stats(); stats.Refreshes != 1 || stats.Reuses != 0 {
				t.Errorf("the server saw %+v, want one renewal", stats)
			}
		})
	}
}
