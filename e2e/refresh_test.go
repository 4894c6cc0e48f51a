//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOneRefreshForSixtyFourProcesses: a token expires, and 64 processes want
// one at that moment.
func TestOneRefreshForSixtyFourProcesses(t *testing.T) {
	r := newRig(t)
	r.srv.life(time.Second)
	r.login("alice")
	pass(t, 1200*time.Millisecond)
	r.srv.life(time.Hour)
	r.srv.holdAnswer(300 * time.Millisecond) // so that the others meet a refresh on its way

	procs := make([]*process, 64)
	began := time.Now()
	for i := range procs {
		procs[i] = r.start(nil, "token", "rig")
	}
	answers := map[string]int{}
	for _, p := range procs {
		got := p.wait()
		if got.code != 0 {
			t.Errorf("exit %d, want 0\n%s", got.code, got.stderr)
		}
		answers[got.stdout]++
	}
	t.Logf("64 processes answered in %v", time.Since(began).Round(time.Millisecond))
	l := r.srv.ledger()
	r.checkRotation(l, 1)
	if want := l.Access[len(l.Access)-1] + "\n"; answers[want] != len(procs) {
		t.Errorf("%d of 64 answers are the newest token; %d different answers", answers[want], len(answers))
	}
}

// TestTwoAgentsLiveSideBySide: the same person at the same provider, in two
// agents. Each has a login of its own, and none harms the other.
func TestTwoAgentsLiveSideBySide(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.life(2 * time.Second)
	r.login("alice")
	r.loginByPaste("alice", "--agent", "work")
	answers := map[string]bool{}
	for range 2 {
		pass(t, 2200*time.Millisecond)
		for _, agent := range []string{"main", "work"} {
			answers[r.token("--agent", agent)] = true
		}
	}
	if len(answers) != 4 {
		t.Errorf("two agents got %d different tokens in two rounds, want 4", len(answers))
	}
	r.checkRotation(r.srv.ledger(), 4)
	for _, agent := range []string{"main", "work"} {
		if n := len(r.profiles(agent)); n != 1 {
			t.Errorf("agent %s has %d profiles, want 1", agent, n)
		}
	}
}

// TestSignalsLoseNoLogin: a signal at any moment of a refresh, from before the
// request to after the answer. Whatever the process does about it, the next
// one has a token, and no spent refresh token was sent again.
func TestSignalsLoseNoLogin(t *testing.T) {
	t.Parallel()
	const (
		rounds = 7
		held   = 400 * time.Millisecond // how long the answer takes
	)
	for name, sig := range map[string]os.Signal{"interrupt": os.Interrupt, "terminate": syscall.SIGTERM, "hangup": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.srv.life(time.Second)
			r.login(name)
			var during, ended int
			for round := range rounds {
				pass(t, 2100*time.Millisecond)
				r.srv.holdAnswer(held)
				p := r.start(nil, "token", "rig")
				// Moments that cover the whole time, denser towards its beginning,
				// where a process starts, reads, locks and sends within milliseconds.
				at := (float64(round) + rand.Float64()) / rounds
				pass(t, time.Duration(at*at*float64(held+200*time.Millisecond)))
				sent := time.Now()
				p.Process.Signal(sig)
				got := p.wait()
				if got.code != 0 {
					ended++
				}
				l := r.srv.ledger()
				if n := len(l.Refreshes); n > 0 {
					since := sent.Sub(time.UnixMilli(l.Refreshes[n-1].At))
					if since > 0 && since < held {
						during++
					}
				}
				if next := r.run("token", "rig"); next.code != 0 {
					t.Fatalf("round %d, %v after the start: the next process has exit %d, want 0\n%s\nthe signalled one: exit %d\n%s",
						round, sent.Sub(p.began), next.code, next.stderr, got.code, got.stderr)
				}
			}
			l := r.srv.ledger()
			r.checkRotation(l, len(l.Refreshes))
			if during == 0 {
				t.Error("no signal came while the server held its answer: this shows nothing")
			}
			t.Logf("%d signals, %d of them while the answer was held; %d processes ended without a token; %d refreshes", rounds, during, ended, len(l.Refreshes))
		})
	}
}

// TestLostAnswerEndsInSignIn: the server has rotated and its answer is
// lost. It is one of the three ways to lose a login that are left; the person
// is told to sign in again, and does.
func TestLostAnswerEndsInSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.life(time.Second)
	r.login("alice")
	pass(t, 1200*time.Millisecond)
	r.srv.loseAnswer(1)
	var got result
	for range 3 { // the first may answer: try again later
		if got = r.run("token", "rig"); got.code != 5 {
			break
		}
		pass(t, 2200*time.Millisecond)
	}
	if got.code != 4 || !strings.Contains(got.stderr, "keytray: hint: ") {
		t.Errorf("exit %d, want 4 with a hint\n%s", got.code, got.stderr)
	}
	r.srv.life(time.Hour)
	r.login("alice")
	r.token()
}

func (s *server) loseAnswer(n int) {
	s.t.Helper()
	s.control("POST", fmt.Sprintf("fault?count=%d&drop=1", n), nil)
}
