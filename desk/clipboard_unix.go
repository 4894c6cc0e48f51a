//go:build !windows && !darwin

package desk

import (
	"context"
	"errors"
	"fmt"
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
	err := errors.New("neither WAYLAND_DISPLAY nor DISPLAY is set")
	if d.wayland() != "" {
		err = d.copyWayland(ctx, text, during, held)
	}
	if d.getenv("DISPLAY") != "" && (d.wayland() == "" || errors.Is(err, errNoDataControl)) {
		err = d.copyX(ctx, text, during, held)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrNoClipboard, err)
	}
	return err
}
