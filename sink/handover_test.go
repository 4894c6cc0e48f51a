package sink_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// departure hands the login over into a file of the world. Its content stands for
// what is sealed.
func (w *world) departure() sink.Departure {
	return sink.Departure{
		File: filepath.Join(filepath.Dir(w.dir), "sealed"), To: "age1…",
		Seal: func(c sink.Credential) ([]byte, error) { return []byte("sealed " + c.Refresh.Reveal()), nil },
	}
}

// gone reports whether the sealed file is there, whole.
func (w *world) gone() bool {
	b, err := os.ReadFile(w.departure().File)
	return err == nil && string(b) == "sealed refresh-1"
}

func (w *world) handOver() error {
	return w.open().HandOver(w.t.Context(), alice, w.departure())
}

// TestADeadMoveLeavesTheLoginInOnePlace: whatever step a move dies before, the next
// process finds the login here or in the file, and never in none.
func TestADeadMoveLeavesTheLoginInOnePlace(t *testing.T) {
	died := 0
	for n := 0; ; n++ {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		if !w.until(n, func(s *sink.Store, _ *fuse) error { return s.HandOver(t.Context(), alice, w.departure()) }) {
			break
		}
		died++
		here := w.refresh("2") == nil
		if here == w.gone() {
			t.Errorf("step %d: here %v, in the file %v", n, here, w.gone())
		}
		p, err := w.open().Profile(alice)
		if moved := p.State == sink.StateMoved; err != nil || moved == here {
			t.Errorf("step %d: here %v, and the profile says %s, %v", n, here, p.State, err)
		}
		if refs, err := w.open().Indexed(t.Context()); err != nil || (len(refs) > 0) != here {
			t.Errorf("step %d: here %v, and the index has %v, %v", n, here, refs, err)
		}
		if j := w.journal(); j != "" {
			t.Errorf("step %d: a journal is left", n)
		}
		if here {
			w.leavesNoHalf(n)
			must(t, w.handOver()) // and it can be moved again
		}
	}
	if died < 8 {
		t.Errorf("only %d steps were seen", died)
	}
}

// leavesNoHalf: what a move that was undone leaves has nothing of the login in it.
func (w *world) leavesNoHalf(n int) {
	w.t.Helper()
	for path, content := range w.files() {
		if strings.HasSuffix(path, ".moving") && strings.Contains(content, "refresh") {
			w.t.Errorf("step %d: %s is left with the login in it", n, path)
		}
	}
}

// TestAMovedLoginIsNotHere: nothing of it but a tombstone, which a new sign-in
// replaces with a higher generation.
func TestAMovedLoginIsNotHere(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.handOver())
	if !w.gone() {
		t.Fatal("the file is not there")
	}
	for name := range w.keychain.Items() {
		if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
			t.Errorf("%s is still in the keychain", name)
		}
	}
	p, err := w.open().Profile(alice)
	if err != nil || p.State != sink.StateMoved || p.Reason != "age1…" || time.Since(p.Until).Abs() > time.Minute {
		t.Errorf("the profile says %+v, %v", p, err)
	}
	if _, err := w.open().Token(t.Context(), p, 0); !errors.Is(err, sink.ErrStale) {
		t.Errorf("its token: %v, want %v", err, sink.ErrStale)
	}
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		if _, ok := tx.Current(); ok || tx.Lost() || !tx.Moved() {
			t.Errorf("there: %v, lost: %v, moved: %v; want it moved", ok, tx.Lost(), tx.Moved())
		}
		return nil
	}))
	if p, _ := w.open().Profile(alice); p.State != sink.StateMoved {
		t.Errorf("an update that does nothing made it %s", p.State)
	}
	if err := w.handOver(); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("moving it again: %v, want %v", err, sink.ErrUnknownProfile)
	}
	w.login(credential("3", time.Hour))
	if p, _ := w.open().Profile(alice); p.State != sink.StateOK || p.Generation != 2 || w.token() != "access-3" {
		t.Errorf("after a new sign-in: %s of generation %d", p.State, p.Generation)
	}
}

// TestATombstoneCanBeSignedOut and leaves nothing.
func TestATombstoneCanBeSignedOut(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.handOver())
	must(t, w.open().Remove(t.Context(), alice, nil))
	if _, err := w.open().Profile(alice); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("afterwards: %v, want %v", err, sink.ErrUnknownProfile)
	}
}

