//go:build linux

package faults

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

// smallDisk puts a file system of 1 MiB at path, which goes when the test ends.
func (s *stage) smallDisk(path string) {
	s.t.Helper()
	err := syscall.Mount("keytray-test", path, "tmpfs", 0, "size=1m,mode=700")
	if errors.Is(err, syscall.EPERM) {
		lack(s.t, "leave to mount a tmpfs (root)")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
}

// fill leaves no room on the file system of dir.
func (s *stage) fill(dir string) (undo func()) {
	s.t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	block := make([]byte, 1<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		s.t.Errorf("filling the disk: %v, want %v", err, syscall.ENOSPC)
	}
	f.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			s.t.Error(err)
		}
	}
}

// TestFullDiskBeforeTheRequest: without room for the answer nothing is sent;
// the old token serves while it lives.
func TestFullDiskBeforeTheRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{prepare: func(s *stage) { s.smallDisk(s.home) }})
	s.login(16 * time.Second) // due when 8 s are left
	s.pass(8500 * time.Millisecond)
	undo := s.fill(s.home)
	if got := s.token(0); !strings.Contains(got.stderr, "no space left on device") {
		t.Errorf("nothing is said of the full disk:\n%s", got.stderr)
	}
	s.token(1, "--min-ttl", "1m")
	s.pass(8 * time.Second)
	s.token(1)
	s.ledger(0, 0, 0)
	undo()
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestFullDiskAfterTheRequest: the room for the answer was reserved, so that a
// disk which is full by then does not matter.
func TestFullDiskAfterTheRequest(t *testing.T) {
	t.Parallel()
	// The answer is larger than a page, the least that a file takes.
	s := newStage(t, options{server: oauthtest.Options{Size: 9000}, prepare: func(s *stage) { s.smallDisk(s.home) }})
	s.expired()
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		s.fill(s.home)
		next.ServeHTTP(w, r)
	})
	journalled := make(chan string, 1)
	s.relay.on(func(c busCall) verdict {
		if c.is("CreateItem", ".slot.0") {
			journalled <- s.journal().Phase
		}
		return verdict{}
	})
	s.token(0)
	if got := <-journalled; got != "received" {
		t.Errorf("at the commit the journal said %s, want received", got)
	}
	if got := s.journal().Phase; got != "none" {
		t.Errorf("the journal says %s, want none", got)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestNeitherJournalNorKeychain: neither of them takes the answer. The command
// stays, says why, keeps the lock, and ends when the keychain is back, a signal
// or not. A second signal ends it as kill -9 does: the login is lost, which is
// W3.
func TestNeitherJournalNorKeychain(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	for _, tt := range []struct {
		name    string
		signals []syscall.Signal
		lost    bool
	}{
		{"one signal", []syscall.Signal{syscall.SIGHUP}, false},
		{"two signals", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, true},
		{"kill -9", []syscall.Signal{syscall.SIGKILL}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			lock, v := s.file("lock"), newVictim()
			s.tracing(theAnswer, v, "-P", s.traced("journal.next"), "-e", "trace=write", "-e", "inject=write:error=EIO")
			var once atomic.Bool
			s.relay.on(func(c busCall) verdict {
				if c.is("CreateItem", ".slot.0") && !once.Swap(true) {
					if err := s.bus.Lock(s.t.Context()); err != nil {
						t.Error(err)
					}
				}
				return verdict{}
			})
			p := s.start(nil, "token", profileID)
			v <- p
			s.pass(22 * time.Second) // longer than it would try with a journal
			if s.free(lock) {
				t.Error("the lock was given up with the only copy in memory")
			}
			if got := s.journal().Phase; got != "sending" {
				t.Errorf("the journal says %s, want sending", got)
			}
			s.as.onRefresh(nil)
			for _, sig := range tt.signals {
				p.signal(sig)
				s.pass(200 * time.Millisecond) // two that come at once count as one
			}
			if tt.lost {
				p.wait()
			}
			if err := s.bus.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.lost {
				s.token(4)
				s.ledger(2, 1, 1)
				return
			}
			if !strings.Contains(p.stderr(), "keytray: ") {
				t.Error("it does not say why it stays")
			}
			s.check(p.wait(), 0)
			s.token(0)
			if state, _, g := s.state(); state != "ok" || g != 2 {
				t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
			}
			s.ledger(1, 1, 0)
		})
	}
}

