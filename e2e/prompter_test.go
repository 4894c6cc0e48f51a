//go:build linux

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// prompter stands in for gcr-prompter: it is whom gnome-keyring asks to show a
// dialog. It counts, and declines.
type prompter struct{ asked atomic.Int32 }

// BeginPrompting is the first call of every dialog (gcr's private interface).
func (p *prompter) BeginPrompting(dbus.ObjectPath) *dbus.Error {
	p.asked.Add(1)
	return dbus.NewError("org.gnome.keyring.Prompter.Failed", []any{"nobody is here"})
}

// startPrompter takes the name of the desktop's prompter on that bus.
func startPrompter(t *testing.T, bus string) *prompter {
	t.Helper()
	c, err := dbus.Connect(bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &prompter{}
	if err := c.Export(p, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"); err != nil {
		t.Fatal(err)
	}
	got, err := c.RequestName("org.gnome.keyring.SystemPrompter", dbus.NameFlagDoNotQueue)
	if err != nil || got != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("taking the prompter's name: %v, %v", got, err)
	}
	return p
}

// prompter lets gnome-keyring raise the real dialog on the screen.
func (d *desktop) prompter() {
	d.t.Helper()
	const name = "org.gnome.keyring.SystemPrompter"
	program := find(d.t, "gcr-prompter", "/usr/libexec/gcr-prompter", "/usr/lib/gcr/gcr-prompter", "/usr/lib/*/gcr/gcr-prompter")
	d.write(filepath.Join(d.bus.ServiceDir(), name+".service"), fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s\n", name, program))
	environment := map[string]string{}
	for _, e := range d.env {
		key, value, _ := strings.Cut(e, "=")
		environment[key] = value
	}
	bus := d.connect().BusObject()
	if err := bus.Call("org.freedesktop.DBus.UpdateActivationEnvironment", 0, environment).Err; err != nil {
		d.t.Fatal(err)
	}
	if err := bus.Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
		d.t.Fatal(err)
	}
}

// dialogs are the windows that ask for the keyring's password.
func (d *desktop) dialogs() []string { return d.windows("--name", "gcr-prompter|Unlock") }

// acceptPrompt waits for the dialog and types the password.
func (d *desktop) acceptPrompt() {
	d.t.Helper()
	d.answerPrompt([]string{"key", "--clearmodifiers", "ctrl+a"}, []string{"type", "--delay", "1", d.bus.Password()}, []string{"key", "Return"})
}

// dismissPrompt waits for the dialog and closes it.
func (d *desktop) dismissPrompt() {
	d.t.Helper()
	d.answerPrompt([]string{"key", "Escape"})
}

// answerPrompt answers again until the dialog is gone: it may not listen yet
// when it is seen.
func (d *desktop) answerPrompt(does ...[]string) {
	d.t.Helper()
	eventually(d.t, "a password dialog", func() bool { return len(d.dialogs()) > 0 })
	d.still(wholeScreen)
	d.screenshot("prompt")
	var answered time.Time
	eventually(d.t, "the end of the password dialog", func() bool {
		for _, w := range d.dialogs() {
			if time.Since(answered) < 500*time.Millisecond {
				return false
			}
			_, _ = d.hand("windowfocus", "--sync", w)
			for _, args := range does {
				_, _ = d.hand(args...) // the window may go meanwhile
			}
			answered = time.Now()
		}
		return len(d.dialogs()) == 0
	})
}

// TestTheKeyringAsks: a person dismisses the real dialog, and then does not.
func TestTheKeyringAsks(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "secret-tool")
	d := newDesktop(t, newRig(t))
	d.prompter()
	tool := func(stdin string, args ...string) *exec.Cmd {
		cmd := exec.Command("secret-tool", args...)
		cmd.Env, cmd.Stdin = d.env, strings.NewReader(stdin)
		return cmd
	}
	if out, err := tool("a note", "store", "--label=e2e", "e2e", "note").CombinedOutput(); err != nil {
		t.Fatalf("storing: %v\n%s", err, out)
	}
	if err := d.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer func()
		want   string
	}{{d.dismissPrompt, ""}, {d.acceptPrompt, "a note"}} {
		got := make(chan string, 1)
		go func() { // ends with secret-tool, whose answer is awaited
			out, _ := tool("", "lookup", "e2e", "note").Output()
			got <- string(out)
		}()
		c.answer()
		if out := <-got; out != c.want {
			t.Errorf("secret-tool printed %q, want %q", out, c.want)
		}
	}
}
