package setup_test

import (
	"io"
	"log/slog"
	"os"
	"os/user"
	"testing"

	"github.com/keytray/keytray/cmd/setup"
)

// TestRootDoesNotWorkInAnothersHome: with sudo that would leave files there which
// the person cannot write, and use root's keychain. In a container root is alone.
func TestRootDoesNotWorkInAnothersHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be refused")
	}
	root, err := user.LookupId("0")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		environ []string
		refused bool
	}{
		{"sudo", []string{"HOME=" + t.TempDir(), "SUDO_UID=1000"}, true},
		{"sudo with root's home", []string{"HOME=" + root.HomeDir, "SUDO_UID=1000"}, false},
		{"a container", []string{"HOME=" + t.TempDir()}, false},
	} {
		w := setup.World{Environ: tt.environ, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)}
		if _, err := w.Root(); (err != nil) != tt.refused {
			t.Errorf("%s: %v, want refused: %t", tt.name, err, tt.refused)
		}
	}
}
