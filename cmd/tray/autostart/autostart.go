// Package autostart makes the desktop start a program when its user signs in,
// and asks whether it will: an XDG autostart entry on Linux, a LaunchAgent on
// macOS, a value under the Run key on Windows.
//
// It starts and stops nothing now, and reads no environment: the caller says
// where things lie.
package autostart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Place says what is to be started, and where this user's settings lie. Windows
// needs Program alone, macOS Program and Home.
type Place struct {
	Program    string // absolute, and one that an upgrade keeps: see [Stable]
	Home       string // the user's home folder
	ConfigHome string // $XDG_CONFIG_HOME; not absolute: Home/.config
	ConfigDirs string // $XDG_CONFIG_DIRS; empty: /etc/xdg
}

// A Switch turns the start at sign-in on and off.
type Switch struct{ system system }

// New returns the switch of the program at p. It touches nothing.
func New(p Place) *Switch {
	return &Switch{newSystem(p)}
}

// Enabled reports whether the desktop will start the program, or another one
// under its name: an entry that was written when it lay elsewhere counts, and
// Set(true) mends it.
func (s *Switch) Enabled() (bool, error) {
	on, err := s.system.enabled()
	if err != nil {
		return false, fmt.Errorf("reading the start at sign-in: %w", err)
	}
	return on, nil
}

// Set turns the start at sign-in on or off. It refuses a program whose path
// cannot be written down for this desktop, and writes nothing if all is as it
// should be.
func (s *Switch) Set(on bool) error {
	if err := s.system.set(on); err != nil {
		return fmt.Errorf("changing the start at sign-in: %w", err)
	}
	return nil
}

// Stable returns the path of the running program that survives an upgrade: the
// name under which it is found in searchPath ($PATH), else the one it was called
// by (arg0), if that is this very file, else executable, as [os.Executable]
// returned it. Homebrew and Nix put a link into $PATH and the program into a
// folder that is named for the version.
func Stable(executable, arg0, searchPath string) string {
	self, err := os.Stat(executable)
	if err != nil {
		return executable
	}
	var candidates []string
	for _, dir := range filepath.SplitList(searchPath) {
		candidates = append(candidates, filepath.Join(dir, filepath.Base(arg0)))
	}
	for _, path := range append(candidates, arg0) {
		if fi, err := os.Stat(path); err == nil && filepath.IsAbs(path) && os.SameFile(fi, self) {
			return filepath.Clean(path)
		}
	}
	return executable
}

// checkProgram refuses what none of the three systems can be told to start.
func checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the path of the program is not absolute: %q", path)
	}
	odd := func(r rune) bool { return unicode.IsControl(r) || r == '\ufffe' || r == '\uffff' }
	if !utf8.ValidString(path) || strings.ContainsFunc(path, odd) {
		return fmt.Errorf("the path of the program is not plain text: %q", path)
	}
	return nil
}
