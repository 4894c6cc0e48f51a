package main

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/keytray/keytray/cmd/setup"
)

// TestTheDemosProgramsAreAtHome in its folder, also for root who came by sudo.
func TestTheDemosProgramsAreAtHome(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("only root can be refused")
	}
	s := stage{home: t.TempDir()}
	w := setup.World{Environ: s.environ([]string{"HOME=/root", "SUDO_UID=1000"})}
	if r, err := w.Root(); err != nil || !strings.HasPrefix(r.Dir, s.home) {
		t.Errorf("root %q, %v, want one in %s", r.Dir, err, s.home)
	}
}
