//go:build unix

package provider_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/keytray/keytray/provider"
)

// TestLoadDoesNotBlockOnAPipe would hang if Load or FileOf opened it.
func TestLoadDoesNotBlockOnAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, provider.Folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, provider.Folder, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := provider.Load(os.DirFS(dir), nil)
	if err == nil || !strings.Contains(err.Error(), "pipe.json: is not a regular file") {
		t.Errorf("err = %v", err)
	}
	if name, err := provider.FileOf(os.DirFS(dir), "pipe"); err == nil {
		t.Errorf("FileOf = %q", name)
	}
}
