package sink_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

var errCrash = errors.New("crash")

// crash runs an update whose process dies where f ends: nothing that Update
// does afterwards happens. The lock goes, as it does with a real process.
func (w *world) crash(f func(*sink.Tx)) {
	w.t.Helper()
	defer func() {
		if r := recover(); r != errCrash { //nolint:errorlint // the very value thrown below
			w.t.Fatalf("update ended with %v, want the crash", r)
		}
	}()
	err := w.open().Update(w.t.Context(), alice, func(tx *sink.Tx) error {
		f(tx)
		panic(errCrash)
	})
	w.t.Fatalf("update returned %v", err)
}

func TestACrashAfterTheJournalLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.crash(func(tx *sink.Tx) {
		must(t, tx.Sending())
		must(t, tx.Received(credential("2", time.Hour)))
	})
	if w.journal() == "" {
		t.Fatal("no journal after the crash")
	}
	c, ok := w.current()
	if !ok || c.Refresh.Reveal() != "refresh-2" || c.Access.Reveal() != "access-2" {
		t.Errorf("after the crash the login is %q, want refresh-2", c.Refresh.Reveal())
	}
	if j := w.journal(); j != "" {
		t.Errorf("the journal is still there: %s", j)
	}
	if got := w.token(); got != "access-2" {
		t.Errorf("token = %q, want access-2", got)
	}
}

func TestACrashWhileSendingIsRemembered(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	for attempt := 1; attempt <= 3; attempt++ {
		w.crash(func(tx *sink.Tx) {
			in, ok := tx.Intent()
			if ok != (attempt > 1) || in.Attempt != attempt-1 {
				t.Errorf("before send %d: intent %+v, %v", attempt, in, ok)
			}
			must(t, tx.Sending())
		})
	}
	must(t, w.refresh("2"))
	err := w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		if in, ok := tx.Intent(); ok {
			t.Errorf("after a commit the intent %+v is still there", in)
		}
		return nil
	})
	must(t, err)
}

func TestOutcomesDecideOnTheJournal(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome sink.Outcome
		left    bool
	}{{"not sent", sink.NotSent, false}, {"rejected", sink.Rejected, false}, {"ambiguous", sink.Ambiguous, true}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.login(credential("1", time.Hour))
			must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
				must(t, tx.Sending())
				tx.Outcome(c.outcome)
				return nil
			}))
			if got := w.journal() != ""; got != c.left {
				t.Errorf("journal left = %v, want %v", got, c.left)
			}
		})
	}
}

// A second attempt that did not reach the server says nothing of the first.
func TestAnEarlierUnknownOutcomeIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.crash(func(tx *sink.Tx) { must(t, tx.Sending()) })
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		must(t, tx.Sending())
		tx.Outcome(sink.NotSent)
		return nil
	}))
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		if in, ok := tx.Intent(); !ok || in.Attempt != 1 {
			t.Errorf("intent = %+v, %v, want the first attempt", in, ok)
		}
		return nil
	}))
}

func TestAKeychainThatDoesNotAnswerIsNotTouched(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	for _, verb := range []string{"barrier", "get"} {
		w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
			if op.Verb == verb {
				return sinktest.NotApplied
			}
			return sinktest.None
		})
		err := w.open().Update(t.Context(), alice, func(*sink.Tx) error {
			t.Errorf("%s fails: f ran", verb)
			return nil
		})
		if !errors.Is(err, sinktest.ErrDown) {
			t.Errorf("%s fails: %v, want the keychain's error", verb, err)
		}
	}
}

func TestAnAnswerWaitsForAKeychainThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		w.keychain.SetFault(noSlotWrites)
		if err := w.refresh("2"); !errors.Is(err, sink.ErrNotSaved) {
			t.Fatalf("refresh = %v, want ErrNotSaved", err)
		}
		p, err := w.open().Profile(alice)
		if err != nil || p.State != sink.StatePendingSave || p.Generation != 1 {
			t.Errorf("profile = %+v, %v, want generation 1, pending_save", p, err)
		}
		must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
			if c, _ := tx.Current(); c.Access.Reveal() != "access-2" {
				t.Errorf("served %q, want the journal's access-2", c.Access.Reveal())
			}
			if err := tx.Sending(); !errors.Is(err, sink.ErrNotSaved) {
				t.Errorf("Sending = %v, want ErrNotSaved: the old token is spent", err)
			}
			return nil
		}))
		w.keychain.SetFault(nil)
		if c, _ := w.current(); c.Refresh.Reveal() != "refresh-2" {
			t.Errorf("after unlocking the login is %q, want refresh-2", c.Refresh.Reveal())
		}
		if p, _ := w.open().Profile(alice); p.State != sink.StateOK || p.Generation != 2 {
			t.Errorf("profile = %+v, want generation 2, ok", p)
		}
	})
}

