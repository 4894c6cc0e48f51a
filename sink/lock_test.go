package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

// Every update sees what the one before it left: nothing is lost, nothing
// happens twice.
func TestUpdatesOfOneProfileFollowEachOther(t *testing.T) {
	w := newWorld(t)
	w.login(credential("0", time.Hour))
	shared := w.open()
	var inside, most int
	var mu sync.Mutex // guards inside and most
	var wg sync.WaitGroup
	for i := range 24 {
		s := shared
		if i%3 == 0 {
			s = w.open() // another process, as far as locks can tell
		}
		wg.Go(func() {
			err := s.Update(t.Context(), alice, func(tx *sink.Tx) error {
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				defer func() { mu.Lock(); inside--; mu.Unlock() }()
				if err := tx.Sending(); err != nil {
					return err
				}
				return tx.Received(credential("n", time.Hour))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d updates ran at once", most)
	}
	if p, err := w.open().Profile(alice); err != nil || p.Generation != 25 {
		t.Errorf("generation = %d, %v, want 25: one for each update", p.Generation, err)
	}
}

func TestWaitingEndsWithTheCallersContext(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.open().Update(t.Context(), alice, func(*sink.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := w.open().Update(ctx, alice, func(*sink.Tx) error { t.Error("two inside"); return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update = %v, want the context's error", err)
		}
		return nil
	}))
}

func TestAWaiterLeavesWhenItIsServed(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.open().Update(t.Context(), alice, func(*sink.Tx) error {
		asked := 0
		return w.open().UpdateUnless(t.Context(), alice, func() bool { asked++; return asked == 2 },
			func(*sink.Tx) error { t.Error("two inside"); return nil })
	}))
}

func TestALockFileMustBeAPlainFileOfOurs(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	path := filepath.Join(w.place, keyOf(t, w)+".lock")
	target := filepath.Join(t.TempDir(), "victim")
	must(t, os.Remove(path))
	if err := os.Symlink(target, path); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if _, ok := errors.AsType[*disk.UnsafeError](w.refresh("2")); !ok {
		t.Error("a link was taken for the lock")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the link's target was created")
	}
}

// Somebody deletes the lock file while its holder is in the middle of a
// renewal, so that two processes get in. The second finds the first one's
// intent, sees it alive, and stops.
func TestAReplacedLockDoesNotLetTwoSend(t *testing.T) {
	other := exec.CommandContext(t.Context(), "sleep", "60")
	if err := other.Start(); err != nil {
		t.Skipf("no other process: %v", err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.crash(func(tx *sink.Tx) { must(t, tx.Sending()) })
	w.claimJournal(other.Process.Pid)
	err := w.refresh("2")
	if !errors.Is(err, sink.ErrBusy) {
		t.Fatalf("refresh beside a living sender = %v, want ErrBusy", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	must(t, w.refresh("2"))
}

// claimJournal makes the journal that of another process, which is not easy
// from outside: the test knows the format.
func (w *world) claimJournal(pid int) {
	w.t.Helper()
	raw := []byte(w.files()[w.journal()])
	b, err := sink.ClaimJournal(raw, pid)
	must(w.t, err)
	must(w.t, os.WriteFile(w.journal(), b, 0o600))
}

func TestTheLockFileNamesItsHolder(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	raw := w.files()[filepath.Join(w.place, keyOf(t, w)+".lock")]
	var body struct {
		Holder struct{ PID int }
	}
	if err := json.Unmarshal([]byte(strings.Trim(raw, "\x00")), &body); err != nil || body.Holder.PID != os.Getpid() {
		t.Errorf("lock body %q: pid %d, %v", raw, body.Holder.PID, err)
	}
}
