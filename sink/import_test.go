package sink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

var origin = sink.Origin{Program: "codex", Path: "/home/alice/.codex/auth.json", Name: "tokens"}

// owner is a foreign file with one login in it, as its program has it.
type owner struct {
	refresh string
	// broken makes the file one that cannot be read, stubborn one that cannot be
	// written.
	broken, stubborn error
	// deadly ends whoever comes to write it.
	deadly bool
	// touched is what a writer says who failed.
	touched bool
}

func (o *owner) left(from sink.Origin, kind sink.Kind) (secret.Text, error) {
	if from != origin || kind != sink.KindOAuth {
		return secret.Text{}, fmt.Errorf("asked for %v of %v", kind, from)
	}
	return secret.New(o.refresh), o.broken
}

func (o *owner) move() sink.Move {
	return sink.Move{
		From: origin,
		Take: func(context.Context) (sink.Credential, error) {
			if o.refresh == "" {
				return sink.Credential{}, errNothing
			}
			c := credential("1", time.Hour)
			c.Refresh = secret.New(o.refresh)
			return c, nil
		},
		Strip: func() (bool, error) {
			if o.deadly {
				panic(errCrash)
			}
			if o.stubborn == nil {
				o.refresh = ""
			}
			return o.touched, o.stubborn
		},
	}
}

var errNothing = errors.New("nothing there")

// fuse ends the process before the n-th thing that it does to disk or keychain.
type fuse struct {
	sink.Disk

	left int
}

func (f *fuse) burn() {
	if f.left--; f.left < 0 {
		panic(errCrash)
	}
}

func (f *fuse) Replace(path string, b []byte) error { f.burn(); return f.Disk.Replace(path, b) }
func (f *fuse) Remove(paths ...string) error        { f.burn(); return f.Disk.Remove(paths...) }
func (f *fuse) Reserve(path string, n int) error    { f.burn(); return f.Disk.Reserve(path, n) }
func (f *fuse) Fill(from, path string, b []byte) error {
	f.burn()
	err := f.Disk.Fill(from, path, b)
	f.burn()
	return err
}

// never is a step that no import gets to.
const never = 1000

// importUntil imports in a process that dies before the n-th step, and reports
// whether it died.
func (w *world) importUntil(n int, o *owner) (died bool) {
	return w.until(n, func(s *sink.Store, f *fuse) error {
		m := o.move()
		strip := m.Strip
		m.Strip = func() (bool, error) { f.burn(); return strip() }
		return s.Import(w.t.Context(), alice, m)
	})
}

// until does something in a process that dies before the n-th step.
func (w *world) until(n int, do func(s *sink.Store, f *fuse) error) (died bool) {
	f := &fuse{Disk: sink.RealDisk{}, left: n}
	w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "set" || op.Verb == "delete" {
			f.burn()
		}
		return sinktest.None
	})
	defer w.keychain.SetFault(nil)
	defer func() {
		r := recover()
		if r != nil && r != errCrash { //nolint:errorlint // the very value thrown above
			panic(r)
		}
		died = r != nil
	}()
	s := sink.OpenOn(w.dir, w.place, w.keychain, sink.Seams{Disk: f, Locker: sink.RealLocker{}, Clock: sink.Now, Seed: 1})
	must(w.t, do(s, f))
	return false
}

// start is what the next process does first.
func (w *world) start(o *owner) *sink.Store {
	w.t.Helper()
	s := w.open()
	s.Left = o.left
	for _, ref := range s.Importing() {
		must(w.t, s.Restore(w.t.Context(), ref))
	}
	return s
}

// TestADeadImportLeavesTheLoginInOnePlace: whatever step an import dies before,
// nothing renews the login until the next process has looked, and then it is in
// one place.
func TestADeadImportLeavesTheLoginInOnePlace(t *testing.T) {
	died := 0
	for n := 0; ; n++ {
		w, o := newWorld(t), &owner{refresh: "refresh-1"}
		if !w.importUntil(n, o) {
			break
		}
		died++
		both := o.refresh != "" && w.refresh("2") == nil
		if both {
			t.Errorf("step %d: renewed while the file has it too", n)
		}
		s := w.start(o)
		if refs := s.Importing(); len(refs) > 0 {
			t.Errorf("step %d: %v is still being imported", n, refs)
		}
		here := w.refresh("2") == nil
		if there := o.refresh != ""; here == there {
			t.Errorf("step %d: here %v, in the file %v", n, here, there)
		}
		_, err := s.Profile(alice)
		refs, indexErr := s.Indexed(t.Context())
		if (err == nil) != here || (len(refs) > 0) != here || indexErr != nil {
			t.Errorf("step %d: here %v, but the profile says %v and the index %v, %v", n, here, err, refs, indexErr)
		}
		if j := w.journal(); j != "" {
			t.Errorf("step %d: a journal is left", n)
		}
	}
	if died < 10 {
		t.Errorf("only %d steps were seen", died)
	}
}

