package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/keytray/keytray/secret"
)

// holder reads a text of the length that its argument says, puts it into the
// clipboard, marked for clipboard managers as concealed, and says so. When its
// stdin ends, it empties the clipboard, unless somebody has changed it.
const holder = `
ObjC.import('AppKit')
function run(argv) {
  const stdin = $.NSFileHandle.fileHandleWithStandardInput
  const text = $.NSString.alloc.initWithDataEncoding(stdin.readDataOfLength(Number(argv[0])), $.NSUTF8StringEncoding)
  const board = $.NSPasteboard.generalPasteboard
  board.clearContents
  board.setStringForType($(''), $('org.nspasteboard.ConcealedType'))
  board.setStringForType(text, $('public.utf8-plain-text'))
  const ours = board.changeCount
  $.NSFileHandle.fileHandleWithStandardOutput.writeData($('held').dataUsingEncoding($.NSUTF8StringEncoding))
  stdin.readDataToEndOfFile
  if (board.changeCount == ours) board.clearContents
}`

// clearing is how long the holder has to clear the clipboard in the end.
const clearing = 5 * time.Second

// Copy puts text into the clipboard, calls held, and empties the clipboard after
// a while, at the end of ctx, or should the process die, unless another program
// has changed it by then. It has never run: see README.md.
func (d Desk) Copy(ctx context.Context, text secret.Text, during time.Duration, held func()) error {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), during+2*clearing) // it must clear also when ctx has ended
	defer cancel()
	cmd := exec.CommandContext(late, "/usr/bin/osascript", "-l", "JavaScript", "-e", holder, strconv.Itoa(len(text.Reveal()))) //nolint:gosec // our own words
	cmd.Env = d.Environ
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoClipboard, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoClipboard, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoClipboard, err)
	}
	_, err = io.WriteString(stdin, text.Reveal())
	if err == nil {
		_, err = io.ReadFull(stdout, make([]byte, len("held")))
	}
	if err == nil {
		held()
		timer := time.NewTimer(during)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := errors.Join(err, stdin.Close(), cmd.Wait()); err != nil {
		return fmt.Errorf("%w: osascript: %w", ErrNoClipboard, err)
	}
	return context.Cause(ctx)
}
