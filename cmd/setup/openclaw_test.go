package setup_test

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/sink"
)

// TestTheResolverFollowsThePackage: an OpenClaw that is connected gets the program
// that was installed in place of the one that runs, and keeps its copy when the
// package is removed.
func TestTheResolverFollowsThePackage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("home folders are elsewhere there, and what runs is not replaced")
	}
	home, bin := t.TempDir(), t.TempDir()
	program := filepath.Join(bin, "keytray")
	w := &setup.World{Environ: []string{"HOME=" + home}, Self: program, Stderr: io.Discard, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	data, err := w.Data()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := w.LinkFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(home, "root")
	if err := openclaw.NewLink(folder, openclaw.Program{Path: filepath.Join(bin, "openclaw")}, filepath.Join(home, "claw"), root, openclaw.Resolver(data), nil).Save(); err != nil {
		t.Fatal(err)
	}
	r := &setup.Reloads{World: w, Store: sink.Open(root, filepath.Join(home, "locks"), nil)}
	for _, version := range []string{"one", "one", "two", ""} {
		if version == "" {
			err = os.Remove(program)
		} else { // as packagers do
			err = os.WriteFile(program+".new", []byte(version), 0o755)
			if err == nil {
				err = os.Rename(program+".new", program)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Look(t.Context())
		r.Wait()
		want := version
		if want == "" {
			want = "two"
		}
		if got, err := os.ReadFile(openclaw.Resolver(data)); string(got) != want || err != nil {
			t.Errorf("after version %q OpenClaw runs %q, %v", version, got, err)
		}
	}
}
