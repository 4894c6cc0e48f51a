//go:build linux

package desk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/keytray/keytray/desk"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A command runs in a window, which stays until the person has read it.
func TestTerminalShowsACommand(t *testing.T) {
	t.Parallel()
	xterm := find(t, "xterm", "xterm")
	s := newScreen(t)
	seen := filepath.Join(t.TempDir(), "it's seen; $HOME")
	if err := s.desk("TERMINAL=" + xterm).Terminal([]string{"touch", seen}); err != nil {
		t.Fatal(err)
	}
	settle(t, "result of the command", func() bool {
		_, err := os.Stat(seen)
		return err == nil
	})
	s.answer("sh", "Return")
}

func TestWithoutATerminalProgramThereIsNoWindow(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := (desk.Desk{}).Terminal([]string{"true"}); !errors.Is(err, desk.ErrNoTerminal) {
		t.Errorf("Terminal = %v, want ErrNoTerminal", err)
	}
}
