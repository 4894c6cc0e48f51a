//go:build windows || darwin

package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/zenity"

	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/secret"
)

// Ask shows a dialog with a hidden entry and returns what the person entered, as
// it is. It waits for them; the end of ctx takes the dialog away.
func (Desk) Ask(ctx context.Context, title, text string) (secret.Text, error) {
	out, err := zenity.Entry(clean(text, textLimit), zenity.HideText(), zenity.Title(plain.Line(title, titleLimit)), zenity.Context(ctx))
	return secret.New(out), dialogError(ctx, err)
}

// Confirm asks a question; ok is what the button says that does it. A nil error
// is a yes.
func (Desk) Confirm(ctx context.Context, title, text, ok string) error {
	err := zenity.Question(clean(text, textLimit), zenity.Title(plain.Line(title, titleLimit)),
		zenity.OKLabel(plain.Line(ok, labelLimit)), zenity.CancelLabel("Cancel"), zenity.DefaultCancel(), zenity.WarningIcon, zenity.Context(ctx))
	return dialogError(ctx, err)
}

// Offer shows a text with two buttons besides one that dismisses it, and returns
// which of them was pressed, 0 or 1.
func (Desk) Offer(ctx context.Context, title, text, first, second string) (int, error) {
	err := zenity.Question(clean(text, textLimit), zenity.Title(plain.Line(title, titleLimit)), zenity.OKLabel(plain.Line(first, labelLimit)),
		zenity.ExtraButton(plain.Line(second, labelLimit)), zenity.CancelLabel("Cancel"), zenity.InfoIcon, zenity.Context(ctx))
	if errors.Is(err, zenity.ErrExtraButton) {
		return 1, nil
	}
	return 0, dialogError(ctx, err)
}

// Tell shows a text of several lines and returns when the window is closed.
func (Desk) Tell(ctx context.Context, title, text string) error {
	err := dialogError(ctx, zenity.Info(clean(text, tellLimit), zenity.Title(plain.Line(title, titleLimit)), zenity.InfoIcon, zenity.Context(ctx)))
	if errors.Is(err, ErrDismissed) {
		return nil
	}
	return err
}

func dialogError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, zenity.ErrCanceled):
		return ErrDismissed
	default: // what a program says may quote the entry
		return fmt.Errorf("%w: the system refused it", ErrNoDialog)
	}
}
