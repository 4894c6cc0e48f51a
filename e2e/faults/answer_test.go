//go:build linux

package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

// answer is what a server may say to a renewal, and what becomes of it.
type answer struct {
	name string
	// commits says that the tokens are rotated before; whole is the answer then.
	commits bool
	how     func(w http.ResponseWriter, whole []byte)
	// code and phase are those of the command and the journal right afterwards.
	code  int
	phase string
	// end is the exit code when the server is well again, and the ledger what it
	// says then.
	end                  int
	sends, served, reuse int
}

func status(code int, body string) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter, _ []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// torn sends the beginning of the answer, up to the first character of the
// access token, and resets.
func torn(withRefresh bool) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, whole []byte) {
		var fields struct {
			Refresh string `json:"refresh_token"`
		}
		_ = json.Unmarshal(whole, &fields)
		text := `{"access_token":"e`
		if withRefresh {
			text = `{"refresh_token":"` + fields.Refresh + `","access_token":"e`
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		fmt.Fprint(w, text)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestServerAnswersBadly: each bad answer once, with no access token left. What
// says that nothing was spent is tried again; what leaves it open is tried once
// more, as there is nothing left to lose; and only an answer that got lost
// after the server had rotated costs the login (W1).
func TestServerAnswersBadly(t *testing.T) {
	t.Parallel()
	for _, tt := range []answer{
		{"429", false, status(429, "slow down"), 5, "none", 0, 2, 1, 0},
		{"503", false, status(503, "busy"), 5, "none", 0, 2, 1, 0},
		{"500 before the commit", false, status(500, "oops"), 5, "sending", 0, 2, 1, 0},
		{"500 after the commit", true, status(500, "oops"), 5, "sending", 4, 2, 1, 1},
		{"502 after the commit", true, status(502, "<html>bad gateway</html>"), 5, "sending", 4, 2, 1, 1},
		{"504 after the commit", true, status(504, "<html>too late</html>"), 5, "sending", 4, 2, 1, 1},
		{"reset before the commit", false, reset, 5, "sending", 0, 2, 1, 0},
		{"reset after the commit", true, reset, 5, "sending", 4, 2, 1, 1},
		{"200 with HTML", true, status(200, "<html>welcome</html>"), 5, "sending", 4, 2, 1, 1},
		{"truncated before the refresh token", true, torn(false), 5, "sending", 4, 2, 1, 1},
		{"truncated after the refresh token", true, torn(true), 5, "none", 0, 2, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				whole := httptest.NewRecorder()
				if tt.commits {
					next.ServeHTTP(whole, r)
				}
				tt.how(w, whole.Body.Bytes())
			})
			got := s.token(tt.code)
			if !strings.Contains(got.stderr, "keytray: hint: ") {
				t.Errorf("no hint:\n%s", got.stderr)
			}
			if phase := s.journal().Phase; phase != tt.phase {
				t.Errorf("the journal says %s, want %s", phase, tt.phase)
			}
			s.as.onRefresh(nil)
			s.inTheEnd(tt.end)
			s.ledger(tt.sends, tt.served, tt.reuse)
			if tt.end == 4 {
				if state, reason, _ := s.state(); state != "needs_login" || reason != "lost_response" {
					t.Errorf("the mirror says %s (%s), want needs_login (lost_response)", state, reason)
				}
				s.login(time.Hour) // and all is well
				s.token(0)
			}
		})
	}
}

// inTheEnd asks for a token until the answer is another one than to try again
// later.
func (s *stage) inTheEnd(code int) {
	s.t.Helper()
	for range 20 {
		got := s.run("token", profileID)
		if got.code != 5 {
			s.check(got, code)
			return
		}
		s.pass(500 * time.Millisecond)
	}
	s.t.Error("it never comes to an end")
}

// TestLostAnswerWhileTheOldTokenLives: the old token is handed out, and the
// refresh token is not sent again as long as there is something to lose.
func TestLostAnswerWhileTheOldTokenLives(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.due()
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		reset(w, nil)
	})
	s.token(5, "--min-ttl", "9m59s")
	s.as.onRefresh(nil)
	s.pass(3500 * time.Millisecond) // beyond the pause after a failure
	s.token(5, "--min-ttl", "9m59s")
	s.token(0)
	s.ledger(1, 1, 0)
}

// TestRetryAfterIsHonoured: no request before the server's time, and then one.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.as.onRefresh(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "8")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	began := time.Now()
	s.token(5)
	s.as.onRefresh(nil)
	for s.as.sends() == 1 {
		got := s.run("token", profileID)
		if waited := time.Since(began); s.as.sends() > 1 && waited < 8*time.Second {
			t.Errorf("it was sent again after %v, want 8 s at least", waited)
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("it is never sent again\n%s", got.stderr)
		}
		s.pass(200 * time.Millisecond)
	}
	s.token(0)
	s.ledger(2, 1, 0)
}