// TestAFileThatWasTakenAlongIsNotGuessedAt: a move that died after the rename, and
// somebody has the file. The login is neither renewed nor deleted until the file is
// back, or a person signs it out.
func TestAFileThatWasTakenAlongIsNotGuessedAt(t *testing.T) {
	for _, back := range []bool{true, false} {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		n := 0
		for ; !w.gone(); n++ {
			w.until(n, func(s *sink.Store, _ *fuse) error { return s.HandOver(t.Context(), alice, w.departure()) })
		}
		file, away := w.departure().File, filepath.Join(t.TempDir(), "away")
		must(t, os.Rename(file, away))
		for range 2 {
			if err := w.refresh("2"); !errors.Is(err, sink.ErrMovingAway) {
				t.Errorf("renewing: %v, want %v", err, sink.ErrMovingAway)
			}
			if err := w.handOver(); !errors.Is(err, sink.ErrMovingAway) {
				t.Errorf("moving: %v, want %v", err, sink.ErrMovingAway)
			}
		}
		if c, ok := w.current(); !ok || c.Refresh.Reveal() != "refresh-1" {
			t.Error("it was deleted")
		}
		if back {
			must(t, os.Rename(away, file))
			if _, ok := w.current(); ok {
				t.Error("the file is back, and the login still here")
			}
			continue
		}
		must(t, w.open().Remove(t.Context(), alice, nil))
		if w.journal() != "" || len(w.keychain.Items()) > 2 {
			t.Errorf("signed out, and left: %q, %d items", w.journal(), len(w.keychain.Items()))
		}
	}
}

// TestWhatCannotBeMovedStays: nothing is written, and nothing changes.
func TestWhatCannotBeMovedStays(t *testing.T) {
	w := newWorld(t)
	if err := w.handOver(); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("no login: %v, want %v", err, sink.ErrUnknownProfile)
	}
	w.login(credential("1", time.Hour))
	must(t, os.WriteFile(w.departure().File, []byte("mine"), 0o600))
	if err := w.handOver(); !errors.Is(err, sink.ErrFileExists) {
		t.Errorf("a file is in its place: %v, want %v", err, sink.ErrFileExists)
	}
	must(t, os.Remove(w.departure().File))
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Sending() })) // without an answer
	if err := w.handOver(); !errors.Is(err, sink.ErrUnsettled) {
		t.Errorf("sent without an answer: %v, want %v", err, sink.ErrUnsettled)
	}
	if _, ok := w.current(); !ok || w.gone() {
		t.Error("it was moved")
	}
}

// TestTwoMovesIntoOneFile: two people, or two commands, name the same file. What the
// one has written the other does not replace.
func TestTwoMovesIntoOneFile(t *testing.T) {
	w := newWorld(t)
	w.settle()
	other := make(chan error, 1)
	first := w.departure()
	first.Seal = func(sink.Credential) ([]byte, error) {
		go func() { other <- w.open().HandOver(t.Context(), bobAtWork, w.departure()) }()
		select {
		case err := <-other:
			other <- err
		case <-time.After(100 * time.Millisecond): // it waits, as it should
		}
		return []byte("alice's"), nil
	}
	must(t, w.open().HandOver(t.Context(), alice, first))
	if err := <-other; !errors.Is(err, sink.ErrFileExists) {
		t.Errorf("the other one: %v, want %v", err, sink.ErrFileExists)
	}
	if b, err := os.ReadFile(first.File); err != nil || string(b) != "alice's" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

// TestAMoveIntoTheFileOfADeadOne: a move dies before the file has its name, and
// another login is moved into the file of that name. The first one is here still.
func TestAMoveIntoTheFileOfADeadOne(t *testing.T) {
	for n := 0; ; n++ {
		w := newWorld(t)
		w.settle()
		if !w.until(n, func(s *sink.Store, _ *fuse) error { return s.HandOver(t.Context(), alice, w.departure()) }) {
			break
		}
		if _, err := os.Stat(w.departure().File); err == nil {
			continue
		}
		must(t, w.open().HandOver(t.Context(), bobAtWork, w.departure()))
		if err := w.refresh("3"); err != nil {
			t.Errorf("step %d: the one that was not moved: %v", n, err)
		}
	}
}

// stick is a disk on which nothing is certain to stay in one folder.
type stick struct {
	sink.Disk

	folder string
}

func (d stick) Remove(paths ...string) error {
	if filepath.Dir(paths[0]) == d.folder {
		return errNothing
	}
	return d.Disk.Remove(paths...)
}

// TestNothingIsDeletedForAFileThatMayGo: the file has its name, and it is not sure
// that it would after a loss of power.
func TestNothingIsDeletedForAFileThatMayGo(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	disk := stick{sink.RealDisk{}, filepath.Dir(w.departure().File)}
	s := sink.OpenOn(w.dir, w.place, w.keychain, sink.Seams{Disk: disk, Locker: sink.RealLocker{}, Clock: sink.Now, Seed: 1})
	if err := s.HandOver(t.Context(), alice, w.departure()); !errors.Is(err, errNothing) {
		t.Errorf("moving: %v, want %v", err, errNothing)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(w.keychain.Items())), func(name string) bool { return strings.Contains(name, ".slot.") }) {
		t.Error("it was deleted")
	}
	if _, ok := w.current(); ok || !w.gone() { // the disk is well again
		t.Errorf("here: %v, in the file: %v", ok, w.gone())
	}
}

