//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

// at is a place in a renewal where the process dies: one of three kinds.
type at struct {
	// call on file: strace kills when the process enters that system call on
	// that file, for the first time since from, before the call has any effect.
	// (It counts the calls of each thread, so that no later one can be named.)
	call, file string
	from       moment
	// method on item: the relay kills when the call comes by for the first time,
	// and the bus never gets it; or, with answered, when the answer comes.
	method, item string
	answered     bool
	// server kills at a point of the request.
	server string
}

// moment is when strace begins to look.
type moment int

const (
	theStart  moment = iota
	theAnswer        // the server has committed and holds its answer
	theCache         // the access token is in the keychain, as the last thing there
)

// expectation is what the next process finds.
type expectation struct {
	phase                string // of the journal after the death
	code                 int    // of the next `keytray token`
	sends, served, reuse int    // in all
}

// TestKillAtEveryStep: kill -9 at each step of a renewal, and what the next
// process makes of it. The only deaths that cost the login are those between
// the server's commit and the journal's fsync (W2).
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	unspent := expectation{"none", 0, 1, 1, 0}     // it had sent nothing
	doubtful := expectation{"sending", 0, 1, 1, 0} // it had sent nothing, and nobody can know
	lost := expectation{"sending", 4, 2, 1, 1}     // W2: the server had rotated, the answer is gone
	carried := expectation{"received", 0, 1, 1, 0}
	over := expectation{"none", 0, 1, 1, 0}
	for _, tt := range []struct {
		name string
		at   at
		want expectation
	}{
		{"L before the lock", at{call: "flock", file: "lock"}, unspent},
		{"L after the lock", at{call: "pwrite64", file: "lock"}, unspent},
		{"R at the barrier", at{method: "SearchItems", item: "barrier"}, unspent},
		{"C reading the slot", at{method: "SearchItems", item: ".slot.0"}, unspent},
		{"C reading the access token", at{method: "SearchItems", item: ".at.1"}, unspent},
		{"I reserving room", at{call: "fsync", file: "journal.next"}, unspent},
		{"I before the intent", at{call: "renameat", file: ".journal.tmp"}, unspent},
		{"I before the folder's fsync", at{call: "fsync", file: ""}, doubtful},
		{"P before the headers", at{server: "accept"}, doubtful},
		{"P before the commit", at{server: "request"}, expectation{"sending", 0, 2, 1, 0}},
		{"P after the commit", at{server: "commit"}, lost},
		{"P in the middle of the answer", at{server: "half"}, lost},
		{"J before the write", at{call: "write", file: "journal.next", from: theAnswer}, lost},
		{"J before the fsync", at{call: "fsync", file: "journal.next", from: theAnswer}, lost},
		{"J before the rename", at{call: "renameat", file: "journal.next"}, lost},
		{"J after the rename", at{call: "fsync", file: "", from: theAnswer}, carried},
		{"K before the slot", at{method: "CreateItem", item: ".slot.0"}, carried},
		{"K after the slot", at{method: "CreateItem", item: ".slot.0", answered: true}, carried},
		{"K before the access token", at{method: "CreateItem", item: ".at.0"}, carried},
		{"K after the access token", at{method: "CreateItem", item: ".at.0", answered: true}, carried},
		{"M before the mirror", at{call: "renameat", file: "mirror"}, carried},
		{"M after the mirror", at{call: "fsync", file: "mirror folder"}, carried},
		{"E before the end", at{call: "unlinkat", file: "journal"}, carried},
		{"E after the end", at{call: "fsync", file: "", from: theCache}, over},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.expired()
			s.dieAt(tt.at)
			if got := s.journal().Phase; got != tt.want.phase {
				t.Errorf("the journal says %s, want %s", got, tt.want.phase)
			}
			s.token(tt.want.code)
			s.ledger(tt.want.sends, tt.want.served, tt.want.reuse)
			if tt.want.code == 4 {
				if state, reason, _ := s.state(); state != "needs_login" || reason != "lost_response" {
					t.Errorf("the mirror says %s (%s), want needs_login (lost_response)", state, reason)
				}
				return
			}
			if got := s.journal().Phase; got != "none" {
				t.Errorf("in the end the journal says %s", got)
			}
			s.token(0) // and it is not renewed again
			s.ledger(tt.want.sends, tt.want.served, tt.want.reuse)
		})
	}
}

// dieAt runs a renewal that dies there.
func (s *stage) dieAt(a at, args ...string) {
	s.t.Helper()
	s.dieIn(a, append([]string{"token", profileID}, args...)...)
}

// dieIn runs a command that dies there.
func (s *stage) dieIn(a at, command ...string) {
	s.t.Helper()
	var under []string
	v := newVictim()
	if a.call != "" {
		under = s.tracing(a.from, v, "-P", s.traced(a.file), "-e", "trace="+a.call, "-e", "inject="+a.call+":signal=KILL")
	} else {
		s.dieInRelay(a, v.kill)
		s.dieInServer(a.server, v.kill)
	}
	p := s.start(under, command...)
	v <- p
	if got := p.wait(); got.code != -1 {
		s.t.Fatalf("the process was not killed: exit %d\n%s", got.code, got.stderr)
	}
	s.relay.on(nil)
	s.as.onRefresh(nil)
	s.as.onRevoke(nil)
	s.as.onAccept(nil)
}

// victim hands a process to hooks that are set before it starts.
type victim chan *process

func newVictim() victim { return make(victim, 1) }

func (v victim) do(f func(p *process)) {
	p := <-v
	f(p)
	v <- p
}

func (v victim) kill() { v.do((*process).kill) }

