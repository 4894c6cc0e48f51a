//go:build !windows && !darwin

package desk

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/keytray/keytray/secret"
)

// Copy owns the clipboard for a while, with text in it, and calls held as soon as
// it does. It returns early, without an error, when another program takes the
// clipboard. What is still ours at the end is given up, and with it the text:
// nothing is left to paste. The same happens should the process die.
//
// Programs that remember what was copied are told that it is a secret
// (x-kde-passwordManagerHint), which most of them heed.
func (d Desk) Copy(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	sensitive, installed := false, false
	if d.wayland() != "" {
		sensitive, installed = d.wlCopy(ctx)
	}
	switch {
	case sensitive:
		return d.copyWayland(ctx, text, during, held, "--sensitive")
	case d.getenv("DISPLAY") != "":
		return d.copyX(ctx, text, during, held)
	case installed:
		return d.copyWayland(ctx, text, during, held)
	default:
		return fmt.Errorf("%w: neither DISPLAY, nor WAYLAND_DISPLAY and wl-copy", ErrNoClipboard)
	}
}

// wlCopy reports whether wl-copy is there, and whether it is of version 2.3,
// which can say that the text is a secret.
func (d Desk) wlCopy(ctx context.Context) (sensitive, installed bool) {
	cmd := exec.CommandContext(ctx, "wl-copy", "--help")
	cmd.Env, cmd.WaitDelay = d.Environ, time.Second
	out, err := cmd.Output()
	return bytes.Contains(out, []byte("--sensitive")), err == nil
}

// copyWayland lets wl-copy own the clipboard. It ends when another program takes
// it; killed, it gives it up.
func (d Desk) copyWayland(ctx context.Context, text secret.Text, during time.Duration, held func(), options ...string) error {
	limited, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	cmd := exec.CommandContext(limited, "wl-copy", append([]string{"--foreground", "--type", "text/plain"}, options...)...) //nolint:gosec // our own words
	cmd.Env, cmd.WaitDelay = d.Environ, time.Second
	cmd.Stdin = &told{r: strings.NewReader(text.Reveal()), end: held}
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil || err == nil:
		return nil
	default:
		return fmt.Errorf("%w: wl-copy: %w", ErrNoClipboard, err)
	}
}

// told calls end when all of r was read.
type told struct {
	r   *strings.Reader
	end func()
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && t.end != nil {
		t.end()
		t.end = nil
	}
	return n, err
}
