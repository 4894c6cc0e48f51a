//go:build linux

package faults

import (
	"testing"
	"time"
)

// TestKillALogoutAtEveryStep: kill -9 at each step of a sign-out. The next command,
// whatever it is, ends what was begun, and tells the server at most once more.
func TestKillALogoutAtEveryStep(t *testing.T) {
	t.Parallel()
	need(t, "strace", "secret-tool")
	for _, tt := range []struct {
		name  string
		at    at
		phase string // of the journal after the death
		told  int    // how often the server was told, in the end
	}{
		{"before the lock", at{call: "flock", file: "lock"}, "none", 0},
		{"before the journal", at{call: "renameat", file: ".journal.tmp"}, "none", 0},
		{"before the folder's fsync", at{call: "fsync", file: ""}, "logout", 1},
		{"before the server is reached", at{server: "accept"}, "logout", 1},
		{"before the server acts", at{server: "revoke"}, "logout", 1},
		{"after the server acted", at{server: "revoked"}, "logout", 2},
		{"before the first secret is deleted", at{method: "Delete"}, "logout", 2},
		{"after the first secret was deleted", at{method: "Delete", answered: true}, "logout", 1},
		{"before the mirror", at{call: "renameat", file: "mirror"}, "logout", 1},
		{"before the end", at{call: "unlinkat", file: "journal"}, "logout", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, options{})
			s.login(time.Hour)
			if s.items() == 0 {
				t.Fatal("nothing of a login that exists was found in the keychain, so counting proves nothing")
			}
			s.dieIn(tt.at, "logout", profileID)
			if got := s.journal().Phase; got != tt.phase {
				t.Errorf("the journal says %s, want %s", got, tt.phase)
			}
			if tt.phase == "none" { // nothing has begun
				s.token(0)
				return
			}
			s.token(4)
			if tt.at.call == "unlinkat" { // nothing names the login any more, and so nobody looks
				if got := s.journal().Phase; got != "logout" {
					t.Errorf("afterwards the journal says %s, want what is of no harm", got)
				}
				s.login(time.Hour)
				s.token(0)
				s.run("logout", profileID)
				tt.told++
			}
			if got := s.journal().Phase; got != "none" {
				t.Errorf("in the end the journal says %s", got)
			}
			if n := s.items(); n != 0 {
				t.Errorf("%d slots and tokens are left in the keychain", n)
			}
			if n := s.as.Stats().Revoked; n != tt.told {
				t.Errorf("the server was told %d times, want %d", n, tt.told)
			}
		})
	}
}
