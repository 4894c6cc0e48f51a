//go:build !windows && !darwin

package desk

import (
	"fmt"
	"os/exec"
	"syscall"
)

// terminals are the programs that open a window with a command, and the words
// between their name and the command. The first is Debian's name for the one
// that the person chose.
func terminals() [][]string {
	return [][]string{
		{"x-terminal-emulator", "-e"},
		{"xdg-terminal-exec"},
		{"kgx", "--"},
		{"gnome-terminal", "--"},
		{"konsole", "-e"},
		{"xfce4-terminal", "-x"},
		{"mate-terminal", "-x"},
		{"alacritty", "-e"},
		{"kitty"},
		{"foot"},
		{"xterm", "-e"},
	}
}

// holding lets a window stay until its reader is done with it.
const holding = `"$@"; printf '\n%s' 'Press Enter to close this window. '; read -r _`

// Terminal opens a terminal window in which argv runs, and does not wait for it.
// The window stays when argv has ended, until the person closes it. No word of
// argv may be a secret: others can read it.
func (d Desk) Terminal(argv []string) error {
	command := append([]string{"sh", "-c", holding, "sh"}, argv...)
	all := terminals()
	if t := d.getenv("TERMINAL"); t != "" {
		all = append([][]string{{t, "-e"}}, all...)
	}
	for _, t := range all {
		path, err := exec.LookPath(t[0])
		if err != nil {
			continue
		}
		cmd := exec.Command(path, append(t[1:], command...)...) //nolint:gosec,noctx // the person's own terminal, which outlives us
		cmd.Env, cmd.SysProcAttr = d.Environ, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("%w: %w", ErrNoTerminal, err)
		}
		go func() { _ = cmd.Wait() }() // ends with the window, or with us
		return nil
	}
	return fmt.Errorf("%w: no terminal program is installed", ErrNoTerminal)
}
