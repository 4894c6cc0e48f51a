//go:build linux

package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// foreign is another program's file with a login in it. It lies outside of the
// stage's folder, which no secret may be in.
type foreign struct {
	t             testing.TB
	dir, path     string
	refresh, name string
}

// openclaw gives an OpenClaw of its own a login of ada.
func (s *stage) openclaw() *foreign {
	s.t.Helper()
	p := *s.as.Provider().OAuth
	l, err := (&oauth.Client{}).StartLogin(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	go func() { _, _ = oauthtest.Browser{User: "ada"}.Open(s.t.Context(), l.URL) }()
	tok, err := l.Wait(s.t.Context())
	l.Close(err)
	if err != nil {
		s.t.Fatal(err)
	}
	f := &foreign{t: s.t, dir: s.t.TempDir(), refresh: tok.Refresh.Reveal(), name: "demo:default"}
	f.path = filepath.Join(f.dir, "agents/main/agent/auth-profiles.json")
	b, err := json.Marshal(map[string]any{"version": 1, "profiles": map[string]any{f.name: map[string]any{
		"type": "oauth", "provider": "demo", "access": tok.Access.Reveal(), "refresh": f.refresh,
		"expires": tok.Expiry.UnixMilli(), "clientId": p.ClientID,
	}}})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(f.path, b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "OPENCLAW_STATE_DIR="+f.dir)
	return f
}

// temp is the new file before it takes the old one's place.
func (f *foreign) temp() string {
	sum := sha256.Sum256([]byte(f.name))
	return filepath.Join(filepath.Dir(f.path), ".auth-profiles.json.keytray-"+hex.EncodeToString(sum[:4]))
}

// has reports whether any file of the program's has the refresh token.
func (f *foreign) has() bool {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(f.path), "*"))
	hidden, hiddenErr := filepath.Glob(filepath.Join(filepath.Dir(f.path), ".*.keytray-*"))
	if err != nil || hiddenErr != nil {
		f.t.Fatal(err, hiddenErr)
	}
	for _, name := range append(files, hidden...) {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), f.refresh) {
			return true
		}
	}
	return false
}

// dieImporting runs an import that dies there.
func (s *stage) dieImporting(a at) {
	s.t.Helper()
	var under []string
	v := newVictim()
	if a.call != "" {
		under = s.tracing(theStart, v, "-P", a.file, "-e", "trace="+a.call, "-e", "inject="+a.call+":signal=KILL")
	} else {
		s.dieInRelay(a, v.kill)
	}
	p := s.start(under, "import", "openclaw")
	v <- p
	if got := p.wait(); got.code != -1 {
		s.t.Fatalf("the import was not killed: exit %d\n%s", got.code, got.stderr)
	}
	s.relay.on(nil)
}

// TestKillAnImportAtEveryStep: kill -9 at each step of an import. After the next
// command that needs a credential the login is in one place and works there, and
// nobody has sent a token twice.
func TestKillAnImportAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	const here, there = true, false
	// The login is wholly here, without the access token: it may be renewed.
	bare := []string{"after the login without the mark", "before its access token, again"}
	for _, tt := range []struct {
		name string
		at   func(s *stage, f *foreign) at
		want bool
	}{
		{"before the owner's lock of the profile", func(_ *stage, f *foreign) at {
			return at{call: "mkdirat", file: filepath.Join(f.dir, "locks")}
		}, there},
		{"before the owner's lock of the file", func(_ *stage, f *foreign) at { return at{call: "openat", file: f.path + ".lock"} }, there},
		{"after the intent", func(s *stage, _ *foreign) at { return at{call: "fsync", file: s.place()} }, there},
		{"before the index", saving(".index.0", false), there},
		{"before the marked login", saving(".slot.1", false), there},
		{"after the marked login", saving(".slot.1", true), there},
		{"before its access token", saving(".at.1", false), there},
		{"after its access token", saving(".at.1", true), there},
		{"writing the new file", func(_ *stage, f *foreign) at { return at{call: "fsync", file: f.temp()} }, there},
		{"before the new file takes its place", func(_ *stage, f *foreign) at { return at{call: "renameat", file: f.temp()} }, there},
		{"after the new file has taken its place", func(_ *stage, f *foreign) at { return at{call: "fsync", file: filepath.Dir(f.path)} }, here},
		{"before the login without the mark", saving(".slot.0", false), here},
		{"after the login without the mark", saving(".slot.0", true), here},
		{"before its access token, again", saving(".at.0", false), here},
		{"before the mirror", func(s *stage, _ *foreign) at { return at{call: "renameat", file: s.traced("mirror")} }, here},
		{"after the mirror", func(s *stage, _ *foreign) at { return at{call: "fsync", file: s.traced("mirror folder")} }, here},
		{"giving back the owner's lock", func(_ *stage, f *foreign) at { return at{call: "unlinkat", file: f.path + ".lock"} }, here},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			f := s.openclaw()
			s.dieImporting(tt.at(s, f))
			s.ledger(0, 0, 0)
			got := s.run("token", "demo")
			isHere := got.code == 0
			if isHere != tt.want || isHere == f.has() {
				t.Errorf("here: %v, there: %v, want here: %v\n%s", isHere, f.has(), tt.want, got.stderr)
			}
			if left, err := filepath.Glob(filepath.Join(s.place(), "*.journal")); len(left) > 0 || err != nil {
				t.Errorf("left behind: %q, %v", left, err)
			}
			renewed := 0
			if slices.Contains(bare, tt.name) {
				renewed = 1
			}
			s.ledger(renewed, renewed, 0)
			if isHere {
				s.check(got, 0)
				if r := s.run("refresh", f.name); r.code != 0 { // waits for 2 s after the last one
					t.Errorf("renewing: exit %d\n%s", r.code, r.stderr)
				}
			} else if r := s.run("import", "openclaw"); r.code != 0 || f.has() {
				t.Errorf("importing again: exit %d, still there: %v\n%s", r.code, f.has(), r.stderr)
			}
			s.ledger(renewed+1, renewed+1, 0)
			s.check(s.run("token", "demo"), 0)
		})
	}
}

// saving is a death at a write to the keychain.
func saving(item string, answered bool) func(*stage, *foreign) at {
	return func(*stage, *foreign) at { return at{method: "CreateItem", item: item, answered: answered} }
}

// TestAKilledImportWaitsForItsFile: as long as nobody can tell where the login is
// nothing renews it, however often it is asked for.
func TestAKilledImportWaitsForItsFile(t *testing.T) {
	t.Parallel()
	s := newStage(t, options{})
	f := s.openclaw()
	s.dieImporting(saving(".slot.0", false)(s, f))
	if f.has() {
		t.Fatal("the file was not stripped")
	}
	if err := os.Chmod(f.path, 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := s.run("token", "demo"); got.code != 1 || !strings.Contains(got.stderr, "can be written by others") {
			t.Errorf("exit %d, want 1 and why\n%s", got.code, got.stderr)
		}
	}
	if got := s.run("doctor", "--fix"); got.code != 1 || !strings.Contains(got.stdout, "not moved: demo:default") {
		t.Errorf("doctor: exit %d, want 1 and that it is not moved\n%s", got.code, got.stdout)
	}
	s.ledger(0, 0, 0)
	if err := os.Chmod(f.path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.check(s.run("token", "demo"), 0)
}
