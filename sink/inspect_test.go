//go:build unix

package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

func TestInspectFindsWhatOthersCanWrite(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	if wrong, _ := w.open().Inspect(false); wrong != nil {
		t.Fatalf("a new root is wrong: %v", wrong)
	}
	agent := filepath.Dir(w.mirror())
	lock := filepath.Join(w.place, keyOf(t, w)+".lock")
	for _, path := range []string{w.mirror(), agent, w.dir, lock} {
		must(t, os.Chmod(path, 0o777))
	}
	wrong, mended := w.open().Inspect(false)
	if len(wrong) != 4 || mended != nil {
		t.Errorf("Inspect = %v, %v, want four that are wrong", wrong, mended)
	}
	for _, err := range wrong {
		if _, ok := errors.AsType[*disk.UnsafeError](err); !ok {
			t.Errorf("%v is no *UnsafeError", err)
		}
	}
	wrong, mended = w.open().Inspect(true)
	if want := []string{w.dir, agent, w.mirror(), lock}; wrong != nil || !slices.Equal(mended, want) {
		t.Errorf("Inspect to mend = %v, %v, want %v mended", wrong, mended, want)
	}
	if fi, err := os.Stat(w.mirror()); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("the mode is %v, %v", fi.Mode(), err)
	}
}

func TestInspectMendsNoLink(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	target := filepath.Join(t.TempDir(), "target")
	must(t, os.Rename(w.mirror(), target))
	must(t, os.Chmod(target, 0o666))
	must(t, os.Symlink(target, w.mirror()))
	wrong, mended := w.open().Inspect(true)
	if len(wrong) != 1 || mended != nil {
		t.Errorf("Inspect = %v, %v, want the link and nothing mended", wrong, mended)
	}
	if fi, err := os.Stat(target); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("what the link points to has mode %v, %v", fi.Mode(), err)
	}
}

func TestHoldersAreThoseAtWork(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	if got := w.open().Holders(); got != nil {
		t.Errorf("Holders at rest = %v", got)
	}
	must(t, w.open().Update(t.Context(), alice, func(*sink.Tx) error {
		if got := w.open().Holders(); !slices.Equal(got, []sink.Holder{{PID: os.Getpid()}}) {
			t.Errorf("Holders = %v, want this process", got)
		}
		return nil
	}))
}
