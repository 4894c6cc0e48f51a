package desk

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"
)

// harmless are the words that mean the same to every quoting rule of Windows
// when they stand between double quotes.
var harmless = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\p{L}\p{N} @:._+=/,~()\\-]*[\p{L}\p{N}@:._+=/,~()-]$`)
})

// Terminal opens a console window in which argv runs, and does not wait for it.
// The window stays when argv has ended, until the person closes it. No word of
// argv may be a secret: others can read it.
func (d Desk) Terminal(argv []string) error {
	var words []string
	for _, word := range argv {
		if !harmless().MatchString(word) {
			return fmt.Errorf("%w: a word of the command cannot be quoted", ErrNoTerminal)
		}
		words = append(words, `"`+word+`"`)
	}
	line := `cmd.exe /d /s /k "` + strings.Join(words, " ") + `"`
	cmd := exec.Command("cmd.exe") //nolint:noctx // it outlives us
	cmd.Env, cmd.SysProcAttr = d.Environ, &syscall.SysProcAttr{CmdLine: line, CreationFlags: windows.CREATE_NEW_CONSOLE}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return cmd.Process.Release()
}
