package autostart_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/keytray/keytray/cmd/tray/autostart"
)

// TestStable lays a program out as Homebrew does.
func TestStable(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making a link is a privilege there, and Wine's cannot be removed")
	}
	dir := t.TempDir()
	cellar, bin, other := filepath.Join(dir, "Cellar", "1.2"), filepath.Join(dir, "bin"), filepath.Join(dir, "other")
	for _, folder := range []string{cellar, bin, other} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program, link, stranger := filepath.Join(cellar, "keytray-tray"), filepath.Join(bin, "keytray-tray"), filepath.Join(other, "keytray-tray")
	for _, file := range []string{program, stranger} {
		if err := os.WriteFile(file, []byte(file), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(bin)
	list := string(filepath.ListSeparator)
	for _, test := range []struct{ name, arg0, path, want string }{
		{"found in the path", "keytray-tray", other + list + bin, link},
		{"called by the version's name, but also in the path", program, bin, link},
		{"called by the link", link, "", link},
		{"another program of the name in the path", "keytray-tray", other, program},
		{"called by a relative name", "./keytray-tray", ".", program},
		{"called by nothing", "", bin, program},
		{"called by somebody else's name", stranger, "", program},
	} {
		if got := autostart.Stable(program, test.arg0, test.path); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if got := autostart.Stable(program+"-gone", program, bin); got != program+"-gone" {
		t.Errorf("of a program that is gone: %s", got)
	}
}
