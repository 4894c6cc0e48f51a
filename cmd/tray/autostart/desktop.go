//go:build !windows

package autostart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// desktopFile is the name by which a user's entry hides that of the system.
const desktopFile = "keytray.desktop"

// A desktop is one that follows the Desktop Application Autostart Specification:
// the first entry of a name counts, and the user's folder comes first.
// https://specifications.freedesktop.org/autostart-spec/latest/
type desktop struct {
	program string
	entries []string // where the entry may lie: the user's, then the system's; none without a home
}

func newDesktop(p Place) desktop {
	home := p.ConfigHome
	if !filepath.IsAbs(home) {
		if !filepath.IsAbs(p.Home) {
			return desktop{program: p.Program}
		}
		home = filepath.Join(p.Home, ".config")
	}
	dirs := p.ConfigDirs
	if dirs == "" {
		dirs = "/etc/xdg"
	}
	d := desktop{p.Program, []string{filepath.Join(home, "autostart", desktopFile)}}
	for _, dir := range filepath.SplitList(dirs) {
		if filepath.IsAbs(dir) { // others are to be ignored, says the specification
			d.entries = append(d.entries, filepath.Join(dir, "autostart", desktopFile))
		}
	}
	return d
}

func (d desktop) enabled() (bool, error) {
	if len(d.entries) == 0 {
		return false, errNoHome
	}
	return startsFirst(d.entries)
}

// startsFirst reports whether the first of the entries that is there is started.
func startsFirst(entries []string) (bool, error) {
	for _, path := range entries {
		b, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return err == nil && starts(string(b)), err
	}
	return false, nil
}

// set writes an entry of the user only where the system's does not do: turned
// on, a package's own entry starts the package's program; turned off, it is to
// be hidden.
func (d desktop) set(on bool) error {
	if len(d.entries) == 0 {
		return errNoHome
	}
	user, system := d.entries[0], d.entries[1:]
	if !on {
		if !slices.ContainsFunc(system, exists) {
			return remove(user)
		}
		return replace(user, hiddenEntry)
	}
	started, err := startsFirst(system)
	if err != nil {
		return err
	}
	if started {
		return remove(user)
	}
	if err := checkExec(d.program); err != nil {
		return err
	}
	return replace(user, entry(d.program))
}

// exists reports whether there may be something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// checkExec refuses what would be written and then not be started, though the
// specification says how to write it: with a % in the path GLib, systemd and dex
// each look for another file, with a \ systemd and dex do; a space at the end is
// cut off.
func checkExec(program string) error {
	if err := checkProgram(program); err != nil {
		return err
	}
	if strings.ContainsAny(program, `%\`) || strings.HasSuffix(program, " ") {
		return fmt.Errorf(`desktops start no program whose path has a %% or a \, or a space at its end: %q`, program)
	}
	return nil
}

// hiddenEntry stands for no entry, wherever there is another of its name. The
// program, which an entry must have, does nothing.
const hiddenEntry = "[Desktop Entry]\nType=Application\nName=Keytray\nExec=true\nHidden=true\n"

// entry is the desktop entry that starts program, as long as it is there.
func entry(program string) string {
	return "[Desktop Entry]\nType=Application\nName=Keytray\nComment=Keeps logins fresh\nIcon=keytray\nTerminal=false\n" +
		"Exec=" + escape(quote(program)) + "\nTryExec=" + escape(program) + "\n"
}

// quote writes one argument of an Exec line. Quoting comes before the escapes
// that each string of such a file has.
// https://specifications.freedesktop.org/desktop-entry-spec/latest/exec-variables.html
func quote(arg string) string {
	if !strings.ContainsAny(arg, " \t\n\"'\\><~|&;$*?#()`") {
		return arg
	}
	return `"` + strings.NewReplacer(`"`, `\"`, "`", "\\`", `$`, `\$`, `\`, `\\`).Replace(arg) + `"`
}

func escape(s string) string {
	return strings.ReplaceAll(s, `\`, `\\`)
}

// starts reports whether a desktop starts what a desktop entry says: not if it
// is hidden, switched off in GNOME's settings, or its program is gone.
func starts(text string) bool {
	keys := mainGroup(text)
	if keys["Exec"] == "" || keys["Hidden"] == "true" || keys["X-GNOME-Autostart-enabled"] == "false" {
		return false
	}
	try := strings.ReplaceAll(keys["TryExec"], `\\`, `\`)
	if !filepath.IsAbs(try) {
		return true // searched in the session's $PATH, which is not known here
	}
	fi, err := os.Stat(try)
	return err == nil && fi.Mode().Perm()&0o111 != 0
}

// mainGroup returns the keys of the group that counts, with the values as they
// are written.
func mainGroup(text string) map[string]string {
	const space = " \t\r\n"
	keys := map[string]string{}
	inside := false
	for line := range strings.Lines(text) {
		line = strings.Trim(line, space)
		if strings.HasPrefix(line, "[") {
			inside = line == "[Desktop Entry]"
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && inside && !strings.HasPrefix(line, "#") {
			keys[strings.Trim(key, space)] = strings.Trim(value, space)
		}
	}
	return keys
}
