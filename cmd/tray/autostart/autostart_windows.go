package autostart

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/windows/registry"
)

type system = runKey

// runValue is the name under which this program stands in the Run key.
const runValue = "Keytray"

// A runKey is the key of the current user whose values Explorer runs, and the one
// beside it in which Task Manager notes what the user switched off there.
type runKey struct{ program, run, approved string }

func newSystem(p Place) system {
	return runKey{
		program:  p.Program,
		run:      `Software\Microsoft\Windows\CurrentVersion\Run`,
		approved: `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`,
	}
}

func (r runKey) enabled() (bool, error) {
	k, err := registry.OpenKey(registry.CURRENT_USER, r.run, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer k.Close()
	command, _, err := k.GetStringValue(runValue)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	return err == nil && command != "" && !r.switchedOff(), err
}

// switchedOff reports whether Task Manager holds the value back: the first byte
// of its note is odd. Without a note it does not.
func (r runKey) switchedOff() bool {
	k, err := registry.OpenKey(registry.CURRENT_USER, r.approved, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	defer k.Close()
	note, _, err := k.GetBinaryValue(runValue)
	return err == nil && len(note) > 0 && note[0]&1 == 1
}

func (r runKey) set(on bool) error {
	if !on {
		return deleteValue(r.run)
	}
	if err := checkProgram(r.program); err != nil {
		return err
	}
	if strings.Contains(r.program, `"`) {
		return fmt.Errorf("the path of the program has a quotation mark: %s", r.program)
	}
	k, _, err := registry.CreateKey(registry.CURRENT_USER, r.run, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.SetStringValue(runValue, `"`+r.program+`"`); err != nil {
		return err
	}
	return deleteValue(r.approved)
}

// deleteValue removes our value from a key of the current user, if it is there.
func deleteValue(path string) error {
	k, err := registry.OpenKey(registry.CURRENT_USER, path, registry.SET_VALUE)
	if err == nil {
		defer k.Close()
		err = k.DeleteValue(runValue)
	}
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}
