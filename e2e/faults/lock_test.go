//go:build linux

package faults

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var long = flag.Bool("faults.long", false, "also run what waits for 100 s")

// held is a renewal that stands still somewhere, until goOn is closed.
type held struct {
	*process
	goOn chan struct{}
}

// holdAnswer starts a renewal and holds the server's answer, which has been
// committed.
func (s *stage) holdAnswer(args ...string) held {
	s.t.Helper()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if first.Swap(true) {
			next.ServeHTTP(w, r)
			return
		}
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		close(arrived)
		<-goOn
		w.Header().Set("Content-Type", "application/json")
		w.Write(whole.Body.Bytes())
	})
	p := s.start(nil, append([]string{"token", profileID}, args...)...)
	<-arrived
	return held{p, goOn}
}

// TestLockFileDisappears: deleted or replaced while its holder is in the middle
// of a renewal. A peer gets the new lock, finds that the sender of the token
// lives, and stops; the holder finishes.
func TestLockFileDisappears(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(lock string) error{
		"deleted": os.Remove,
		"replaced": func(lock string) error {
			if err := os.WriteFile(lock+".new", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(lock+".new", lock)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			h := s.holdAnswer()
			if err := broken(s.file("lock")); err != nil {
				t.Fatal(err)
			}
			got := s.token(5)
			if !strings.Contains(got.stderr, strconv.Itoa(h.Process.Pid)) {
				t.Errorf("the peer does not say who is at work:\n%s", got.stderr)
			}
			if got.took > 10*time.Second {
				t.Errorf("the peer waited for %v", got.took)
			}
			close(h.goOn)
			s.check(h.wait(), 0)
			s.token(0)
			s.ledger(1, 1, 0)
		})
	}
}

// TestLockFileIsReplacedBeforeItIsTaken: the one that is there counts.
func TestLockFileIsReplacedBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	lock := s.file("lock")
	old, err := os.OpenFile(lock, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := syscall.Flock(int(old.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p := s.start(nil, "token", profileID)
	s.pass(500 * time.Millisecond) // it waits for the lock
	s.ledger(0, 0, 0)
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	s.check(p.wait(), 0)
	s.ledger(1, 1, 0)
}

// TestPauseLongerThanTheToken: a process is stopped for longer than the new
// token lives, at each step, while a peer wants one. In the end both have
// ended, no token was sent twice, and the login works.
func TestPauseLongerThanTheToken(t *testing.T) {
	t.Parallel()
	const life, pause = 2 * time.Second, 5 * time.Second
	for name, at := range map[string]at{
		"C": {method: "SearchItems", item: ".at.1"},
		"P": {server: "request"},
		"K": {method: "CreateItem", item: ".slot.0"},
		"M": {method: "CreateItem", item: ".at.0", answered: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			s.as.SetLifetime(life)
			v, stopped := newVictim(), make(chan struct{})
			var once atomic.Bool
			stop := func() {
				if once.Swap(true) {
					return
				}
				v.do(func(p *process) { p.signal(syscall.SIGSTOP) })
				close(stopped)
			}
			if at.server != "" {
				s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					stop()
					next.ServeHTTP(w, r)
				})
			}
			s.relay.on(func(c busCall) verdict {
				switch {
				case at.method == "" || !c.is(at.method, at.item):
				case at.answered:
					return verdict{answer: func() bool { stop(); return true }}
				default:
					stop()
				}
				return verdict{}
			})
			p := s.start(nil, "token", profileID)
			v <- p
			<-stopped
			peer := s.start(nil, "token", profileID)
			s.pass(pause)
			if err := syscall.Kill(p.Process.Pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			// A call of the keychain that took 5 s, stopped or not, has failed.
			if got := p.wait(); got.code != 0 && got.code != 5 && got.code != 3 {
				t.Errorf("exit %d, want 0, 5 or 3\n%s", got.code, got.stderr)
			}
			if got := peer.wait(); got.code != 0 && got.code != 5 {
				t.Errorf("the peer: exit %d, want 0 or 5\n%s", got.code, got.stderr)
			}
			s.as.SetLifetime(time.Hour)
			s.pass(spacing)
			s.token(0)
			n := s.as.Stats().Refreshes
			s.ledger(n, n, 0)
			if n < 2 {
				t.Errorf("%d renewals: the token was not dead when the pause was over", n)
			}
		})
	}
}

