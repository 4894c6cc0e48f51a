package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/keytray/keytray/disk"
)

// TestALockSaysWhoHoldsIt, to those who do not get it.
func TestALockSaysWhoHoldsIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	if got := disk.LockNote(path); got != nil {
		t.Errorf("a lock that nobody ever took says %q", got)
	}
	unlock, err := disk.TryLock(path)
	if err != nil || unlock == nil {
		t.Fatalf("a free lock: %v", err)
	}
	for _, note := range []string{"a long note", "short"} {
		must(t, disk.WriteLockNote(path, []byte(note)))
		if got := string(disk.LockNote(path)); got != note+"\n" {
			t.Errorf("the note is %q, want %q and a newline", got, note)
		}
	}
	if second, err := disk.TryLock(path); second != nil || err != nil {
		t.Errorf("a lock that is held was taken, %v", err)
	}
	unlock()
	unlock, err = disk.TryLock(path)
	if err != nil || unlock == nil {
		t.Fatalf("a lock that was given back: %v", err)
	}
	unlock()
}

// TestALinkIsNoLock: whoever could lay one there would have its target made.
func TestALinkIsNoLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "target"), filepath.Join(dir, "lock")); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if unlock, err := disk.TryLock(filepath.Join(dir, "lock")); unlock != nil || err == nil {
		t.Error("a link was locked")
	} else if _, unsafe := errors.AsType[*disk.UnsafeError](err); !unsafe {
		t.Errorf("a link: %v, want an UnsafeError", err)
	}
	if disk.Exists(filepath.Join(dir, "target")) {
		t.Error("the link's target was made")
	}
}