// TestRedirectIsNotFollowed: the refresh token goes to no other origin, and is
// not spent.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{307, 308} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			var visits atomic.Int32
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
			defer elsewhere.Close()
			s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, elsewhere.URL+"/token", code)
			})
			if got := s.run("token", profileID); got.code == 0 {
				t.Error("a redirect is not a token")
			}
			if phase := s.journal().Phase; phase != "none" {
				t.Errorf("the journal says %s, want none", phase)
			}
			s.as.onRefresh(nil)
			s.inTheEnd(0)
			if n := visits.Load(); n != 0 {
				t.Errorf("%d requests to another origin", n)
			}
			s.ledger(2, 1, 0)
		})
	}
}

// TestServerIsNotThere: nothing is sent, nothing is spent.
func TestServerIsNotThere(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.as.down()
	s.token(5)
	if phase := s.journal().Phase; phase != "none" {
		t.Errorf("the journal says %s, want none", phase)
	}
	s.as.up(t, s.as.address)
	s.inTheEnd(0)
	s.ledger(1, 1, 0)
}

// TestRevokedLoginIsAskedForOnce: the server refuses the token for good. It is
// sent once, and then a person is asked for.
func TestRevokedLoginIsAskedForOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.as.onRefresh(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
	})
	for range 3 {
		if got := s.token(4); !strings.Contains(got.stderr, "keytray login demo") {
			t.Errorf("no command that mends it:\n%s", got.stderr)
		}
		s.pass(700 * time.Millisecond)
	}
	if state, reason, _ := s.state(); state != "needs_login" || reason != "invalid_grant" {
		t.Errorf("the mirror says %s (%s), want needs_login (invalid_grant)", state, reason)
	}
	s.ledger(1, 0, 0)
}

// TestRefusedTokenThatWasReplacedMeanwhile: somebody cleared away locks and
// journals, and so another process renewed under our feet. Our own request is
// refused then; the slots are read again, and the token that is there is good.
func TestRefusedTokenThatWasReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if first.Swap(true) {
			next.ServeHTTP(w, r)
			return
		}
		close(arrived)
		<-goOn
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
	})
	p := s.start(nil, "token", profileID)
	<-arrived
	if err := os.RemoveAll(s.place()); err != nil {
		t.Fatal(err)
	}
	s.token(0)
	close(goOn)
	s.check(p.wait(), 0)
	s.token(0)
	s.ledger(3, 2, 0)
	if state, _, g := s.state(); state != "ok" || g != 3 {
		t.Errorf("the mirror says %s of generation %d, want ok of 3", state, g)
	}
}

// TestServerClockIsAYearOff: what counts is how long a token lives, not when the
// server thinks it ends.
func TestServerClockIsAYearOff(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for name, skew := range map[string]time.Duration{"ahead": year, "behind": -year} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{server: oauthtest.Options{Skew: skew}})
			s.expired()
			for range 3 {
				s.token(0)
			}
			s.ledger(1, 1, 0)
			s.expires(time.Hour)
		})
		t.Run(name+" without expires_in", func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{server: oauthtest.Options{Skew: skew}})
			s.expired()
			s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				whole := httptest.NewRecorder()
				next.ServeHTTP(whole, r)
				w.Header().Set("Content-Type", "application/json")
				w.Write(bytes.ReplaceAll(whole.Body.Bytes(), []byte(`"expires_in":3600,`), nil))
			})
			began := time.Now()
			for range 3 {
				s.token(0)
			}
			most := 1 + int(time.Since(began)/(2*time.Second))
			if got := s.as.sends(); got > most {
				t.Errorf("%d requests in %v, want at most one in 2 s", got, time.Since(began))
			}
			s.ledger(s.as.sends(), s.as.sends(), 0)
		})
	}
}

// expires checks when the mirror says that the token ends.
func (s *stage) expires(in time.Duration) {
	s.t.Helper()
	b, err := os.ReadFile(s.mirror())
	if err != nil {
		s.t.Fatal(err)
	}
	var m struct {
		Profiles map[string]struct{ Expires int64 }
	}
	if err := json.Unmarshal(b, &m); err != nil {
		s.t.Fatal(err)
	}
	if got := time.Until(time.UnixMilli(m.Profiles[profileID].Expires)); (got - in).Abs() > time.Minute {
		s.t.Errorf("the mirror says that the token ends in %v, want %v", got, in)
	}
}