// TestAKeychainThatKeepsItFinishesLater: the login is in the file; until the
// keychain lets it go the journal says so, and it is not renewed here.
func TestAKeychainThatKeepsItFinishesLater(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "delete" {
			return sinktest.NotApplied
		}
		return sinktest.None
	})
	if err := w.handOver(); !errors.Is(err, sinktest.ErrDown) {
		t.Errorf("HandOver = %v, want %v", err, sinktest.ErrDown)
	}
	if err := w.refresh("2"); err == nil {
		t.Error("it was renewed here, and is in the file too")
	}
	w.keychain.SetFault(nil)
	if _, ok := w.current(); ok || !w.gone() {
		t.Error("it is still here")
	}
}

func parcel() sink.Parcel { return sink.Parcel{ID: "ABCDEFGHIJ", Login: credential("1", time.Hour)} }

// TestADeadReceiverTakesItOnce: whatever step it dies before, the same parcel is
// taken again under the same name, until it is there; and never twice.
func TestADeadReceiverTakesItOnce(t *testing.T) {
	died := 0
	for n := 0; ; n++ {
		w := newWorld(t)
		if !w.until(n, func(s *sink.Store, _ *fuse) error { return s.Receive(t.Context(), alice, parcel()) }) {
			break
		}
		died++
		if err := w.open().Receive(t.Context(), alice, parcel()); err != nil && !errors.Is(err, sink.ErrReceived) {
			t.Errorf("step %d: again: %v", n, err)
		}
		if p, err := w.open().Profile(alice); err != nil || p.State != sink.StateOK {
			t.Errorf("step %d: the profile says %s, %v", n, p.State, err)
		}
		if c, ok := w.current(); !ok || c.Refresh.Reveal() != "refresh-1" {
			t.Errorf("step %d: the login is not here", n)
		}
		must(t, w.refresh("2"))
		w.takesNoMore(n)
	}
	if died < 6 {
		t.Errorf("only %d steps were seen", died)
	}
}

// takesNoMore: not under its name, nor another, nor after a logout.
func (w *world) takesNoMore(n int) {
	w.t.Helper()
	other := sink.Ref{Agent: "work", ID: alice.ID}
	for _, ref := range []sink.Ref{alice, other} {
		if err := w.open().Receive(w.t.Context(), ref, parcel()); !errors.Is(err, sink.ErrReceived) {
			w.t.Errorf("step %d: once more as %v: %v, want %v", n, ref, err, sink.ErrReceived)
		}
	}
	must(w.t, w.open().Remove(w.t.Context(), alice, nil))
	if err := w.open().Receive(w.t.Context(), alice, parcel()); !errors.Is(err, sink.ErrReceived) {
		w.t.Errorf("step %d: after a logout: %v, want %v", n, err, sink.ErrReceived)
	}
}

// TestAParcelIsOverWhenItIsRenewed: until then the file would work too, and the same
// command may try again to end that.
func TestAParcelIsOverWhenItIsRenewed(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		must(t, w.open().Receive(t.Context(), alice, parcel()))
		if p, err := w.open().Profile(alice); err != nil || p.Generation != 1 {
			t.Errorf("generation %d, %v, want 1", p.Generation, err)
		}
	}
	must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		c, _ := tx.Current()
		c.Refresh = secret.New("refresh-2")
		return errors.Join(tx.Sending(), tx.Received(c))
	}))
	if err := w.open().Receive(t.Context(), alice, parcel()); !errors.Is(err, sink.ErrReceived) {
		t.Errorf("after a renewal: %v, want %v", err, sink.ErrReceived)
	}
}

// TestHalfAReceiptBindsTheName: a receiver that died may have the login under the
// first name.
func TestHalfAReceiptBindsTheName(t *testing.T) {
	w := newWorld(t)
	for n := 0; ; n++ {
		w.until(n, func(s *sink.Store, _ *fuse) error { return s.Receive(t.Context(), alice, parcel()) })
		if left, _ := filepath.Glob(filepath.Join(w.place, "parcel-*.json")); len(left) == 1 {
			break
		}
	}
	err := w.open().Receive(t.Context(), sink.Ref{Agent: "work", ID: alice.ID}, parcel())
	if !errors.Is(err, sink.ErrReceived) || !strings.Contains(err.Error(), alice.ID+" of agent main") {
		t.Errorf("under another name: %v", err)
	}
	must(t, w.open().Receive(t.Context(), alice, parcel()))
}

