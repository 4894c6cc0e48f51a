// Package notify shows desktop notifications: what others have decided to say,
// it says. On Linux it talks to whatever notification server the desktop has,
// on Windows it raises toasts, on macOS it asks AppleScript.
//
// It does not decide what is worth saying, repeats nothing, makes no sound, and
// does not look into quiet hours: those are the desktop's. What it is given goes
// to other programs, which may keep it for long: never a secret, a code or the
// query of a URL.
//
// What works where:
//
//   - Linux and the BSDs: all of it, as far as the server can. One without
//     buttons gets none.
//   - Windows: buttons and the click on the bubble, while this process lives. A
//     bubble can be neither replaced nor withdrawn, and urgency is ignored.
//   - macOS: text only, under the name of the script runner.
package notify

import (
	"errors"
	"strings"
	"time"

	"github.com/keytray/keytray/plain"
)

// ErrNoServer means that nobody is there who shows notifications.
var ErrNoServer = errors.New("there is no notification server")

var (
	errSilent = noServerError("the notification server does not answer")
	errClosed = errors.New("the bell is closed")
)

// noServerError is an [ErrNoServer] with a reason.
type noServerError string

func (e noServerError) Error() string { return string(e) }

func (noServerError) Is(target error) bool { return target == ErrNoServer }

// patience bounds every call; a desktop that is slower than this is stuck.
const patience = 5 * time.Second

// Options say who is speaking. Their zero value shows notices without name,
// icon and buttons.
type Options struct {
	// App is the name that people see. Icon is the name of an icon of the theme
	// or the path of a file; Windows takes a path only.
	App, Icon string
	// Bus is the address of the session bus, DBUS_SESSION_BUS_ADDRESS; without it
	// the bus of a systemd session is tried. Only Linux has one.
	Bus string
	// Acted is called with the cause of a notice and the ID of what was pressed,
	// by one goroutine. It may call Send and Withdraw, but not Close.
	Acted func(cause, action string)
}

// Notice is one bubble. Its texts are plain: markup is shown as it is, and what
// could play tricks, such as marks that turn the direction of text, is dropped.
type Notice struct {
	// Cause tells notices apart: a later one of the same cause takes the place of
	// the bubble that is still there. It is not shown.
	Cause string
	// Title is one line, Body some; both are cut where they are too long.
	Title, Body string
	// Actions are the buttons, Click is what a click on the bubble itself means;
	// its label is shown by few. The first that is pressed ends the bubble.
	Actions []Action
	Click   Action
	Urgency Urgency
}

// Action is something that a person can answer. One without an ID is none.
type Action struct{ ID, Label string }

// Urgency is how much a notice matters. A server may hold back what is not
// Critical, and forget what is Low.
type Urgency int

// The zero value is Normal.
const (
	Low Urgency = iota - 1
	Normal
	Critical
)

// What fits into the bubbles of the desktops that we know, in characters.
const (
	titleLimit = 100
	bodyLimit  = 400
	labelLimit = 40
)

// oneLine makes s fit to be shown on one line, at most limit characters long.
func oneLine(s string, limit int) string {
	return plain.Line(strings.Join(strings.Fields(s), " "), limit)
}

// lines is oneLine for some lines, at most limit characters all together.
func lines(s string, limit int) string {
	var kept []string
	for line := range strings.Lines(strings.TrimSpace(s)) {
		kept = append(kept, oneLine(line, limit))
	}
	all := []rune(strings.Join(kept, "\n"))
	if len(all) > limit {
		all = append(all[:limit-1], '…')
	}
	return string(all)
}