// Without a journal the lock is kept until the keychain has the token.
func TestAnAnswerWithoutAJournalIsSavedHoweverLongItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		start := time.Now()
		w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
			if time.Since(start) > 10*time.Minute {
				return sinktest.None
			}
			return noSlotWrites(op)
		})
		must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
			must(t, tx.Sending())
			must(t, os.Remove(strings.TrimSuffix(w.journal(), ".next")+".next"))
			return tx.Received(credential("2", time.Hour))
		}))
		if time.Since(start) < 10*time.Minute {
			t.Error("Update returned before the keychain took the token")
		}
		if c, _ := w.current(); c.Refresh.Reveal() != "refresh-2" {
			t.Errorf("login = %q, want refresh-2", c.Refresh.Reveal())
		}
	})
}

func noSlotWrites(op sinktest.Op) sinktest.Fault {
	if op.Verb == "set" && strings.Contains(op.Name, ".slot.") {
		return sinktest.NotApplied
	}
	return sinktest.None
}

// A caller's cancellation does not reach what comes after Sending.
func TestCancellingDoesNotLoseAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	must(t, w.open().Update(ctx, alice, func(tx *sink.Tx) error {
		must(t, tx.Sending())
		cancel()
		return tx.Received(credential("2", time.Hour))
	}))
	if c, _ := w.current(); c.Refresh.Reveal() != "refresh-2" {
		t.Errorf("login = %q, want refresh-2", c.Refresh.Reveal())
	}
}

// The slots come back from a backup: their refresh token is spent.
func TestARestoredBackupIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	backup := w.keychain.Items()
	must(t, w.refresh("2"))
	w.crash(func(tx *sink.Tx) {
		must(t, tx.Sending())
		must(t, tx.Received(credential("3", time.Hour)))
	})
	w.keychain.Restore(backup)
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		if st, why := tx.Standing(); st != sink.StateNeedsLogin || why != "store_lost" {
			t.Errorf("standing = %s %s, want needs_login store_lost", st, why)
		}
		return nil
	}))
	if w.journal() == "" {
		t.Error("the journal of the lost generation was thrown away")
	}
}

func TestADamagedJournalIsSetAsideAndTheSlotsDecide(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	path := filepath.Join(w.place, keyOf(t, w)+".journal")
	for _, junk := range []string{"", "{", `{"v":1,"phase":"received","g":2,"sum":"0"}`, strings.Repeat("x", 60000)} {
		must(t, os.WriteFile(path, []byte(junk), 0o600))
		c, ok := w.current()
		if !ok || c.Refresh.Reveal() != "refresh-1" {
			t.Errorf("login = %q, want refresh-1", c.Refresh.Reveal())
		}
		if _, err := os.Stat(path + ".bad"); err != nil {
			t.Errorf("the damaged journal was not kept: %v", err)
		}
	}
	must(t, w.refresh("2"))
	if _, err := os.Stat(path + ".bad"); err == nil {
		t.Error("a commit does not remove the damaged journal")
	}
}

func TestALostKeychainAsksForASignIn(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.keychain.Restore(nil)
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		if _, ok := tx.Current(); ok || !tx.Lost() {
			t.Errorf("Current ok = %v, Lost = %v, want a lost login", ok, tx.Lost())
		}
		return nil
	}))
	if p, err := w.open().Profile(alice); err != nil || p.State != sink.StateNeedsLogin || p.Reason != "store_lost" {
		t.Errorf("profile = %+v, %v, want needs_login store_lost", p, err)
	}
	w.login(credential("2", time.Hour))
	if p, err := w.open().Profile(alice); err != nil || p.State != sink.StateOK || p.Generation != 2 {
		t.Errorf("after a new sign-in: %+v, %v, want generation 2, ok", p, err)
	}
}

func TestNeedsLoginIsBoundToItsToken(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		tx.Mark(sink.StateNeedsLogin, "invalid_grant", time.Time{})
		return nil
	}))
	standing := func() (st sink.State) {
		must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
			st, _ = tx.Standing()
			return nil
		}))
		return st
	}
	if got := standing(); got != sink.StateNeedsLogin {
		t.Errorf("standing = %s, want needs_login", got)
	}
	w.login(credential("2", time.Hour))
	if got := standing(); got != sink.StateOK {
		t.Errorf("standing after a new login = %s, want ok", got)
	}
}

// A logout that died half way is finished by whoever comes next.
func TestAnInterruptedLogoutIsFinished(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "delete" && strings.Contains(op.Name, ".at.") {
			return sinktest.NotApplied
		}
		return sinktest.None
	})
	if err := w.open().Remove(t.Context(), alice, nil); !errors.Is(err, sinktest.ErrDown) {
		t.Fatalf("Remove = %v, want the keychain's error", err)
	}
	w.keychain.SetFault(nil)
	if _, ok := w.current(); ok {
		t.Error("the login is still there")
	}
	for name := range w.keychain.Items() {
		if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
			t.Errorf("item %s is left", name)
		}
	}
	if w.journal() != "" {
		t.Error("the journal is left")
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