// TestStoppedHolderIsNamed: whoever waits for one that is stopped gives up after
// 100 s and says whom it waited for.
func TestStoppedHolderIsNamed(t *testing.T) {
	t.Parallel()
	if !*long {
		t.Skip("takes 100 s; run with: make soak")
	}
	s := newStage(t, options{})
	s.expired()
	h := s.holdAnswer()
	h.signal(syscall.SIGSTOP)
	got := s.token(5)
	if got.took < 95*time.Second || got.took > 110*time.Second {
		t.Errorf("it waited for %v, want 100 s", got.took)
	}
	if !strings.Contains(got.stderr, "process "+strconv.Itoa(h.Process.Pid)+", which is stopped") {
		t.Errorf("the holder is not named:\n%s", got.stderr)
	}
	s.ledger(1, 1, 0)
	h.kill()
	h.wait()
}

// TestLogoutWaitsForARenewal: and then nothing is left of the login, nor made
// again by who waits behind it.
func TestLogoutWaitsForARenewal(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	h := s.holdAnswer()
	logout := s.start(nil, "logout", profileID)
	s.pass(300 * time.Millisecond)
	behind := s.start(nil, "token", profileID)
	s.pass(300 * time.Millisecond)
	if logout.ProcessState != nil || s.journal().Phase != "sending" {
		t.Error("the logout did not wait")
	}
	close(h.goOn)
	if got := h.wait(); got.code != 0 {
		t.Errorf("the renewal: exit %d, want 0\n%s", got.code, got.stderr)
	}
	if got := logout.wait(); got.code != 0 {
		t.Errorf("the logout: exit %d, want 0\n%s", got.code, got.stderr)
	}
	if got := behind.wait(); got.code != 0 && got.code != 4 {
		t.Errorf("who waited: exit %d, want 0 (before the logout) or 4\n%s", got.code, got.stderr)
	}
	s.token(4)
	if got := s.journal().Phase; got != "none" {
		t.Errorf("the journal says %s, want none", got)
	}
	if n := s.items(); n != 0 {
		t.Errorf("%d slots and tokens are left in the keychain", n)
	}
	s.ledger(1, 1, 0)
}

// items counts the secrets of logins in the keychain, through a client that is
// not ours.
func (s *stage) items() int {
	s.t.Helper()
	need(s.t, "secret-tool")
	p := s.launch("secret-tool", "search", "--all", "service", "keytray")
	got := p.wait() // it says names on stderr, or on stdout in older versions
	n := 0
	for line := range strings.Lines(got.stdout + got.stderr) {
		if strings.HasPrefix(line, "attribute.username") && (strings.Contains(line, ".slot.") || strings.Contains(line, ".at.")) {
			n++
		}
	}
	return n
}

// TestSignInWaitsForARenewal: a person signs in again during one. The new login
// comes after it and stays.
func TestSignInWaitsForARenewal(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	if s.items() == 0 {
		t.Error("nothing of a login that exists was found in the keychain, so counting proves nothing")
	}
	h := s.holdAnswer()
	time.AfterFunc(time.Second, func() { close(h.goOn) })
	s.login(time.Hour)
	s.check(h.wait(), 0)
	if state, _, g := s.state(); state != "ok" || g != 3 {
		t.Errorf("the mirror says %s of generation %d, want ok of 3", state, g)
	}
	s.token(0)
	s.ledger(1, 1, 0)
}