// TestFullStateRoot: the mirror is derived, and old until there is room again.
func TestFullStateRoot(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{prepare: func(s *stage) { s.smallDisk(s.root) }})
	s.expired()
	undo := s.fill(s.root)
	if got := s.token(0); !strings.Contains(got.stderr, "no space left on device") {
		t.Errorf("nothing is said of the full disk:\n%s", got.stderr)
	}
	if _, _, g := s.state(); g != 1 {
		t.Errorf("the mirror is of generation %d, want the old one", g)
	}
	s.token(0) // by the keychain, which is newer than the mirror
	undo()
	s.token(0)
	if state, _, g := s.state(); state != "ok" || g != 2 {
		t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
	}
	s.ledger(1, 1, 0)
}

// TestSystemCallsFail: one fsync or rename fails, by strace's injection. Before
// the request that costs nothing but the try; after it the login is saved all
// the same.
func TestSystemCallsFail(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	for _, tt := range []struct {
		name, call, file string
		from             moment
		code             int
		served           int // renewals when the command ends
	}{
		{"I: EIO, fsync of the room", "fsync:error=EIO", "journal.next", theStart, 1, 0},
		{"I: EDQUOT, fsync of the intent", "fsync:error=EDQUOT", ".journal.tmp", theStart, 1, 0},
		{"I: EROFS, rename of the intent", "renameat:error=EROFS", ".journal.tmp", theStart, 1, 0},
		{"I: EIO, fsync of the folder", "fsync:error=EIO", "", theStart, 1, 0},
		{"J: EIO, fsync of the answer", "fsync:error=EIO", "journal.next", theAnswer, 0, 1},
		{"J: ENOSPC, write of the answer", "write:error=ENOSPC", "journal.next", theAnswer, 0, 1},
		{"J: EROFS, rename of the answer", "renameat:error=EROFS", "journal.next", theAnswer, 0, 1},
		{"J: EIO, fsync of the folder", "fsync:error=EIO", "", theAnswer, 0, 1},
		{"M: EIO, fsync of the mirror", "fsync:error=EIO", "mirror", theStart, 0, 1},
		{"M: EROFS, rename of the mirror", "renameat:error=EROFS", "mirror", theStart, 0, 1},
		{"E: EROFS, removal of the journal", "unlinkat:error=EROFS", "journal", theStart, 0, 1},
		{"E: EIO, fsync of the folder", "fsync:error=EIO", "", theCache, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			call, _, _ := strings.Cut(tt.call, ":")
			s.check(s.inject(tt.from, s.traced(tt.file), call, tt.call), tt.code)
			if got := s.as.Stats().Refreshes; got != tt.served {
				t.Errorf("the server renewed %d times, want %d", got, tt.served)
			}
			s.token(0)
			if got := s.journal().Phase; got != "none" {
				t.Errorf("the journal says %s, want none", got)
			}
			if state, _, g := s.state(); state != "ok" || g != 2 {
				t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
			}
			s.token(0)
			s.ledger(1, 1, 0)
		})
	}
}

// inject runs a renewal in which a system call on a file fails.
func (s *stage) inject(from moment, file, call, fault string) result {
	s.t.Helper()
	v := newVictim()
	under := s.tracing(from, v, "-P", file, "-e", "trace="+call, "-e", "inject="+fault)
	p := s.start(under, "token", profileID)
	v <- p
	got := p.wait()
	s.relay.on(nil)
	s.as.onRefresh(nil)
	if from != theStart {
		<-<-s.tracer
	}
	if !s.injected() {
		s.t.Error("nothing was injected")
	}
	return got
}

// injected reports whether the last strace did what it was to do.
func (s *stage) injected() bool {
	s.t.Helper()
	b, err := os.ReadFile(s.trace())
	if err != nil {
		s.t.Error(err)
	}
	return strings.Contains(string(b), "(INJECTED)")
}
