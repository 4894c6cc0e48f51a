// Package desk is what a person sees of a worker: dialogs, the clipboard, and a
// terminal window. Only processes that do one operation for a person use it; it
// decides nothing, and knows neither logins nor tokens.
//
// A secret comes in through the stdout of a dialog program and goes out through
// a selection of the X server, or the stdin of a clipboard program; it is never
// in an argument, an environment or a file. What is said in a dialog is cleaned
// first, because parts of it come from servers and files.
package desk

import (
	"errors"
	"strings"

	"github.com/keytray/keytray/plain"
)

var (
	// ErrNoDialog means that nothing here can show a dialog: no program for it,
	// or no display.
	ErrNoDialog = errors.New("no dialog can be shown here")
	// ErrDismissed means that the person closed the dialog or said no.
	ErrDismissed = errors.New("the dialog was dismissed")
	// ErrNoClipboard means that there is no clipboard here.
	ErrNoClipboard = errors.New("there is no clipboard here")
	// ErrNoTerminal means that no terminal window can be opened here.
	ErrNoTerminal = errors.New("no terminal window can be opened here")
)

// Desk is the desktop of one person. Its zero value is one without a display on
// Linux, and the person's own on Windows and macOS.
type Desk struct {
	// Environ is the environment as main found it. It names the display, and the
	// programs that are started get it.
	Environ []string
}

const (
	titleLimit = 80
	textLimit  = 1000
	tellLimit  = 16 << 10
	labelLimit = 30
)

// clean is a text of several lines, fit to be shown.
func clean(s string, limit int) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		lines = append(lines, plain.Text(line))
	}
	kept := []rune(strings.Join(lines, "\n"))
	if len(kept) > limit {
		return string(kept[:limit-1]) + "…"
	}
	return string(kept)
}
