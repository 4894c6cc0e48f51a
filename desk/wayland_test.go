//go:build linux

package desk_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/desk"
	"github.com/keytray/keytray/secret"
)

// compositor is a Wayland desktop that nobody sees, without X.
type compositor struct {
	t       *testing.T
	environ []string
}

func newCompositor(t *testing.T) *compositor {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a compositor")
	}
	sway := find(t, "sway", "sway")
	find(t, "wl-clipboard", "wl-copy")
	dir, err := os.MkdirTemp("", "kt-") //nolint:usetesting // a socket's path holds 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command(sway, "-c", "/dev/null")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "DISPLAY=", "WAYLAND_DISPLAY=",
		"WLR_BACKENDS=headless", "WLR_LIBINPUT_NO_DEVICES=1", "WLR_RENDERER=pixman")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // sway refuses to run as root
		const nobody = 65534
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		cmd.Dir = "/"
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var sockets []string
	settle(t, "compositor", func() bool {
		sockets, _ = filepath.Glob(filepath.Join(dir, "wayland-?"))
		return len(sockets) > 0
	})
	return &compositor{t, append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "WAYLAND_DISPLAY="+filepath.Base(sockets[0]), "DISPLAY=")}
}

// pasted is the clipboard, as another program sees it.
func (c *compositor) pasted(options ...string) string {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wl-paste", append([]string{"--no-newline"}, options...)...)
	cmd.Env, cmd.WaitDelay = c.environ, time.Second
	out, err := cmd.Output()
	if err != nil {
		return "nothing"
	}
	return string(out)
}

func TestCopyHoldsTheClipboardOfWayland(t *testing.T) {
	t.Parallel()
	c := newCompositor(t)
	d := desk.Desk{Environ: c.environ}
	text := "at-" + strings.Repeat("0123456789", 800) + "-ü"
	begun := time.Now()
	result := copying(t.Context(), t, d, text, 3*time.Second)
	if c.pasted() != text || c.pasted("--type", "UTF8_STRING") != text || c.pasted("--type", "x-kde-passwordManagerHint") != "secret" {
		t.Error("it is not what was copied, or not marked as a secret")
	}
	if err := <-result; err != nil || time.Since(begun) < 3*time.Second {
		t.Errorf("Copy = %v after %v", err, time.Since(begun))
	}
	if got := c.pasted(); got != "nothing" {
		t.Errorf("the clipboard still has %d bytes", len(got))
	}

	ctx, cancel := context.WithCancel(t.Context())
	result = copying(ctx, t, d, "at-1", time.Minute)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Copy = %v, want a cancellation", err)
	}
	if got := c.pasted(); got != "nothing" {
		t.Errorf("the clipboard has %q after a cancellation", got)
	}

	result = copying(t.Context(), t, d, "at-2", time.Minute)
	other := exec.Command("wl-copy") // stays in the background
	other.Env, other.Stdin = c.environ, strings.NewReader("of the person")
	if err := other.Run(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("Copy = %v when another program took the clipboard", err)
	}
	if got := c.pasted(); got != "of the person" {
		t.Errorf("the clipboard has %q", got)
	}
}

// A compositor that is not there is no clipboard, and no reason to wait.
func TestWithoutACompositorThereIsNoClipboard(t *testing.T) {
	t.Parallel()
	d := desk.Desk{Environ: append(os.Environ(), "DISPLAY=", "WAYLAND_DISPLAY=wayland-9", "XDG_RUNTIME_DIR="+t.TempDir())}
	if err := d.Copy(t.Context(), secret.New("at-1"), time.Minute, func() { t.Error("held") }); !errors.Is(err, desk.ErrNoClipboard) {
		t.Errorf("Copy = %v, want ErrNoClipboard", err)
	}
}