func TestAnImportMoves(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1"}
	must(t, w.open().Import(t.Context(), alice, o.move()))
	if o.refresh != "" {
		t.Error("the file still has the login")
	}
	c, ok := w.current()
	if !ok || c.Refresh.Reveal() != "refresh-1" || c.From != (sink.Origin{}) || w.token() != "access-1" {
		t.Errorf("after the import there is %v, from %v", ok, c.From)
	}
	if j := w.journal(); j != "" {
		t.Error("a journal is left")
	}
	must(t, w.refresh("2"))
}

// TestTheOwnerMayHaveGoneOn: a login that its owner has renewed since the import
// died is the owner's, and the token that is here is spent.
func TestTheOwnerMayHaveGoneOn(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true}
	w.importUntil(never, o)
	o.refresh = "refresh-of-the-owner"
	w.start(o)
	if err := w.refresh("2"); !errors.Is(err, sink.ErrNoRefresh) {
		t.Errorf("renewing: %v, want that there is nothing", err)
	}
	for name, b := range w.keychain.Items() {
		if strings.Contains(string(b), "refresh-1") {
			t.Errorf("the spent token is still in %s", name)
		}
	}
}

// TestNobodyCanTell: while the file cannot be read the login is neither here nor
// there, its access token serves, and nothing renews it.
func TestNobodyCanTell(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true}
	w.importUntil(never, o)
	o.broken = errors.New("the disk is away")
	s := w.open()
	s.Left = o.left
	err := s.Update(t.Context(), alice, func(tx *sink.Tx) error {
		if c, _ := tx.Current(); c.Access.Reveal() != "access-1" {
			t.Error("the access token is not served")
		}
		return tx.Sending()
	})
	if !errors.Is(err, sink.ErrImporting) || !errors.Is(err, o.broken) {
		t.Errorf("renewing: %v, want ErrImporting and why", err)
	}
	if err := s.Restore(t.Context(), alice); !errors.Is(err, sink.ErrImporting) {
		t.Errorf("restoring: %v, want ErrImporting", err)
	}
	if _, err := s.Profile(alice); !errors.Is(err, sink.ErrUnknownProfile) && !errors.Is(err, sink.ErrMirrorMissing) {
		t.Errorf("the mirror tells of it: %v", err)
	}
	o.broken = nil
	w.start(o)
	if w.journal() != "" || o.refresh == "" {
		t.Error("it was not undone once the file could be read")
	}
}

// TestAFileThatCannotBeWrittenKeepsTheLogin, and nothing of it stays here.
func TestAFileThatCannotBeWrittenKeepsTheLogin(t *testing.T) {
	for _, touched := range []bool{false, true} {
		w, o := newWorld(t), &owner{refresh: "refresh-1", stubborn: errors.New("read-only"), touched: touched}
		s := w.open()
		s.Left = o.left
		if err := s.Import(t.Context(), alice, o.move()); !errors.Is(err, o.stubborn) {
			t.Errorf("touched %v: import: %v, want why", touched, err)
		}
		if w.journal() != "" {
			t.Errorf("touched %v: a journal is left", touched)
		}
		for name, b := range w.keychain.Items() {
			if strings.Contains(string(b), "refresh-1") || strings.Contains(string(b), "access-1") {
				t.Errorf("touched %v: the login is still in %s", touched, name)
			}
		}
	}
}

// TestAnErrorThatTookEffect: the file was written after all.
func TestAnErrorThatTookEffect(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", touched: true}
	s := w.open()
	s.Left = o.left
	m := o.move()
	strip := m.Strip
	m.Strip = func() (bool, error) { touched, _ := strip(); return touched, errors.New("fsync") }
	must(t, s.Import(t.Context(), alice, m))
	must(t, w.refresh("2"))
}

// TestSomebodyElseStrippedTheFile: who has not written it has not moved the login,
// even if it is gone.
func TestSomebodyElseStrippedTheFile(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1"}
	s := w.open()
	s.Left = o.left
	m := o.move()
	changed := errors.New("it has changed")
	m.Strip = func() (bool, error) { o.refresh = ""; return false, changed }
	if err := s.Import(t.Context(), alice, m); !errors.Is(err, changed) {
		t.Errorf("import: %v, want why", err)
	}
	if err := w.refresh("2"); !errors.Is(err, sink.ErrNoRefresh) {
		t.Errorf("renewing: %v, want that there is nothing", err)
	}
}

