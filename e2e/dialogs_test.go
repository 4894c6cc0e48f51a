//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dialog waits for a worker's dialog, and does something with its keys.
func (d *desktop) dialog(name string, does ...[]string) {
	d.t.Helper()
	var windows []string
	eventually(d.t, "a dialog", func() bool {
		windows = d.windows("--class", "zenity")
		return len(windows) == 1
	})
	d.still(wholeScreen)
	d.screenshot(name)
	d.xdotool("windowfocus", "--sync", windows[0])
	for _, args := range does {
		d.xdotool(args...)
	}
}

// clipboard is what another program would paste.
func (d *desktop) clipboard() string {
	cmd := exec.Command("xclip", "-selection", "clipboard", "-o")
	cmd.Env = d.env
	out, _ := cmd.Output() // it fails where there is nothing
	return string(out)
}

// TestSecretsByDialog: a key is pasted into a dialog and kept, its login goes
// first, its secret goes into the clipboard and out of it, and it is removed
// after a yes.
func TestSecretsByDialog(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "zenity", "xclip", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	d.notifications(dunst)
	tr := d.keytrayTray()
	const key = "sk-e2e-0123456789abcdef0123456789abcdef"
	tr.choose("Sign in", "OpenAI – Paste API key")
	d.dialog("paste-key", []string{"type", "--delay", "1", key}, []string{"key", "Return"})
	tr.awaitItem("✓ OpenAI", "✓ manual – does not expire")

	tr.choose("✓ OpenAI", "✓ manual", "Use first")
	eventually(t, "the login to be first", func() bool {
		_, x, ok := tr.menu().beginning("✓ OpenAI", "✓ manual", "Use first")
		return ok && x.checked
	})

	tr.choose("✓ OpenAI", "✓ manual", "Copy access token")
	d.awaitBubble("Access token copied")
	if got := d.clipboard(); got != key {
		t.Errorf("the clipboard has %d bytes, want the key", len(got))
	}
	copied := time.Now()

	tr.choose("✓ OpenAI", "✓ manual", "Remove")
	d.dialog("remove", []string{"key", "Return"}) // which is a no
	eventually(t, "the end of the dialog", func() bool { return len(d.windows("--class", "zenity")) == 0 })
	pass(t, time.Second)
	tr.choose("✓ OpenAI", "✓ manual", "Remove")
	d.dialog("remove-again", []string{"key", "Tab", "Return"})
	tr.awaitItem("Nobody is signed in")

	eventuallyWithin(t, 40*time.Second, "an empty clipboard", func() bool { return d.clipboard() == "" })
	if held := time.Since(copied); held < 20*time.Second {
		t.Errorf("the clipboard was cleared after %v, want about 30 s", held)
	}
	tr.quit(syscall.SIGTERM)
	for _, file := range []string{"tray.log", "tray.json"} {
		if text := r.own(file); strings.Contains(text, key) {
			t.Errorf("%s holds the key", file)
		}
	}
}

// own is a file of Keytray's own folder.
func (r *rig) own(name string) string {
	r.t.Helper()
	out, err := exec.Command("cat", r.place()+"/"+name).Output()
	if err != nil {
		r.t.Error(err)
	}
	return string(out)
}

// TestABusyPortIsNamed: a provider wants the answer at a port that another
// program has. The dialog says which, and takes what the browser ended on.
func TestABusyPortIsNamed(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "zenity", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port
	fixed := strings.Replace(r.srv.providerFile(), `{"path": "/cb"}`, fmt.Sprintf(`{"path": "/cb", "ports": [%d]}`, port), 1)
	r.write(r.root+"/providers/rig.json", fixed)
	opened := r.dir + "/opened"
	d.installOpener(opened)

	tr := d.keytrayTray()
	tr.choose("Sign in", "Rig")
	_, line := tr.awaitItem("Sign in", "Rig", "⚠ ")
	if !strings.Contains(line.label, strconv.Itoa(port)) || !strings.Contains(line.label, "e2e.test") {
		t.Errorf("the menu says %q, want the port and its holder", line.label)
	}
	var page string
	eventually(t, "the sign-in page", func() bool {
		out, _ := exec.Command("cat", opened).Output()
		pages := strings.Fields(string(out))
		if len(pages) > 0 {
			page = pages[0]
		}
		return page != ""
	})
	d.dialog("busy-port",
		[]string{"type", "--delay", "1", "https://example.org/?nonsense"}, []string{"key", "Return"})
	eventually(t, "the end of the dialog", func() bool { return len(d.windows("--class", "zenity")) == 0 })
	eventually(t, "the refusal in the log", func() bool { return strings.Contains(r.own("tray.log"), "no good") })
	tr.choose("Sign in", "Rig", "Paste redirect URL")
	d.dialog("paste-again", []string{"type", "--delay", "1", r.srv.signIn("alice", page)}, []string{"key", "Return"})
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")
	tr.quit(syscall.SIGTERM)
	if !slices.Contains(r.srv.ledger().Access, strings.TrimSpace(r.must("token", "rig").stdout)) {
		t.Error("that login has no token of the server's")
	}
}

// TestMenuOfSeveralAccounts is the picture of README: two accounts of one
// provider, one of which needs its person, and a token that ends soon.
func TestMenuOfSeveralAccounts(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	r := newRig(t)
	d := newDesktop(t, r)
	d.panel()
	r.write(r.root+"/providers/rig.json", strings.Replace(r.srv.providerFile(), `"Rig"`, `"Acme AI"`, 1))
	r.login("ada")
	r.login("work")
	r.srv.revoke() // that of work
	r.run("refresh", "rig:work@example.org")
	got := r.start(strings.NewReader("sk-ant-oat01-"+strings.Repeat("x", 90)+"\n"), "models", "auth", "setup-token").wait()
	if got.code != 0 {
		t.Fatalf("setup-token: exit %d\n%s", got.code, got.stderr)
	}
	tr := d.keytrayTray()
	tr.awaitItem("⚠ Acme AI", "✓ ada@example.org – works")
	tr.awaitItem("⚠ Acme AI", "⚠ work@example.org – sign in again")
	tr.awaitItem("✓ Anthropic", "✓ default – 364 d left")
	d.mouseOpenMenu()
	for _, k := range []string{"Down", "Right", "Right"} {
		d.key(k)
	}
	d.still(wholeScreen)
	d.screenshot("accounts")
	tr.quit(syscall.SIGTERM)
}