// TestAParcelReplacesNothing that is here.
func TestAParcelReplacesNothing(t *testing.T) {
	w := newWorld(t)
	w.login(credential("9", time.Hour))
	if err := w.open().Receive(t.Context(), alice, parcel()); !errors.Is(err, sink.ErrExists) {
		t.Errorf("Receive = %v, want %v", err, sink.ErrExists)
	}
	if w.token() != "access-9" {
		t.Error("the login that was here is another one")
	}
	must(t, w.open().Remove(t.Context(), alice, nil))
	must(t, w.open().Receive(t.Context(), alice, parcel()))
}

// TestAParcelTakesThePlaceOfWhatWasLent of the same account, whatever step its receiver
// dies before.
func TestAParcelTakesThePlaceOfWhatWasLent(t *testing.T) {
	lent := sink.Credential{Kind: sink.KindToken, Provider: "acme", Access: secret.New("lent"), Account: sink.Account{ID: "acct-1"}, Lender: "vm"}
	for n, died := 0, true; died; n++ {
		w := newWorld(t)
		w.login(lent)
		died = w.until(n, func(s *sink.Store, _ *fuse) error { return s.Receive(t.Context(), alice, parcel()) })
		if err := w.open().Receive(t.Context(), alice, parcel()); err != nil && !errors.Is(err, sink.ErrReceived) {
			t.Fatalf("after a death before step %d: %v", n, err)
		}
		must(t, w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
			if c, _ := tx.Current(); c.Refresh.Reveal() != "refresh-1" || c.Lender != "" {
				t.Errorf("after a death before step %d: %+v", n, c)
			}
			return nil
		}))
		if p, err := w.open().Profile(alice); err != nil || p.Lender != "" || p.Kind != sink.KindOAuth {
			t.Errorf("after a death before step %d: %+v, %v", n, p, err)
		}
	}
	for name, change := range map[string]func(*sink.Credential){
		"another account":  func(c *sink.Credential) { c.Account.ID = "acct-2" },
		"nobody's":         func(c *sink.Credential) { c.Account.ID = "" },
		"another provider": func(c *sink.Credential) { c.Provider = "other" },
	} {
		w, other := newWorld(t), lent
		change(&other)
		w.login(other)
		if err := w.open().Receive(t.Context(), alice, parcel()); !errors.Is(err, sink.ErrExists) {
			t.Errorf("%s: Receive = %v, want %v", name, err, sink.ErrExists)
		}
	}
}

// TestASignInTakesThePlaceOfWhatWasLent, also where the provider names no accounts.
func TestASignInTakesThePlaceOfWhatWasLent(t *testing.T) {
	for _, account := range []string{"acct-1", ""} {
		w := newWorld(t)
		w.login(sink.Credential{Kind: sink.KindToken, Provider: "acme", Access: secret.New("lent"), Account: sink.Account{ID: account}, Lender: "vm"})
		own := credential("1", time.Hour)
		own.Account.ID = account
		w.login(own)
		if p, err := w.open().Profile(alice); err != nil || p.Lender != "" || p.Kind != sink.KindOAuth {
			t.Errorf("account %q: %+v, %v", account, p, err)
		}
	}
}

// TestALoginMayComeBack: by a new sealed file, onto its own tombstone.
func TestALoginMayComeBack(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, w.handOver())
	must(t, w.open().Receive(t.Context(), alice, parcel()))
	if p, err := w.open().Profile(alice); err != nil || p.State != sink.StateOK || p.Generation != 2 || w.token() != "access-1" {
		t.Errorf("the profile says %s of generation %d, %v", p.State, p.Generation, err)
	}
}

// TestWhatHasBegunToGoIsGone: once the first secret may be deleted the file need not
// be there any more.
func TestWhatHasBegunToGoIsGone(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	deleted := func() bool {
		for name := range w.keychain.Items() {
			if strings.HasSuffix(name, ".slot.1") {
				return false
			}
		}
		return true
	}
	for n := 0; !deleted(); n++ {
		w.until(n, func(s *sink.Store, _ *fuse) error { return s.HandOver(t.Context(), alice, w.departure()) })
	}
	must(t, os.Remove(w.departure().File))
	if _, ok := w.current(); ok {
		t.Error("it is still here")
	}
	if p, err := w.open().Profile(alice); err != nil || p.State != sink.StateMoved || w.journal() != "" {
		t.Errorf("the profile says %s, %v, want it moved", p.State, err)
	}
}

// TestAnotherFileIsNotTheSealedOne: what lies under its name by now may be anybody's.
func TestAnotherFileIsNotTheSealedOne(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	for n := 0; w.journal() == ""; n++ {
		w.until(n, func(s *sink.Store, _ *fuse) error { return s.HandOver(t.Context(), alice, w.departure()) })
	}
	must(t, os.WriteFile(w.departure().File, []byte("mine"), 0o600))
	must(t, w.refresh("2"))
	if b, err := os.ReadFile(w.departure().File); string(b) != "mine" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}
