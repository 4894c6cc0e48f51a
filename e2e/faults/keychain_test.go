//go:build linux

package faults

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestKeychainFailsAtTheCommit: the server has rotated, and the keychain does
// not take the new login. The journal carries it, the person is told, the token
// is handed out, and the first command after the keychain is back saves it.
// Nothing is sent a second time.
func TestKeychainFailsAtTheCommit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// broken is what happens to the keychain when it shall store the new
		// generation; mended undoes it.
		broken func(s *stage) verdict
		mended func(s *stage) error
		away   int // exit code of a command meanwhile; -1 if there is no meanwhile
	}{
		{
			"locked",
			func(s *stage) verdict {
				if err := s.bus.Lock(s.t.Context()); err != nil {
					s.t.Error(err)
				}
				return verdict{}
			},
			func(s *stage) error { return s.bus.Unlock(s.t.Context()) },
			3,
		},
		{
			"says yes and does nothing",
			func(*stage) verdict { return verdict{pretend: true} },
			func(s *stage) error { s.relay.on(nil); return nil },
			0,
		},
		{
			"hangs, and lets go later",
			func(s *stage) verdict { s.stop(s.bus.KeyringPID()); return verdict{} },
			func(s *stage) error { return syscall.Kill(s.bus.KeyringPID(), syscall.SIGCONT) },
			3,
		},
		{
			"daemon killed",
			func(s *stage) verdict {
				if err := syscall.Kill(s.bus.KeyringPID(), syscall.SIGKILL); err != nil {
					s.t.Error(err)
				}
				return verdict{}
			},
			func(s *stage) error { s.relay.on(nil); return s.bus.RestartKeyring(s.t.Context()) },
			3,
		},
		{
			"bus gone",
			func(s *stage) verdict { s.relay.gone.Store(true); return verdict{drop: true} },
			func(s *stage) error { s.relay.gone.Store(false); return nil },
			3,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			var broke atomic.Bool
			s.relay.on(func(c busCall) verdict {
				again := tt.name == "says yes and does nothing"
				if !c.is("CreateItem", ".slot.0") || broke.Swap(true) && !again {
					return verdict{}
				}
				return tt.broken(s)
			})
			got := s.token(0)
			if !strings.Contains(got.stderr, "waits to be saved") {
				t.Errorf("the person is not told:\n%s", got.stderr)
			}
			if phase := s.journal().Phase; phase != "received" {
				t.Errorf("the journal says %s, want received", phase)
			}
			if state, _, g := s.state(); state != "pending_save" || g != 1 {
				t.Errorf("the mirror says %s of generation %d, want pending_save of 1", state, g)
			}
			s.token(tt.away)
			if err := tt.mended(s); err != nil {
				t.Fatal(err)
			}
			s.token(0)
			if state, _, g := s.state(); state != "ok" || g != 2 {
				t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
			}
			if phase := s.journal().Phase; phase != "none" {
				t.Errorf("the journal says %s, want none", phase)
			}
			s.token(0)
			s.ledger(1, 1, 0)
		})
	}
}

// stop stops a process, and has it go on when the test ends.
func (s *stage) stop(pid int) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		s.t.Error(err)
	}
	s.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
}