// TestTwoImportsOfOneLogin: while one that died is not settled no other may move
// it, for another agent or another root.
func TestTwoImportsOfOneLogin(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true}
	w.importUntil(never, o)
	o.deadly = false
	bob := sink.Ref{Agent: "work", ID: alice.ID}
	other := sink.Open(t.TempDir(), w.place, w.keychain)
	for _, err := range []error{w.open().Import(t.Context(), bob, o.move()), other.Import(t.Context(), alice, o.move())} {
		if !errors.Is(err, sink.ErrImporting) || o.refresh == "" {
			t.Errorf("import: %v, want ErrImporting", err)
		}
	}
	w.start(o)
	must(t, other.Import(t.Context(), alice, o.move()))
	if err := w.refresh("2"); !errors.Is(err, sink.ErrNoRefresh) {
		t.Errorf("renewing in the first root: %v, want that there is nothing", err)
	}
}

// TestAKeychainThatTakesNothingUndoesTheImport before the file is touched.
func TestAKeychainThatTakesNothingUndoesTheImport(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the keychain for 16 s")
	}
	t.Parallel()
	w, o := newWorld(t), &owner{refresh: "refresh-1"}
	w.keychain.SetFault(noSlotWrites)
	if err := w.open().Import(t.Context(), alice, o.move()); !errors.Is(err, sinktest.ErrDown) {
		t.Errorf("import: %v, want that the keychain is down", err)
	}
	if o.refresh == "" || w.journal() != "" {
		t.Error("the import was not undone")
	}
}

func TestAnImportNeverReplacesALogin(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-other"}
	w.login(credential("1", time.Hour))
	if err := w.open().Import(t.Context(), alice, o.move()); !errors.Is(err, sink.ErrExists) {
		t.Errorf("import: %v, want ErrExists", err)
	}
	if o.refresh == "" {
		t.Error("the file lost its login")
	}
	o.refresh = "refresh-1" // a copy of what is here
	must(t, w.open().Import(t.Context(), alice, o.move()))
	if c, _ := w.current(); o.refresh != "" || c.Refresh.Reveal() != "refresh-1" {
		t.Error("the copy was not taken out of the file")
	}
}

func TestNothingToImportLeavesNothing(t *testing.T) {
	w, o := newWorld(t), &owner{}
	if err := w.open().Import(t.Context(), alice, o.move()); !errors.Is(err, errNothing) {
		t.Errorf("import: %v", err)
	}
	if refs, err := w.open().Indexed(t.Context()); len(refs) > 0 || err != nil || w.journal() != "" {
		t.Errorf("left behind: %v, %v", refs, err)
	}
}

// TestTheMarkDoesNotNeedTheJournal: where the journal got lost the login is still
// known to be on its way.
func TestTheMarkDoesNotNeedTheJournal(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true}
	w.importUntil(never, o)
	must(t, os.Remove(w.journal()))
	if err := w.refresh("2"); !errors.Is(err, sink.ErrImporting) {
		t.Errorf("renewing: %v, want ErrImporting", err)
	}
	s := w.open()
	s.Left = o.left
	must(t, s.Restore(t.Context(), alice))
	if err := w.refresh("2"); !errors.Is(err, sink.ErrNoRefresh) {
		t.Errorf("renewing: %v, want that there is nothing", err)
	}
}

// TestOtherRootsImportsAreTheirs: several state folders share the place of
// journals.
func TestOtherRootsImportsAreTheirs(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true}
	w.importUntil(never, o)
	if refs := sink.Open(t.TempDir(), w.place, w.keychain).Importing(); len(refs) > 0 {
		t.Errorf("another root's imports: %v", refs)
	}
	if refs := w.open().Importing(); len(refs) != 1 || refs[0] != alice {
		t.Errorf("own imports: %v, want %v", refs, alice)
	}
}

// TestASignInEndsAnImport: a person who signs in anew meanwhile has a login here,
// whatever the file says.
func TestASignInEndsAnImport(t *testing.T) {
	w, o := newWorld(t), &owner{refresh: "refresh-1", deadly: true, broken: errors.New("away")}
	w.importUntil(never, o)
	s := w.open()
	s.Left = o.left
	must(t, s.Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Received(credential("2", time.Hour)) }))
	if w.token() != "access-2" || len(s.Importing()) > 0 {
		t.Error("the sign-in did not end the import")
	}
	must(t, w.refresh("3"))
}
