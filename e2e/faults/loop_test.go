//go:build linux

package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

var (
	kills    = flag.Int("faults.kills", 50, "how many renewals to kill at random")
	killSeed = flag.Uint64("faults.seed", 0, "of the random kills; 0 is a new one")
)

// shortLife is that of a token which is due when a renewal is allowed, and lives
// long enough to be looked at when it is handed out.
const shortLife = 3 * time.Second

// fate is what became of a login whose renewal was killed or whose answer was
// lost.
type fate string

const (
	alive fate = "alive"
	w1    fate = "lost by W1 (the answer got lost)"
	w2    fate = "lost by W2 (killed between the server's commit and the journal)"
	w3    fate = "lost by W3 (no journal, and killed before the keychain had it)"
)

// scene is one random run.
type scene struct {
	// fromRequest counts the time to the kill from the arrival of the request;
	// else it is from the start of the process.
	fromRequest bool
	kill        time.Duration
	answer      time.Duration // the server's delay, half of it before the commit
	drop        bool          // the answer gets lost
	noJournal   bool          // the disk does not take the journal
}

func randomScene(dice *rand.Rand) scene {
	up := func(most time.Duration) time.Duration { return time.Duration(dice.Int64N(int64(most))) }
	return scene{
		fromRequest: dice.IntN(2) == 0,
		kill:        up(150 * time.Millisecond),
		answer:      up(100 * time.Millisecond),
		drop:        dice.IntN(25) == 0,
		noJournal:   dice.IntN(25) == 0,
	}
}

func (c scene) String() string {
	return fmt.Sprintf("killed %v after the request %t, answer after %v, dropped %t, without journal %t", c.kill, c.fromRequest, c.answer, c.drop, c.noJournal)
}

// TestRandomKills: renewals of real processes, each killed at a random time.
// Every login is alive afterwards, or lost in one of the three ways that are
// known, as the journal shows.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	const stages = 10
	var (
		mu    sync.Mutex // guards what follows
		fates = map[fate]int{}
		when  = map[string]int{}
	)
	began := time.Now()
	for i := range stages {
		runs := *kills / stages
		if i < *kills%stages {
			runs++
		}
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			dice := rand.New(rand.NewPCG(seed, uint64(i)))
			s := newStage(t, options{})
			s.login(shortLife)
			for range runs {
				s.pass(spacing)
				c := randomScene(dice)
				f, phase := s.play(c)
				if f == "" || t.Failed() {
					t.Fatalf("%v; again, perhaps, with -faults.seed %d", c, seed)
				}
				mu.Lock()
				fates[f]++
				when[phase]++
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		t.Logf("%d runs in %v, seed %d: %d alive, %d W1, %d W2, %d W3; the journal after the kill: %v",
			*kills, time.Since(began).Round(time.Second), seed, fates[alive], fates[w1], fates[w2], fates[w3], when)
		if fates[alive] == 0 || len(when) < 3 {
			t.Error("the kills did not cover the renewal, so this shows little")
		}
	})
}

// play runs one scene on an expired login and says what became of it; the login
// is expired again afterwards, and a new one if the old was lost.
func (s *stage) play(c scene) (f fate, phase string) {
	s.t.Helper()
	before, sends := s.as.Stats(), s.as.sends()
	s.as.SetLifetime(shortLife)
	v := newVictim()
	arrived := make(chan struct{}, 1)
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if c.noJournal {
			v.do(func(p *process) {
				p.attach("-P", s.traced("journal.next"), "-e", "trace=write", "-e", "inject=write:error=EIO")
			})
		}
		arrived <- struct{}{}
		s.pass(c.answer / 2)
		if r.Context().Err() != nil {
			return // its sender is gone, and a server may notice
		}
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		s.pass(c.answer / 2)
		if c.drop {
			reset(w, nil)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(whole.Body.Bytes())
	})
	p := s.start(nil, "token", profileID)
	v <- p
	ended := make(chan result, 1)
	go func() { ended <- p.wait() }()
	if c.fromRequest {
		select {
		case <-arrived:
		case got := <-ended:
			s.t.Errorf("it sent nothing: exit %d\n%s", got.code, got.stderr)
			return "", ""
		}
	}
	s.pass(c.kill)
	v.kill()
	got := <-ended
	s.eventually("the server to be done", s.as.idle)
	s.as.onRefresh(nil)
	select {
	case strace := <-s.tracer:
		<-strace
	default:
	}
	return s.judge(c, got, before.Refreshes, before.Reuses, sends)
}

// judge lets the next process find out, and explains a loss by the journal.
func (s *stage) judge(c scene, got result, refreshes, reuses, sends int) (f fate, phase string) {
	s.t.Helper()
	j := s.journal()
	committed := s.as.Stats().Refreshes > refreshes
	next := s.run("token", profileID)
	for next.code == 5 {
		s.pass(300 * time.Millisecond)
		next = s.run("token", profileID)
	}
	s.check(next, map[bool]int{true: 4}[next.code == 4])
	reused := s.as.Stats().Reuses - reuses
	if next.code == 0 {
		if reused != 0 {
			s.t.Errorf("a spent token was sent again")
		}
		return alive, j.Phase
	}
	if reused > 1 || s.as.sends()-sends > 2 {
		s.t.Errorf("a token was sent more than once again: %d sends, %d reuses", s.as.sends()-sends, reused)
	}
	s.login(shortLife)
	switch {
	case j.Phase != "sending" || !committed:
		s.t.Errorf("the login is lost, the journal says %s, and the server rotated: %t\n%s", j.Phase, committed, next.stderr)
		return "", ""
	case got.code != -1: // it lived on and wrote down that there was no answer
		if !c.drop {
			s.t.Errorf("the login is lost, nobody was killed, and no answer was lost\n%s", got.stderr)
		}
		return w1, j.Phase
	case c.noJournal && s.injected():
		return w3, j.Phase
	}
	return w2, j.Phase
}
