//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// starts is how often the tray is started to see whether its icon appears.
var starts = flag.Int("tray.starts", 3, "how often the tray is started for its icon")

// said is what the tray has written into its log.
func (r *rig) trayLog() string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.place(), "tray.log"))
	if err != nil {
		r.t.Error(err)
	}
	return string(b)
}

// TestEveryStartShowsAnIcon: a library of this kind loses it now and then.
func TestEveryStartShowsAnIcon(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	d := newDesktop(t, newRig(t))
	d.panel()
	for i := range *starts {
		tr := d.keytrayTray()
		d.iconAt()
		if code := tr.quit(syscall.SIGTERM); code != 0 {
			t.Errorf("start %d: exit %d, want 0", i, code)
		}
		d.awaitNoIcon()
	}
}

// TestTheIconOutlivesThePanel: a keyring asks and a bubble is answered, then the
// panel is restarted, and then the bus.
func TestTheIconOutlivesThePanel(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	d.prompter()
	d.panel()
	d.notifications(dunst)
	d.installBrowser("alice")
	r.login("alice")
	r.srv.revoke()
	tr := d.keytrayTray()
	d.iconAt()

	if err := d.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr.choose("✓ Rig", "✓ alice", "Refresh now")
	d.acceptPrompt()
	d.awaitBubble("Rig needs you to sign in")
	d.pressAction("Sign in")
	r.browsed()
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")

	d.killPanel()
	d.panel()
	d.iconAt()
	d.screenshot("panel-restarted")

	d.restartBus()
	d.panel()
	eventually(t, "the tray on the new bus", func() bool { return d.owned(fmt.Sprintf("org.kde.StatusNotifierItem-%d-1", tr.PID())) })
	d.iconAt()
	d.screenshot("bus-restarted")
	if err := d.bus.RestartKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.token()
	if code := tr.quit(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// TestASecondTrayLeaves: it says why, and does nothing else.
func TestASecondTrayLeaves(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", dunst)
	d := newDesktop(t, newRig(t))
	d.panel()
	d.notifications(dunst)
	first := d.keytrayTray()
	path, err := buildTray()
	if err != nil {
		t.Fatal(err)
	}
	second := d.launch(path)
	d.awaitBubble("Keytray is running already")
	select {
	case <-second.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the second tray stays")
	}
	if err := second.Wait(); err != nil {
		t.Errorf("the second tray: %v, want exit 0", err)
	}
	first.awaitItem("Nobody is signed in")
	if code := first.quit(syscall.SIGHUP); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// TestWithoutADesktop: no bus, and then one; no panel, and then one; nobody who
// shows notices, so that they are in the log.
func TestWithoutADesktop(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	r.login("alice")
	r.srv.revoke()
	d.panel()
	d.killPanel()
	tr := d.keytrayTray() // no panel yet
	tr.choose("✓ Rig", "✓ alice", "Refresh now")
	tr.awaitItem("⚠ Rig", "⚠ alice@example.org – sign in again")
	eventually(t, "the notice in the log", func() bool { return strings.Contains(r.trayLog(), `title="Rig needs you to sign in"`) })
	d.panel()
	d.iconAt()
	if code := tr.quit(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	d.awaitNoIcon()

	// Now there is somebody who shows it.
	d.notifications(dunst)
	tr = d.keytrayTray()
	d.awaitBubble("Rig needs you to sign in")
	tr.quit(syscall.SIGTERM)

	path, err := buildTray()
	if err != nil {
		t.Fatal(err)
	}
	env := r.env
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(r.dir, "nothing"))
	alone := d.launch(path)
	r.env = env
	alone.await("life without a bus", func() bool { return strings.Contains(alone.said(), "there is no icon") })
	if err := syscall.Kill(alone.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-alone.Done()
	if err := alone.Wait(); err != nil {
		t.Errorf("without a bus: %v, want exit 0", err)
	}
}

// TestFilesOfOthers: the profile file is deleted, damaged and comes back; the
// menu follows and no login is lost.
func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool")
	r := newRig(t)
	d := newDesktop(t, r)
	tr := d.keytrayTray()
	tr.awaitItem("Nobody is signed in")
	r.login("alice") // by another program
	tr.awaitItem("✓ Rig", "✓ alice")
	pass(t, 0)
	if err := os.Remove(r.mirror("")); err != nil {
		t.Fatal(err)
	}
	// The tray compared the files with the keychain when it started, which is not
	// done twice within half a minute.
	eventuallyWithin(t, 90*time.Second, "the profile file again", func() bool { return exists(r.mirror("")) })
	tr.awaitItem("✓ Rig", "✓ alice")

	good, err := os.ReadFile(r.mirror(""))
	if err != nil {
		t.Fatal(err)
	}
	r.write(r.mirror(""), "{ not json")
	tr.awaitItem("⚠ the profile file")
	r.write(r.mirror(""), string(good))
	tr.awaitItem("✓ All good")
	r.token()

	r.must("logout", "rig:alice@example.org")
	tr.awaitItem("Nobody is signed in")
	tr.quit(syscall.SIGTERM)
}

// TestSettings are ticked in the menu and outlive a restart.
func TestSettings(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	d.notifications(dunst)
	r.srv.life(6 * time.Second)
	r.login("alice")
	entry := filepath.Join(r.home, ".config/autostart/keytray.desktop")
	tr := d.keytrayTray()
	tr.choose("Start at login")
	eventually(t, "the autostart entry", func() bool { return exists(entry) })
	tr.choose("Pause refreshing")
	tr.awaitItem("– Refreshing is paused")
	before := r.srv.ledger().refreshed()
	pass(t, 7*time.Second)
	if got := r.srv.ledger().refreshed(); got != before {
		t.Errorf("%d renewals while paused", got-before)
	}
	tr.quit(syscall.SIGTERM)

	tr = d.keytrayTray()
	tr.awaitItem("– Refreshing is paused")
	for _, label := range []string{"Start at login", "Pause refreshing", "Notifications"} {
		if _, x := tr.awaitItem(label); !x.checked {
			t.Errorf("%s is not ticked after a restart", label)
		}
	}
	tr.choose("Tell me of every refresh")
	tr.choose("Pause refreshing")
	d.awaitBubble("Rig renews by itself from now on")
	first := d.awaitBubble("Rig was renewed")
	told := r.srv.ledger().refreshed()
	eventually(t, "two more renewals", func() bool { return r.srv.ledger().refreshed() >= told+2 })
	eventually(t, "two bubbles in one place", func() bool {
		n := 0
		for _, b := range d.bubbles() {
			if strings.Contains(b.summary, "Rig was renewed") && (b.id == first.id || b.replaces == first.id) {
				n++
			}
		}
		return n >= 2
	})
	if n := len(d.shown()); n != 1 {
		t.Errorf("%d bubbles are open, want 1", n)
	}
	tr.choose("Start at login")
	eventually(t, "no autostart entry", func() bool { return !exists(entry) })
	tr.choose("Notifications")
	eventually(t, "every refresh not to be told without notifications", func() bool {
		_, x, ok := tr.menu().beginning("Tell me of every refresh")
		return ok && !x.enabled
	})
	tr.quit(syscall.SIGTERM)
}

// TestSignInsWaitSideBySide: those of two providers do, a second click brings
// the same one back, and one can be given up.
func TestSignInsWaitSideBySide(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	opened := filepath.Join(r.dir, "opened")
	d.installOpener(opened)
	other := strings.NewReplacer(`"rig",`, `"other",`, `"Rig"`, `"Other"`).Replace(r.srv.providerFile())
	r.write(filepath.Join(r.root, "providers/other.json"), strings.Replace(other, `"client_id": "other"`, `"client_id": "rig"`, 1))
	tr := d.keytrayTray()
	tr.choose("Sign in", "Rig")
	tr.choose("Sign in", "Other")
	tr.awaitItem("↻ Waiting for you to sign in")
	tr.awaitItem("Sign in", "Other", "Paste redirect URL…")
	pages := func() []string {
		b, _ := os.ReadFile(opened)
		return strings.Fields(string(b))
	}
	eventually(t, "two pages", func() bool { return len(pages()) == 2 })
	tr.choose("Sign in", "Rig", "Open the sign-in page again")
	eventually(t, "a page again", func() bool { return len(pages()) == 3 })
	if p := pages(); p[2] != p[0] && p[2] != p[1] || p[0] == p[1] {
		t.Error("the page that was opened again is not one of the first two")
	}
	d.mouseOpenMenu()
	d.screenshot("waiting")
	d.key("Escape")
	tr.choose("Sign in", "Other", "Cancel signing in")
	eventually(t, "Other to be a single line", func() bool {
		_, x, ok := tr.menu().beginning("Sign in", "Other")
		return ok && !x.submenu
	})
	tr.awaitItem("Sign in", "Rig", "Cancel signing in")
	if code := tr.quit(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, want 0: a sign-in that waits is given up", code)
	}
}

// installOpener makes a program the browser that only notes what it is to open.
func (d *desktop) installOpener(notes string) {
	d.t.Helper()
	d.env = append(d.env, "XDG_DATA_HOME="+filepath.Join(d.home, ".local/share"))
	script := filepath.Join(d.t.TempDir(), "open.sh") // what it notes is in a URL that only the person sees
	d.write(script, fmt.Sprintf("#!/bin/sh\necho \"$1\" >>'%s'\n", notes))
	if err := os.Chmod(script, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.writeAll(map[string]string{
		".local/share/applications/e2e-browser.desktop": "[Desktop Entry]\nType=Application\nName=E2E opener\nExec=" + script + " %u\n" +
			"MimeType=x-scheme-handler/http;x-scheme-handler/https;\nNoDisplay=true\n",
		".config/mimeapps.list": "[Default Applications]\nx-scheme-handler/http=e2e-browser.desktop\nx-scheme-handler/https=e2e-browser.desktop\n",
	})
}

// TestJapaneseMenu for whoever has that locale.
func TestJapaneseMenu(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	r.login("alice")
	r.env = append(r.env, "LANG=ja_JP.UTF-8")
	tr := d.keytrayTray()
	tr.awaitItem("✓ Rig", "✓ alice@example.org – 有効")
	d.mouseOpenMenu()
	d.screenshot("japanese")
	d.key("Escape")
	tr.choose("終了")
	if code := tr.wait(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// TestAFullDisk: settings are kept in memory and nothing ends.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool")
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	r := newRig(t)
	d := newDesktop(t, r)
	r.srv.life(8 * time.Second)
	id := r.login("alice")
	if err := unix.Mount("tmpfs", r.place(), "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(r.place(), unix.MNT_DETACH) })
	tr := d.keytrayTray()
	tr.awaitItem("✓ Rig", "✓ alice")
	full := filepath.Join(r.place(), "full")
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+full, "bs=4k").CombinedOutput(); err == nil {
		t.Fatalf("the disk has no end\n%s", out)
	}
	generation := r.profiles("")[id].Keytray.Generation
	tr.choose("Tell me of every refresh")
	eventually(t, "a setting without a disk", func() bool {
		_, x, ok := tr.menu().beginning("Tell me of every refresh")
		return ok && x.checked
	})
	pass(t, 9*time.Second)
	if l := r.srv.ledger(); len(l.Refreshes) > 1 {
		t.Errorf("%d renewals, want none once there is no room for an answer", len(l.Refreshes))
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	eventuallyWithin(t, 60*time.Second, "a renewal once there is room", func() bool { return r.profiles("")[id].Keytray.Generation > generation })
	r.token()
	tr.quit(syscall.SIGTERM)
}

// TestSubmenusAreWhole: the innermost lines of the menu can be chosen in a panel,
// also those of a login that has come since, and in a panel that was restarted
// or comes later. GTK's panels drop lines that come with their submenu.
func TestSubmenusAreWhole(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	r.login("alice")
	first := func(tr *tray, login string) {
		t.Helper()
		path, _ := tr.awaitItem("✓ Rig", "✓ "+login, "Use first")
		d.mouseClickItem(tr, path)
		eventually(t, login+" to be first", func() bool {
			_, x, ok := tr.menu().beginning("✓ Rig", "✓ "+login, "Use first")
			return ok && x.checked
		})
	}
	tr := d.keytrayTray()
	first(tr, "alice")
	r.login("bob")
	first(tr, "bob")
	for range 2 {
		d.killPanel()
		d.panel()
		eventually(t, "the tray anew", func() bool { return strings.Contains(r.trayLog(), "a panel has come") })
		first(tr, "alice")
		first(tr, "bob")
	}
	if code := tr.quit(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}
