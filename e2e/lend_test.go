//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newest is the last access token that the server has issued.
func (s *server) newest() string {
	l := s.ledger()
	return l.Access[len(l.Access)-1]
}

// TestTheTrayKeepsAFileCurrent through renewals, mends what somebody removed, and
// takes the token out when the login goes. The token is nowhere else.
func TestTheTrayKeepsAFileCurrent(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	out := filepath.Join(t.TempDir(), "token.json")
	has := func(token string) bool {
		b, err := os.ReadFile(out)
		return err == nil && strings.Contains(string(b), token)
	}
	r.srv.life(4 * time.Second)
	r.login("alice")
	r.must("sync", "add", "--format", "json", "--out", out, "rig")
	tr := d.keytrayTray()
	for range 2 {
		before := r.srv.newest()
		eventually(t, "another token in the file", func() bool {
			now := r.srv.newest()
			return now != before && has(now)
		})
	}
	r.srv.life(time.Hour)
	before := r.srv.newest()
	eventually(t, "a token that lives", func() bool { return r.srv.newest() != before && has(r.srv.newest()) })
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	r.token() // so that the tray has something to look at
	if err := os.Chtimes(filepath.Join(r.root, "agents/main/agent/auth-profiles.json"), time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file again", func() bool { return has(r.srv.newest()) })

	tr.choose("✓ Rig", "✓ alice", "Refresh now")
	eventually(t, "the token that a person wanted", func() bool { return has(r.srv.newest()) && r.srv.newest() != before })
	if code := tr.quit(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	r.checkRotation(r.srv.ledger(), len(r.srv.ledger().Refreshes))
	for id := range r.profiles("main") {
		r.must("logout", id)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("after signing out the file is still there: %v", err)
	}
}

// TestWhatIsLentIsInNoList: Claude Code's token is in no argument, environment or
// file, and any other program's in its own environment alone.
func TestWhatIsLentIsInNoList(t *testing.T) {
	r := newRig(t)
	r.login("alice")
	want := r.token()
	out := filepath.Join(t.TempDir(), "out")
	stop := watch(r.seen)
	r.must("run", "--for", "claude", "rig", "--", "sh", "-c", `cat <&"$CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR" >`+out+`; sleep 0.3`)
	stop()
	got, err := os.ReadFile(out)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("the program reads %q, %v", got, err)
	}
	if !r.saw("FILE_DESCRIPTOR=") {
		t.Error("nobody saw the program: this shows nothing")
	}
	r.must("run", "rig", "--", "sh", "-c", `test "$RIG_TOKEN" && printenv RIG_TOKEN >`+out)
	if got, err := os.ReadFile(out); err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("the program has %q, %v", got, err)
	}
}
