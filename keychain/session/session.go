// Package session brings up a private desktop session for secrets: a D-Bus bus
// that starts nothing by itself, and a real gnome-keyring-daemon on it,
// unlocked, with its files in a directory of the caller. `keytray demo` runs in
// one where there is no desktop, and so do the tests.
//
// It works on Linux; elsewhere [Start] returns [errors.ErrUnsupported].
// It touches neither the user's keyring nor the user's session, and its
// programs end with this process, even after a kill -9.
package session

import "strings"

// MissingError says which programs [Start] did not find.
type MissingError struct {
	// Programs are the names of the executables, Packages the Debian packages
	// that have them; both have the same order.
	Programs, Packages []string
}

// Error implements error. It ends with the command that installs what is missing.
func (e *MissingError) Error() string {
	return "program not found: " + strings.Join(e.Programs, ", ") +
		" (Debian: apt-get install " + strings.Join(e.Packages, " ") + ")"
}
