package notify

import (
	"context"
	"fmt"
	"os/exec"
)

// script takes the texts as arguments, so that none of them can be a script. The
// first argument is no text: it keeps one that begins with - from being an option.
const script = "on run argv\ndisplay notification (item 3 of argv) with title (item 2 of argv)\nend run"

// Bell shows notices through AppleScript: text only. It is compiled and has never
// run: there was no Mac.
type Bell struct{}

// Open returns a bell.
func Open(Options) *Bell { return &Bell{} }

// Send shows the texts of n.
func (*Bell) Send(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	err := exec.CommandContext(ctx, "/usr/bin/osascript", "-e", script, "notice", //nolint:gosec // texts, and a script that has none of them
		oneLine(n.Title, titleLimit), lines(n.Body, bodyLimit)).Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("sending a notification: %w", err)
	}
	return nil
}

// Withdraw does nothing.
func (*Bell) Withdraw(context.Context, string) {}

// Close does nothing.
func (*Bell) Close() {}
