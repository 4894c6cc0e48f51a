//go:build linux

package faults

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var long = flag.Bool("faults.long", false, "also run what waits for 100 s")

// standstill is how long a renewal stands still in [stage.standAt].
const standstill = 3 * time.Second

// standAt starts a renewal, whose token lives for an hour, and returns when it
// stands still at that step for a while: before the folder's fsync of the intent
// (I), while the server holds its answer (P), before the rename of the answer
// (J), before the slot is written (K), when all of the keychain is (M), before
// the journal is removed (E).
func (s *stage) standAt(step string) (p *process, pid int) {
	s.t.Helper()
	delay := func(call string) string {
		return "inject=" + call + ":delay_enter=" + strconv.FormatInt(standstill.Microseconds(), 10)
	}
	v, stands := newVictim(), make(chan struct{}, 1)
	stand := func() { stands <- struct{}{}; s.pass(standstill) }
	var under []string
	switch step {
	case "I":
		under = s.tracing(theStart, v, "-P", s.traced(""), "-e", "trace=fsync", "-e", delay("fsync")+":when=1")
	case "P":
		s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			stand()
			w.Header().Set("Content-Type", "application/json")
			w.Write(whole.Body.Bytes())
		})
	case "J":
		s.tracing(theAnswer, v, "-P", s.traced("journal.next"), "-e", "trace=renameat", "-e", delay("renameat"))
	case "K", "M":
		item := map[string]string{"K": ".slot.0", "M": ".at.0"}[step]
		s.relay.on(func(c busCall) verdict {
			switch {
			case !c.is("CreateItem", item):
				return verdict{}
			case step == "M":
				return verdict{answer: func() bool { stand(); return true }}
			}
			stand()
			return verdict{}
		})
	case "E":
		s.tracing(theCache, v, "-P", s.traced("journal"), "-e", "trace=unlinkat", "-e", delay("unlinkat"))
	}
	p = s.start(under, "token", profileID)
	v <- p
	pid = p.Process.Pid
	switch step {
	case "I":
		s.eventually("the intent", func() bool { return s.journal().Phase == "sending" })
		pid = s.journal().Process.PID // the other one is strace
	case "J":
		s.eventually("the answer", func() bool { return s.as.Stats().Refreshes > 0 && s.as.idle() })
		s.pass(200 * time.Millisecond)
	case "E":
		s.eventually("the mirror", func() bool { _, _, g := s.state(); return g == 2 })
		s.pass(200 * time.Millisecond)
	default:
		<-stands
	}
	s.relay.on(nil)
	s.as.onRefresh(nil)
	return p, pid
}

// TestLockFileDisappears: deleted or replaced while its holder is in the middle
// of a renewal. A peer gets the new lock, finds that the sender of the token
// lives, and stops; once the answer lies in the journal it saves that, as the
// holder does. Nothing is sent twice.
func TestLockFileDisappears(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	replaced := func(lock string) error {
		if err := os.WriteFile(lock+".new", nil, 0o600); err != nil {
			return err
		}
		return os.Rename(lock+".new", lock)
	}
	for _, tt := range []struct {
		name, step string
		broken     func(lock string) error
		code       int
	}{
		{"deleted at I", "I", os.Remove, 5},
		{"deleted at P", "P", os.Remove, 5},
		{"replaced at P", "P", replaced, 5},
		{"deleted at J", "J", os.Remove, 5},
		{"deleted at K", "K", os.Remove, 0},
		{"deleted at M", "M", os.Remove, 0},
		{"deleted at E", "E", os.Remove, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			p, pid := s.standAt(tt.step)
			if err := tt.broken(s.file("lock")); err != nil {
				t.Fatal(err)
			}
			got := s.token(tt.code)
			if tt.code == 5 && !strings.Contains(got.stderr, "process "+strconv.Itoa(pid)+", ") {
				t.Errorf("the peer does not say who is at work:\n%s", got.stderr)
			}
			if got.took > standstill {
				t.Errorf("the peer waited for %v", got.took)
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
	need(t, "strace")
	const life, pause = 2 * time.Second, 5 * time.Second
	for _, step := range []string{"C", "I", "P", "J", "K", "M"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			s.as.SetLifetime(life)
			p, pid := s.stopAt(step)
			peer := s.start(nil, "token", profileID)
			s.pass(pause)
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
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

// stopAt starts a renewal that is stopped by SIGSTOP at that step, C being a
// read under the lock.
func (s *stage) stopAt(step string) (p *process, pid int) {
	s.t.Helper()
	if step != "C" {
		p, pid = s.standAt(step)
	} else {
		reads := make(chan struct{}, 8)
		s.relay.on(func(c busCall) verdict {
			if c.is("SearchItems", ".slot.0") {
				reads <- struct{}{}
				s.pass(time.Second)
			}
			return verdict{}
		})
		p = s.start(nil, "token", profileID)
		pid = p.Process.Pid
		<-reads
		s.relay.on(nil)
	}
	s.stop(pid)
	return p, pid
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
	p, pid := s.stopAt("P")
	got := s.token(5)
	if got.took < 95*time.Second || got.took > 110*time.Second {
		t.Errorf("it waited for %v, want 100 s", got.took)
	}
	if !strings.Contains(got.stderr, "process "+strconv.Itoa(pid)+", which is stopped") {
		t.Errorf("the holder is not named:\n%s", got.stderr)
	}
	s.ledger(1, 1, 0)
	p.kill()
	p.wait()
}

// TestLogoutWaitsForARenewal: at whatever step that is. Then nothing is left of
// the login, nor made again by who waits behind it.
func TestLogoutWaitsForARenewal(t *testing.T) {
	t.Parallel()
	need(t, "strace", "secret-tool")
	for _, step := range []string{"I", "P", "J", "K", "M"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			if s.items() == 0 {
				t.Error("nothing of a login that exists was found in the keychain, so counting proves nothing")
			}
			p, _ := s.standAt(step)
			logout := s.start(nil, "logout", profileID)
			s.pass(300 * time.Millisecond)
			behind := s.start(nil, "token", profileID)
			s.pass(300 * time.Millisecond)
			if phase := s.journal().Phase; phase != "sending" && phase != "received" {
				t.Errorf("the logout did not wait: the journal says %s", phase)
			}
			// The server may have revoked the token by now.
			if got := p.wait(); got.code != 0 {
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
		})
	}
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
	need(t, "strace")
	for _, step := range []string{"I", "P", "J", "K", "M"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			p, _ := s.standAt(step)
			s.login(time.Hour)
			s.check(p.wait(), 0)
			if state, _, g := s.state(); state != "ok" || g != 3 {
				t.Errorf("the mirror says %s of generation %d, want ok of 3", state, g)
			}
			s.token(0)
			s.ledger(1, 1, 0)
		})
	}
}
