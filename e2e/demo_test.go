//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demo is a `keytray demo` on a machine of its own: a HOME and a folder for
// temporary files that are empty before and have to be empty afterwards.
type demo struct {
	*exec.Cmd
	t         *testing.T
	home, tmp string
	out       strings.Builder
}

// startDemo starts the demo with env and nothing else of this machine's.
func startDemo(t *testing.T, env ...string) *demo {
	t.Helper()
	return startDemoWith(t, nil, env...)
}

func startDemoWith(t *testing.T, args []string, env ...string) *demo {
	t.Helper()
	d := &demo{Cmd: exec.Command(binary, append([]string{"demo"}, args...)...), t: t, home: t.TempDir(), tmp: t.TempDir()}
	d.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + d.tmp, "HOME=" + d.home}, env)
	d.Stdout, d.Stderr = &d.out, &d.out
	d.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// end waits for the demo, shows what it said and checks that it left nothing.
func (d *demo) end(code int) string {
	d.t.Helper()
	overdue := time.AfterFunc(2*time.Minute, func() { d.Process.Kill() })
	d.Wait()
	if !overdue.Stop() {
		d.t.Error("the demo did not end")
	}
	d.t.Logf("keytray demo:\n%s", &d.out)
	if got := d.ProcessState.ExitCode(); got != code {
		d.t.Errorf("exit %d, want %d", got, code)
	}
	for _, dir := range []string{d.home, d.tmp} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			d.t.Error(err)
		}
		for _, e := range entries {
			d.t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
		}
	}
	if left := processesWith("TMPDIR=" + d.tmp); len(left) > 0 {
		d.t.Errorf("still running: %q", left)
	}
	if left := processesWith(d.tmp); len(left) > 0 {
		d.t.Errorf("still running: %q", left)
	}
	return d.out.String()
}

// processesWith are the command lines of processes that have text in their
// arguments or environment.
func processesWith(text string) (found []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		args, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "environ"))
		if strings.Contains(string(args)+"\x00"+string(environ), text) {
			found = append(found, strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// checkStory looks for what the demo has to show.
func checkStory(t *testing.T, out string) {
	t.Helper()
	for _, want := range []string{"slot.", "at.", "8 equal answers", "1 refresh"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
}

// TestDemoBringsItsOwnSession: a machine without a desktop.
func TestDemoBringsItsOwnSession(t *testing.T) {
	t.Parallel()
	need(t, "dbus-daemon", "gnome-keyring-daemon")
	checkStory(t, startDemo(t).end(0))
}

// TestDemoInFiles: what the hint of such a machine says helps, with no program at all,
// and chooses no keychain for good.
func TestDemoInFiles(t *testing.T) {
	t.Parallel()
	need(t)
	out := startDemoWith(t, []string{"--keychain", "file"}, "PATH=/nonexistent").end(0)
	checkStory(t, out)
	if !strings.Contains(out, "files of its own, encrypted") {
		t.Error("the demo does not say that its keychain is in files")
	}
}

// TestDemoOnADesktop: the person's own keyring and browser are used, and left
// as they were.
func TestDemoOnADesktop(t *testing.T) {
	t.Parallel()
	need(t, "secret-tool")
	r := newRig(t)
	r.installBrowser("ada")
	d := startDemo(t, slices.DeleteFunc(slices.Clone(r.env), func(e string) bool {
		return strings.HasPrefix(e, "HOME=") || strings.HasPrefix(e, "TMPDIR=") || strings.HasPrefix(e, "KEYTRAY_")
	})...)
	checkStory(t, d.end(0))
	if page := r.browsed(); !strings.Contains(page.Text, "Signed in") {
		t.Errorf("the browser ended on %q, want our page", page.Text)
	}
	list := exec.Command("secret-tool", "search", "--all", "service", "keytray")
	list.Env = r.env
	out, err := list.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("in the keyring after the demo: %s (%v)", out, err)
	}
}

// TestDemoSaysWhatIsMissing: a machine without the programs for a private
// session, and without a way to install them.
func TestDemoSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	need(t)
	out := startDemo(t, "PATH=/nonexistent").end(1)
	if want := "keytray: hint: on Debian and its kin, as root: apt-get install dbus gnome-keyring; or without them: keytray demo --keychain file\n"; !strings.HasSuffix(out, want) {
		t.Errorf("the demo ends with %q, want %q", out, want)
	}
}

// TestInterruptedDemoCleansUp: Ctrl-C while it waits for the token to expire.
func TestInterruptedDemoCleansUp(t *testing.T) {
	t.Parallel()
	need(t, "dbus-daemon", "gnome-keyring-daemon")
	d := startDemo(t)
	eventually(t, "a private keyring", func() bool { return len(processesWith(d.tmp)) > 2 })
	pass(t, 3*time.Second)
	d.Process.Signal(os.Interrupt)
	d.end(1)
}