// strace is the command without what it does: it follows all threads. With its
// --seccomp-bpf an injected signal would get lost.
var strace = []string{"strace", "-f", "-qq", "-o"}

// trace is the file that strace writes. It has no secrets: the calls that are
// traced have none in their arguments, or are cut off.
func (s *stage) trace() string { return filepath.Join(s.dir, "trace") }

// tracing puts strace on v from that moment on. It returns what v must be
// started under.
func (s *stage) tracing(from moment, v victim, args ...string) (under []string) {
	attach := func(p *process) { p.attach(args...) }
	switch from {
	case theStart:
		return slices.Concat(strace, []string{s.trace(), "-s", "0"}, args)
	case theAnswer:
		s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			v.do(attach)
			next.ServeHTTP(w, r)
		})
	case theCache:
		s.relay.on(func(c busCall) verdict {
			if !c.is("CreateItem", ".at.0") {
				return verdict{}
			}
			return verdict{answer: func() bool { v.do(attach); return true }}
		})
	}
	return nil
}

// attach puts strace on the running process and returns when it holds all of
// its threads. It ends with the process.
func (p *process) attach(args ...string) {
	cmd := exec.Command(strace[0], slices.Concat(strace[1:], []string{p.s.trace(), "-s", "0", "-p", strconv.Itoa(p.Process.Pid)}, args)...)
	if err := cmd.Start(); err != nil {
		p.s.t.Error(err)
		return
	}
	ended := make(chan struct{})
	p.s.tracer <- ended
	go func() { // ends with strace, which ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	for range 2000 {
		if p.held() {
			return
		}
		p.s.pass(5 * time.Millisecond)
	}
	p.s.t.Error("strace did not get hold of the process")
}

// held reports whether all threads have a tracer.
func (p *process) held() bool {
	states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Process.Pid))
	for _, name := range states {
		b, readErr := os.ReadFile(name)
		if readErr == nil && bytes.Contains(b, []byte("\nTracerPid:\t0\n")) {
			return false
		}
	}
	return err == nil && len(states) > 0
}

// traced is the file that strace watches: "" is the folder of the journal.
func (s *stage) traced(file string) string {
	s.t.Helper()
	if filepath.IsAbs(file) {
		return file
	}
	switch file {
	case "":
		return s.place()
	case ".journal.tmp":
		return filepath.Join(s.place(), "."+filepath.Base(s.file("journal"))+".tmp")
	case "mirror":
		return filepath.Join(filepath.Dir(s.mirror()), ".auth-profiles.json.tmp")
	case "mirror folder":
		return filepath.Dir(s.mirror())
	}
	return s.file(file)
}

func (s *stage) dieInRelay(a at, kill func()) {
	if a.method == "" {
		return
	}
	s.relay.on(func(c busCall) verdict {
		switch {
		case !c.is(a.method, a.item):
			return verdict{}
		case a.answered:
			return verdict{answer: func() bool { kill(); return false }}
		}
		kill()
		return verdict{drop: true}
	})
}

func (s *stage) dieInServer(point string, kill func()) {
	switch point {
	case "accept":
		s.as.onAccept(kill)
	case "revoke":
		s.as.onRevoke(func(http.ResponseWriter, *http.Request, http.Handler) { kill() })
	case "revoked":
		s.as.onRevoke(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			kill()
		})
	case "request":
		s.as.onRefresh(func(http.ResponseWriter, *http.Request, http.Handler) { kill() })
	case "commit":
		s.as.onRefresh(func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			kill()
		})
	case "half":
		s.as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
			w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			http.NewResponseController(w).Flush()
			kill()
		})
	}
}

// TestKillWhileTheOldTokenLives: after a death that may have spent the refresh
// token nobody sends it again as long as the access token works, at a strict
// server; a forgiving one is asked again at once, and answers.
func TestKillWhileTheOldTokenLives(t *testing.T) {
	t.Parallel()
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, options{})
		s.due()
		s.dieAt(at{server: "commit"}, "--min-ttl", "9m59s")
		s.token(0)
		if got := s.token(5, "--min-ttl", "9m59s"); !strings.Contains(got.stderr, "keytray: hint: ") {
			t.Errorf("no hint:\n%s", got.stderr)
		}
		s.ledger(1, 1, 0)
	})
	t.Run("graceful", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, options{server: oauthtest.Options{Rotation: oauthtest.Grace}})
		s.due()
		s.dieAt(at{server: "commit"}, "--min-ttl", "9m59s")
		s.token(0, "--min-ttl", "9m59s")
		s.ledger(2, 2, 0)
	})
	t.Run("not rotating", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, options{server: oauthtest.Options{Rotation: oauthtest.Keep}})
		s.expired()
		s.dieAt(at{server: "commit"})
		s.pass(time.Second)
		s.token(0)
		s.ledger(2, 2, 0)
	})
}

// TestTornJournalIsSetAside: half a journal is no journal. The slots decide,
// and the torn file stays until the next commit.
func TestTornJournalIsSetAside(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	s.expired()
	s.dieAt(at{server: "accept"})
	b, err := os.ReadFile(s.file("journal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file("journal"), b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s.as.onRefresh(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	s.token(5)
	if _, err := os.Stat(s.file("journal.bad")); err != nil {
		t.Errorf("the torn journal was not kept: %v", err)
	}
	s.as.onRefresh(nil)
	s.pass(6 * time.Second) // the pause after the 503
	s.token(0)
	if _, err := os.Stat(s.file("journal.bad")); err == nil {
		t.Error("the torn journal outlived the commit")
	}
	s.ledger(2, 1, 0)
}
