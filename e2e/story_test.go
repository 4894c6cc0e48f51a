//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// rounds is how often the tray is ended in the middle of a renewal, per way of
// ending it.
var rounds = flag.Int("tray.rounds", 1, "how often the tray is ended in each way during a renewal")

var buildTray = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "keytray-tray")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	build := exec.Command("go", "build", "-trimpath", "-o", path, "../cmd/tray")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// keytrayTray starts the real tray. Its first start is told of root already: that
// bubble would lie over what the test looks at.
func (d *desktop) keytrayTray() *tray {
	d.t.Helper()
	if memory := filepath.Join(d.place(), "tray.json"); !exists(memory) {
		d.writeAll(map[string]string{".local/state/keytray/tray.json": `{"version": 1, "told": ["root"]}`})
	}
	path, err := buildTray()
	if err != nil {
		d.t.Fatalf("building keytray-tray: %v", err)
	}
	return d.startTray(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// beginning finds a visible item whose label begins like that, among those under a
// path of such beginnings, and returns its exact path.
func (m item) beginning(parts ...string) (path string, found item, ok bool) {
	for _, c := range m.children {
		if !c.visible || c.separator || !strings.HasPrefix(c.label, parts[0]) {
			continue
		}
		if len(parts) == 1 {
			return c.label, c, true
		}
		if below, found, ok := c.beginning(parts[1:]...); ok {
			return c.label + "/" + below, found, true
		}
	}
	return "", item{}, false
}

// awaitItem waits for an item whose labels begin like that.
func (t *tray) awaitItem(parts ...string) (path string, found item) {
	t.t.Helper()
	eventually(t.t, fmt.Sprintf("an item %q in the menu", parts), func() (ok bool) {
		path, found, ok = t.menu().beginning(parts...)
		return ok
	})
	return path, found
}

// choose clicks on an item over the bus; its labels begin like that.
func (t *tray) choose(parts ...string) {
	t.t.Helper()
	path, _ := t.awaitItem(parts...)
	t.click(path)
}

// revoke ends a login at the server, as its owner may from another place.
func (s *server) revoke() {
	s.t.Helper()
	l := s.ledger()
	form := url.Values{"token": {l.Refresh[len(l.Refresh)-1]}, "token_type_hint": {"refresh_token"}, "client_id": {"rig"}}
	res, err := http.PostForm(s.issuer+"/token/revocation", form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("revoking: %s", res.Status)
	}
}

// refreshed counts the renewals that the server has granted.
func (l ledger) refreshed() (n int) {
	for _, r := range l.Refreshes {
		if r.Error == "" {
			n++
		}
	}
	return n
}

// TestStoryOfATray is a person's first day with the tray, seen on the screen:
// they sign in with the mouse, the token renews while the menu is open, the
// server revokes the login, a button of the bubble brings it back, and Quit ends
// it all.
func TestStoryOfATray(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", "chromium")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	d.notifications(notifyd)
	d.installBrowser("alice")
	r.srv.life(12 * time.Second)

	tr := d.keytrayTray()
	d.iconAt()
	d.screenshot("1-icon")
	if head := tr.menu().children[0]; head.label != "Nobody is signed in" {
		t.Errorf("the menu begins with %q", head.label)
	}

	d.mouseOpenMenu()
	d.screenshot("2-menu")
	d.key("Escape")
	path, _ := tr.awaitItem("Sign in", "Rig")
	d.mouseClickItem(tr, path)
	if page := r.browsed(); !strings.Contains(page.Text, "Signed in") {
		t.Errorf("the browser ended on %q", page.Text)
	}
	d.awaitBubble("Signed in to Rig")
	d.still(wholeScreen)
	d.screenshot("3-signed-in")
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")
	if head := tr.menu().children[0]; head.label != "✓ All good" {
		t.Errorf("the menu begins with %q", head.label)
	}

	d.mouseOpenMenu()
	d.screenshot("4-account")
	first := d.awaitBubble("Rig renews by itself from now on")
	if first.hints["urgency"].Value() != byte(0) {
		t.Errorf("the first renewal is told with urgency %v, want low", first.hints["urgency"])
	}
	if r.srv.ledger().refreshed() == 0 {
		t.Error("a renewal is told of that the server knows nothing of")
	}
	d.still(wholeScreen)
	d.screenshot("5-renewed")
	if look := d.snap(wholeScreen); look.at(screenWidth-5, 3*panelHeight) == look.at(5, 3*panelHeight) { // the menu hangs at the right
		t.Error("the menu that was open has gone with the renewal")
	}
	d.key("Escape")
	told := len(d.bubbles())
	eventually(t, "a second renewal", func() bool { return r.srv.ledger().refreshed() >= 2 })
	eventually(t, "a menu that knows it", func() bool { _, _, ok := tr.menu().beginning("✓ Rig", "✓ alice"); return ok })
	if more := d.bubbles()[told:]; len(more) != 0 {
		t.Errorf("the second renewal was told: %+v", more)
	}

	r.srv.revoke()
	d.awaitBubble("Rig needs you to sign in")
	tr.awaitItem("⚠ Rig", "⚠ alice@example.org – sign in again")
	if head := tr.menu().children[0]; head.label != "⚠ 1 needs you" {
		t.Errorf("the menu begins with %q", head.label)
	}
	d.still(wholeScreen)
	d.screenshot("6-revoked")
	exchanges := r.srv.ledger().Exchanges
	d.pressAction("Sign in")
	if page := r.browsed(); !strings.Contains(page.Text, "Signed in") {
		t.Errorf("the browser ended on %q", page.Text)
	}
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")
	if got := r.srv.ledger().Exchanges; got != exchanges+1 {
		t.Errorf("%d sign-ins, want %d", got, exchanges+1)
	}
	d.mouseOpenMenu()
	d.screenshot("7-healed")
	d.key("Escape")
	r.token()

	tr.click("Quit")
	if code := tr.wait(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	d.awaitNoIcon()
	d.screenshot("8-quit")
}

// TestATokenThatDiesIsToldOnce: a token that cannot renew itself is told of when
// its end is near, not again after a restart, and once more when it has died.
func TestATokenThatDiesIsToldOnce(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	d.notifications(dunst)
	r.login("alice") // of another provider, which is no reason to tell of anything
	got := r.start(strings.NewReader("sk-ant-oat01-"+strings.Repeat("x", 90)+"\n"), "models", "auth", "paste-token", "--provider", "anthropic", "--expires-in", "48h").wait()
	if got.code != 0 {
		t.Fatalf("paste-token: exit %d\n%s", got.code, got.stderr)
	}
	tr := d.keytrayTray()
	d.awaitBubble("ends soon")
	d.still(wholeScreen)
	d.screenshot("ends-soon")
	tr.quit(syscall.SIGTERM)

	told := len(d.bubbles())
	tr = d.keytrayTray()
	tr.awaitItem("✓ Anthropic", "")
	pass(t, 2*time.Second)
	if more := d.bubbles()[told:]; len(more) != 0 {
		t.Errorf("told again after a restart: %+v", more)
	}
	tr.quit(syscall.SIGTERM)

	got = r.start(strings.NewReader("sk-ant-oat01-"+strings.Repeat("y", 90)+"\n"), "models", "auth", "paste-token", "--provider", "anthropic", "--expires-in", "2s").wait()
	if got.code != 0 {
		t.Fatalf("paste-token: exit %d\n%s", got.code, got.stderr)
	}
	pass(t, 3*time.Second)
	tr = d.keytrayTray()
	d.awaitBubble("has ended")
	d.screenshot("ended")
	tr.quit(syscall.SIGTERM)
}

// TestTheTrayMayEndAtAnyTime ends the tray in the middle of a renewal, in each
// way that there is: no login is lost, and none is spent twice.
func TestTheTrayMayEndAtAnyTime(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	id := r.login("alice")
	for i := range *rounds {
		for _, way := range []struct {
			name  string
			grace bool
			end   func(*tray)
		}{
			{"Quit", true, func(tr *tray) { tr.click("Quit") }},
			{"SIGTERM", true, func(tr *tray) { _ = syscall.Kill(tr.PID(), syscall.SIGTERM) }},
			{"SIGHUP", true, func(tr *tray) { _ = syscall.Kill(tr.PID(), syscall.SIGHUP) }},
			{"SIGKILL", false, func(tr *tray) { _ = syscall.Kill(tr.PID(), syscall.SIGKILL) }},
		} {
			before := r.srv.ledger().refreshed()
			tr := d.keytrayTray()
			r.srv.holdAnswer(time.Duration(100+20*(i%20)) * time.Millisecond)
			tr.choose("✓ Rig", "✓ alice", "Refresh now")
			eventually(t, "a renewal at the server", func() bool { return r.srv.ledger().refreshed() > before })
			way.end(tr)
			if code := tr.wait(); way.grace && code != 0 {
				t.Errorf("%s: exit %d, want 0", way.name, code)
			}
			eventually(t, "the renewal in the files", func() bool { return r.profiles("")[id].Keytray.Generation > uint64(before)+1 })
			if got := r.srv.ledger().refreshed(); got != before+1 {
				t.Errorf("%s: %d renewals, want 1", way.name, got-before)
			}
			r.token()
		}
	}
	for _, x := range r.srv.ledger().Refreshes {
		if x.Error != "" {
			t.Errorf("a renewal was refused: %s", x.Error)
		}
	}
}
