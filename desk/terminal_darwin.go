package desk

import (
	"fmt"
	"os/exec"
	"strings"
)

// opener lets Terminal run its argument, which is a line for the shell.
const opener = `on run argv
  tell application "Terminal"
    activate
    do script (item 1 of argv)
  end tell
end run`

// Terminal opens a terminal window in which argv runs, and does not wait for it.
// The window stays until the person closes it. No word of argv may be a secret:
// others can read it. It has never run: see README.md.
func (d Desk) Terminal(argv []string) error {
	var words []string
	for _, word := range argv {
		words = append(words, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	cmd := exec.Command("/usr/bin/osascript", "-e", opener, strings.Join(words, " ")) //nolint:gosec,noctx // the window outlives us
	cmd.Env = d.Environ
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return nil
}
