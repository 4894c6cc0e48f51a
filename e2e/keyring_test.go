//go:build linux

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestKeyringRestartKeepsTheLogin: the keyring daemon is killed, is away for a
// while, and is started again.
func TestKeyringRestartKeepsTheLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.life(2 * time.Second)
	r.login("alice")
	r.bus.KillKeyring()
	pass(t, 2200*time.Millisecond)
	if got := r.run("token", "rig"); got.code != 3 || got.stdout != "" {
		t.Errorf("token without a keyring: exit %d with %d bytes on stdout, want 3 and none\n%s", got.code, len(got.stdout), got.stderr)
	}
	if err := r.bus.StartKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.srv.life(time.Hour)
	fresh := r.token()
	if err := r.bus.RestartKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := r.token(); again != fresh {
		t.Error("after a restart of the keyring another token came out")
	}
	r.checkRotation(r.srv.ledger(), 1)
}

// TestLockedKeyringFailsAtOnce: nobody is there to answer a dialog, so none is
// raised, and the refresh token is not spent on an answer that could not be
// saved.
func TestLockedKeyringFailsAtOnce(t *testing.T) {
	need(t, "secret-tool")
	r := newRig(t)
	p := startPrompter(t, r.bus.Address())
	r.srv.life(2 * time.Second)
	r.login("alice")
	signedIn := time.Now()
	if err := r.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}

	locked := func(args ...string) {
		t.Helper()
		got := r.run(args...)
		if got.code != 3 || got.stdout != "" {
			t.Errorf("keytray %s: exit %d with %d bytes on stdout, want 3 and none", strings.Join(args, " "), got.code, len(got.stdout))
		}
		if got.took > time.Second {
			t.Errorf("keytray %s took %v, want at most a second", strings.Join(args, " "), got.took)
		}
		if !strings.Contains(got.stderr, "keytray: hint: ") {
			t.Errorf("keytray %s gives no hint:\n%s", strings.Join(args, " "), got.stderr)
		}
	}
	locked("token", "rig")
	locked("export", "--format", "json", "rig")
	locked("login", "rig", "--no-browser") // before anybody is sent to a browser
	pass(t, time.Until(signedIn.Add(2200*time.Millisecond)))
	locked("token", "rig") // now it would have to refresh
	r.bus.KillKeyring()
	if err := r.bus.StartKeyringLocked(t.Context()); err != nil { // as after a reboot without a password
		t.Fatal(err)
	}
	locked("token", "rig")

	if n := p.asked.Load(); n != 0 {
		t.Errorf("the prompter was asked for %d dialogs, want none", n)
	}
	if l := r.srv.ledger(); len(l.Refreshes) != 0 {
		t.Errorf("%d refreshes went out with the keyring locked, want none", len(l.Refreshes))
	}
	// The stand-in can see dialogs: another program's attempt raises one.
	cmd := exec.Command("secret-tool", "search", "--all", "--unlock", "service", "keytray")
	cmd.Env = r.env
	cmd.Run() // it fails: the dialog is declined
	if p.asked.Load() == 0 {
		t.Error("the stand-in for the prompter saw no dialog at all, so it proves nothing")
	}

	if err := r.bus.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.srv.life(time.Hour)
	r.token()
	r.checkRotation(r.srv.ledger(), 1)
}

// TestDeletedMirrorIsRestored: the keychain is the truth, auth-profiles.json
// can be made again from it.
func TestDeletedMirrorIsRestored(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.login("alice")
	before, fresh := r.profiles("")[id], r.token()
	if err := os.Remove(r.mirror("")); err != nil {
		t.Fatal(err)
	}

	got := r.run("status")
	if said := got.stdout + got.stderr; !strings.Contains(said, "auth-profiles.json") || !strings.Contains(said, "doctor --fix") {
		t.Errorf("status does not say that auth-profiles.json is gone and what to do:\n%s", said)
	}
	if _, err := os.Stat(r.mirror("")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("status made a new auth-profiles.json: it is to look, not to touch")
	}

	r.must("doctor", "--fix")
	if after := r.profiles("")[id]; after != before {
		t.Errorf("the restored entry is %+v, want %+v", after, before)
	}
	if got := r.must("status"); strings.Contains(got.stdout+got.stderr, "doctor --fix") {
		t.Errorf("status still complains:\n%s%s", got.stdout, got.stderr)
	}
	if again := r.token(); again != fresh {
		t.Error("another token came out after the repair")
	}
	r.checkRotation(r.srv.ledger(), 0)
}
