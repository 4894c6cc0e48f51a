//go:build linux

package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// updated makes the stage's root the folder of an OpenClaw that has been updated,
// so that Keytray's own is used from now on.
func (s *stage) updated() {
	s.t.Helper()
	database := filepath.Join(s.root, "state", "openclaw.sqlite")
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(database, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	for i, v := range s.env {
		if dir, ok := strings.CutPrefix(v, "KEYTRAY_STATE_DIR="); ok {
			s.env[i] = "OPENCLAW_STATE_DIR=" + dir
		}
	}
}

// own is Keytray's own state root.
func (s *stage) own() string { return filepath.Dir(s.place()) }

// rootItem is how the keychain names that root.
func (s *stage) rootItem() string {
	sum := sha256.Sum256([]byte(s.own()))
	return "root." + hex.EncodeToString(sum[:])
}

// oldIndex is the first page of the index of the stage's root.
func (s *stage) oldIndex() string {
	s.t.Helper()
	b, err := os.ReadFile(s.mirror())
	if err != nil {
		s.t.Fatal(err)
	}
	var m struct {
		Profiles map[string]struct{ Keytray struct{ Root string } }
	}
	if err := json.Unmarshal(b, &m); err != nil {
		s.t.Fatal(err)
	}
	return m.Profiles[profileID].Keytray.Root + ".index.0"
}

// TestKillAMoveAtEveryStep: kill -9 at each step of `doctor --fix` when it moves a
// login to Keytray's own root. The next one ends the move, and no refresh token
// was sent for it.
func TestKillAMoveAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	for _, tt := range []struct {
		name string
		at   func(s *stage) at
	}{
		{"before the new root's record", func(s *stage) at { return at{method: "CreateItem", item: s.rootItem()} }},
		{"after the new root's record", func(s *stage) at { return at{method: "CreateItem", item: s.rootItem(), answered: true} }},
		{"copying the provider", func(s *stage) at {
			return at{call: "renameat", file: filepath.Join(s.own(), "providers/.demo.json.tmp")}
		}},
		{"before the new index", func(*stage) at { return at{method: "CreateItem", item: ".index.0"} }},
		{"after the new index", func(*stage) at { return at{method: "CreateItem", item: ".index.0", answered: true} }},
		{"before the new mirror", func(s *stage) at {
			return at{call: "renameat", file: filepath.Join(s.own(), "agents/main/agent/.auth-profiles.json.tmp")}
		}},
		{"after the new mirror", func(s *stage) at { return at{call: "fsync", file: filepath.Join(s.own(), "agents/main/agent")} }},
		{"before the old mirror goes", func(s *stage) at { return at{call: "unlinkat", file: s.mirror()} }},
		{"after the old mirror has gone", func(s *stage) at { return at{call: "fsync", file: filepath.Dir(s.mirror())} }},
		{"before the old index", func(s *stage) at { return at{method: "CreateItem", item: s.oldIndex()} }},
		{"after the old index", func(s *stage) at { return at{method: "CreateItem", item: s.oldIndex(), answered: true} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.login(time.Hour)
			s.updated()
			s.dieMoving(tt.at(s))
			if got := s.run("doctor", "--fix"); got.code != 0 {
				t.Errorf("doctor: exit %d, want 0\n%s%s", got.code, got.stdout, got.stderr)
			}
			s.token(0)
			if got := s.run("doctor"); got.code != 0 {
				t.Errorf("doctor again: exit %d, want 0\n%s%s", got.code, got.stdout, got.stderr)
			}
			if _, err := os.Stat(s.mirror()); err == nil {
				t.Error("the old profile file is still there")
			}
			s.ledger(0, 0, 0)
			if got := s.run("refresh", profileID); got.code != 0 {
				t.Errorf("renewing: exit %d, want 0\n%s", got.code, got.stderr)
			}
			s.ledger(1, 1, 0)
		})
	}
}

// dieMoving runs a move that dies there.
func (s *stage) dieMoving(a at) {
	s.t.Helper()
	var under []string
	v := newVictim()
	if a.call != "" {
		under = s.tracing(theStart, v, "-P", a.file, "-e", "trace="+a.call, "-e", "inject="+a.call+":signal=KILL")
	} else {
		s.dieInRelay(a, v.kill)
	}
	p := s.start(under, "doctor", "--fix")
	v <- p
	if got := p.wait(); got.code != -1 {
		s.t.Fatalf("the move was not killed: exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	s.relay.on(nil)
}