// TestLateWriteIsWaitedFor: the daemon is stopped in the middle of the write,
// and goes on while the writer still waits; the write lands late, behind the
// caller's back.
func TestLateWriteIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	keyring := s.bus.KeyringPID()
	var once atomic.Bool
	s.relay.on(func(c busCall) verdict {
		if c.is("CreateItem", ".slot.0") && !once.Swap(true) {
			s.stop(keyring)
			time.AfterFunc(7*time.Second, func() { _ = syscall.Kill(keyring, syscall.SIGCONT) }) // a call's limit is 5 s
		}
		return verdict{}
	})
	got := s.token(0)
	if got.took < 7*time.Second {
		t.Errorf("it ended after %v, before the daemon went on", got.took)
	}
	if state, _, g := s.state(); state != "ok" || g != 2 {
		t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestWriteLandsAfterTheWriterDied: killing a client does not take back what
// the bus has of it. Its peer waits at the barrier until the old write is in.
func TestWriteLandsAfterTheWriterDied(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	keyring := s.bus.KeyringPID()
	var once atomic.Bool
	stopped := make(chan struct{})
	s.relay.on(func(c busCall) verdict {
		if c.is("CreateItem", ".slot.0") && !once.Swap(true) {
			s.stop(keyring)
			defer close(stopped)
		}
		return verdict{}
	})
	p := s.start(nil, "token", profileID)
	<-stopped
	s.pass(100 * time.Millisecond) // the relay passes the call on right after this
	p.kill()
	p.wait()
	if phase := s.journal().Phase; phase != "received" {
		t.Fatalf("the journal says %s, want received", phase)
	}
	var asked atomic.Bool
	s.relay.on(func(busCall) verdict { asked.Store(true); return verdict{} })
	peer := s.start(nil, "token", profileID)
	s.eventually("the peer to be at the barrier", asked.Load)
	s.pass(500 * time.Millisecond)
	if phase := s.journal().Phase; phase != "received" {
		t.Errorf("the peer did not wait for the keychain: the journal says %s", phase)
	}
	if err := syscall.Kill(keyring, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.check(peer.wait(), 0)
	if state, _, g := s.state(); state != "ok" || g != 2 {
		t.Errorf("the mirror says %s of generation %d, want ok of 2", state, g)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestErrorButApplied: the keychain stores the login and answers with an error.
// Reading back shows that there is nothing to repeat.
func TestErrorButApplied(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	var writes atomic.Int32
	s.relay.on(func(c busCall) verdict {
		if c.is("CreateItem", ".slot.0") {
			writes.Add(1)
			return verdict{fail: true}
		}
		return verdict{}
	})
	s.token(0)
	if n := writes.Load(); n != 1 {
		t.Errorf("the slot was written %d times, want once", n)
	}
	if phase := s.journal().Phase; phase != "none" {
		t.Errorf("the journal says %s, want none", phase)
	}
	s.ledger(1, 1, 0)
}

// TestKeychainFailsAtTheCache: the slot is written, the copy of the access token
// is not. That delays nothing; the next command finds no token and renews.
func TestKeychainFailsAtTheCache(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(s *stage) verdict{
		"locked": func(s *stage) verdict {
			if err := s.bus.Lock(s.t.Context()); err != nil {
				s.t.Error(err)
			}
			return verdict{}
		},
		"says yes and does nothing": func(*stage) verdict { return verdict{pretend: true} },
		"daemon killed": func(s *stage) verdict {
			if err := syscall.Kill(s.bus.KeyringPID(), syscall.SIGKILL); err != nil {
				s.t.Error(err)
			}
			return verdict{}
		},
		"hangs": func(s *stage) verdict { s.stop(s.bus.KeyringPID()); return verdict{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			var once atomic.Bool
			s.relay.on(func(c busCall) verdict {
				if c.is("CreateItem", ".at.0") && !once.Swap(true) {
					return broken(s)
				}
				return verdict{}
			})
			if got := s.token(0); got.took > 15*time.Second {
				t.Errorf("a cache delayed the command by %v", got.took)
			}
			if phase := s.journal().Phase; phase != "none" {
				t.Errorf("the journal says %s, want none", phase)
			}
			if err := s.mend(); err != nil {
				t.Fatal(err)
			}
			s.pass(spacing)
			s.token(0)
			s.token(0)
			if s.as.Stats().Refreshes == 1 && name != "hangs" { // there the write landed late
				t.Error("there was a cached token after all, so this shows nothing")
			}
			s.ledger(s.as.Stats().Refreshes, s.as.Stats().Refreshes, 0)
		})
	}
}

// mend brings the keychain back, whatever is wrong with it.
func (s *stage) mend() error {
	_ = syscall.Kill(s.bus.KeyringPID(), syscall.SIGCONT)
	return s.bus.RestartKeyring(s.t.Context())
}

// TestKeychainHangsBeforeTheRequest: every command ends, and the refresh token
// is not spent.
func TestKeychainHangsBeforeTheRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.stop(s.bus.KeyringPID())
	if got := s.token(3); got.took > 15*time.Second {
		t.Errorf("it took %v", got.took)
	}
	s.ledger(0, 0, 0)
	if err := syscall.Kill(s.bus.KeyringPID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestKeychainGoneBeforeTheRequest: likewise without a bus, and without a
// daemon.
func TestKeychainGoneBeforeTheRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.relay.gone.Store(true)
	s.token(3)
	s.relay.gone.Store(false)
	s.bus.KillKeyring()
	s.token(3)
	if err := s.bus.StartKeyring(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	s.ledger(0, 0, 0)
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestDialogComesBeforeTheLock: at a terminal a person is asked to unlock, and
// nobody is kept from the login while the dialog is open. When they do, the
// command goes on.
func TestDialogComesBeforeTheLock(t *testing.T) {
	t.Parallel()
	need(t, "script")
	s := newStage(t, options{})
	s.expired()
	lock := s.file("lock")
	if err := s.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	var dialogs atomic.Int32
	s.relay.on(func(c busCall) verdict {
		if c.method == "Prompt" {
			dialogs.Add(1)
			if !s.free(lock) {
				t.Error("the login is locked while the dialog is open")
			}
		}
		return verdict{}
	})
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if s.free(lock) {
			t.Error("the login is not locked during the request, so the check above shows nothing")
		}
		next.ServeHTTP(w, r)
	})
	if got := s.launch("script", "-qec", command+" token "+profileID+" --show", "/dev/null").wait(); got.code != 3 {
		t.Errorf("exit %d, want 3: nobody is there who could show a dialog\n%s", got.code, got.stdout)
	}
	if n := dialogs.Load(); n != 1 {
		t.Errorf("%d dialogs, want 1", n)
	}
	s.ledger(0, 0, 0)
	if err := s.bus.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}

// free reports whether nobody holds the lock file.
func (s *stage) free(path string) bool {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		s.t.Error(err)
		return false
	}
	defer syscall.Close(fd)
	return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
