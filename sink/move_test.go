package sink_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// openNew is the root that logins are moved to.
func (w *world) openNew() *sink.Store { return sink.Open(w.newDir(), w.place, w.keychain) }
func (w *world) newDir() string       { return filepath.Join(filepath.Dir(w.dir), "new") }

var bobAtWork = sink.Ref{Agent: "work", ID: "acme:bob@example.org"}

// settle signs two people in, one of them twice over, and stores an order.
func (w *world) settle() {
	w.t.Helper()
	w.login(credential("1", time.Hour))
	must(w.t, w.refresh("2"))
	bob := credential("b", time.Hour)
	bob.Account = sink.Account{ID: "acct-2", Email: "bob@example.org"}
	must(w.t, w.open().Update(w.t.Context(), bobAtWork, func(tx *sink.Tx) error { return tx.Received(bob) }))
	must(w.t, w.open().SetOrder(w.t.Context(), "main", "acme", alice.ID))
	must(w.t, os.MkdirAll(filepath.Join(w.dir, "providers"), 0o700))
	must(w.t, os.WriteFile(filepath.Join(w.dir, "providers", "acme.json"), []byte(`{"id":"acme"}`), 0o600))
}

// settled checks that both logins are at home in the new root and nowhere else.
func (w *world) settled(old *sink.Store) {
	w.t.Helper()
	s := w.openNew()
	refs, err := s.Indexed(w.t.Context())
	if err != nil || !slices.Equal(refs, []sink.Ref{alice, bobAtWork}) {
		w.t.Errorf("the new index has %v, %v", refs, err)
	}
	for ref, want := range map[sink.Ref]string{alice: "access-2", bobAtWork: "access-b"} {
		p, err := s.Profile(ref)
		if err != nil {
			w.t.Errorf("%s: %v", ref.ID, err)
			continue
		}
		tok, err := s.Token(w.t.Context(), p, 0)
		if err != nil || tok.Reveal() != want {
			w.t.Errorf("%s: token %q, %v, want %q", ref.ID, tok.Reveal(), err, want)
		}
	}
	if order, err := s.Order("main", "acme"); err != nil || !slices.Equal(order, []string{alice.ID}) {
		w.t.Errorf("order = %v, %v", order, err)
	}
	if _, err := os.Stat(filepath.Join(w.newDir(), "providers", "acme.json")); err != nil {
		w.t.Error(err)
	}
	if refs, err := old.Indexed(w.t.Context()); err != nil || len(refs) > 0 {
		w.t.Errorf("the old index still has %v, %v", refs, err)
	}
	left, _ := filepath.Glob(filepath.Join(w.dir, "agents", "*", "agent", "*.json"))
	if len(left) > 0 {
		w.t.Errorf("left behind: %v", left)
	}
}

func TestAMoveTakesAllAlong(t *testing.T) {
	w := newWorld(t)
	w.settle()
	moved, err := w.openNew().MoveFrom(t.Context(), w.open())
	if err != nil || !slices.Equal(moved, []sink.Ref{alice, bobAtWork}) {
		t.Fatalf("MoveFrom = %v, %v", moved, err)
	}
	w.settled(w.open())
	if moved, err := w.openNew().MoveFrom(t.Context(), w.open()); err != nil || len(moved) > 0 {
		t.Errorf("a second MoveFrom = %v, %v, want nothing to do", moved, err)
	}
	// The keys are the old ones, and renewing and signing out work from here.
	w.dir = w.newDir()
	must(t, w.refresh("3"))
	if got := w.token(); got != "access-3" {
		t.Errorf("token = %q, want access-3", got)
	}
	must(t, w.open().Remove(t.Context(), alice, nil))
	must(t, w.open().Remove(t.Context(), bobAtWork, nil))
	for name := range w.keychain.Items() {
		if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
			t.Errorf("%s is left in the keychain", name)
		}
	}
}

// TestAMoveWithoutTheOldFiles: OpenClaw has taken them into its database, and the
// journal of a renewal waits.
func TestAMoveWithoutTheOldFiles(t *testing.T) {
	w := newWorld(t)
	w.settle()
	w.crash(func(tx *sink.Tx) {
		must(t, tx.Sending())
		must(t, tx.Received(credential("3", time.Hour)))
	})
	must(t, os.RemoveAll(filepath.Join(w.dir, "agents")))
	if _, err := w.openNew().MoveFrom(t.Context(), w.open()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "agents")); err == nil {
		t.Error("the move has made the old files anew")
	}
	w.dir = w.newDir()
	if got := w.token(); got != "access-3" || w.journal() != "" {
		t.Errorf("token = %q, journal %q, want access-3 and none", got, w.journal())
	}
}

// TestAMoveTakesEntriesWithoutTheirMark: OpenClaw drops our member of an entry when
// it writes the file.
func TestAMoveTakesEntriesWithoutTheirMark(t *testing.T) {
	w := newWorld(t)
	w.settle()
	var file map[string]any
	b, err := os.ReadFile(w.mirror())
	must(t, err)
	must(t, json.Unmarshal(b, &file))
	for _, e := range file["profiles"].(map[string]any) {
		delete(e.(map[string]any), "keytray")
	}
	b, err = json.Marshal(file)
	must(t, err)
	must(t, os.WriteFile(w.mirror(), b, 0o600))
	if _, err := w.openNew().MoveFrom(t.Context(), w.open()); err != nil {
		t.Fatal(err)
	}
	w.settled(w.open())
}

// TestAMoveLeavesWhatIsNotToBeMoved: another program's entries, a login whose id
// means another one in the new root, and one that the keychain has lost.
func TestAMoveLeavesWhatIsNotToBeMoved(t *testing.T) {
	w := newWorld(t)
	w.settle()
	mirror := filepath.Join(w.dir, "agents", "work", "agent", "auth-profiles.json")
	b, err := os.ReadFile(mirror)
	must(t, err)
	theirs := `"profiles": {"acme:theirs": {"type": "token", "provider": "acme", "token": "theirs"},`
	must(t, os.WriteFile(mirror, []byte(strings.Replace(string(b), `"profiles": {`, theirs, 1)), 0o600))
	other := credential("other", time.Hour)
	other.Account.ID = "acct-9"
	must(t, w.openNew().Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Received(other) }))

	moved, err := w.openNew().MoveFrom(t.Context(), w.open())
	if !errors.Is(err, sink.ErrMoveTaken) || !slices.Equal(moved, []sink.Ref{bobAtWork}) {
		t.Errorf("MoveFrom = %v, %v, want bob moved and alice's name taken", moved, err)
	}
	if got := w.token(); got != "access-2" {
		t.Errorf("alice's token in the old root = %q, want access-2", got)
	}
	var left struct{ Profiles map[string]json.RawMessage }
	b, err = os.ReadFile(mirror)
	must(t, err)
	must(t, json.Unmarshal(b, &left))
	if _, ok := left.Profiles["acme:theirs"]; !ok || len(left.Profiles) != 1 {
		t.Errorf("the old file of work has %v, want acme:theirs only", left.Profiles)
	}

	must(t, w.openNew().Remove(t.Context(), alice, nil))
	for name := range w.keychain.Items() {
		if strings.Contains(name, ".slot.") && strings.HasPrefix(name, keyOf(t, w)) {
			must(t, w.keychain.Delete(t.Context(), name))
		}
	}
	if _, err := w.openNew().MoveFrom(t.Context(), w.open()); !errors.Is(err, sink.ErrLost) {
		t.Errorf("MoveFrom of a lost login = %v, want ErrLost", err)
	}
	if p, err := w.open().Profile(alice); err != nil || p.Generation == 0 {
		t.Errorf("the old root has forgotten the lost login: %+v, %v", p, err)
	}
}

var errKilled = errors.New("killed")

// doomed is a disk and a keychain of a process that dies at its nth write.
type doomed struct {
	sink.RealDisk
	n *int
}

func (d doomed) step() {
	if *d.n--; *d.n == 0 {
		panic(errKilled)
	}
}

func (d doomed) Replace(path string, b []byte) error {
	d.step()
	err := d.RealDisk.Replace(path, b)
	d.step()
	return err
}

func (d doomed) Remove(paths ...string) error {
	d.step()
	err := d.RealDisk.Remove(paths...)
	d.step()
	return err
}

// TestAMoveThatIsKilled dies before and after each write of a move, and lets the
// next process move again. In between no login is out of reach.
func TestAMoveThatIsKilled(t *testing.T) {
	deaths, stride := 0, 1
	if testing.Short() {
		stride = 6
	}
	for n := 1; ; n += stride {
		w := newWorld(t)
		w.settle()
		if !w.moveDyingAt(n) {
			break
		}
		deaths++
		w.reachable(n)
		if _, err := w.openNew().MoveFrom(t.Context(), w.open()); err != nil {
			t.Fatalf("after a death at write %d: %v", n, err)
		}
		w.settled(w.open())
		if t.Failed() {
			t.Fatalf("after a death at write %d", n)
		}
	}
	if deaths*stride < 15 {
		t.Errorf("it could die in %d places only; is it writing at all?", deaths)
	}
}

// moveDyingAt reports whether the move died.
func (w *world) moveDyingAt(n int) (died bool) {
	w.t.Helper()
	d := doomed{n: &n}
	w.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "set" || op.Verb == "delete" {
			d.step()
		}
		return sinktest.None
	})
	defer w.keychain.SetFault(nil)
	defer func() {
		switch r := recover(); r {
		case nil:
		case errKilled: // the very value thrown above
			died = true
		default:
			panic(r)
		}
	}()
	seams := sink.Seams{Disk: d, Locker: sink.RealLocker{}, Clock: sink.Now}
	_, err := sink.OpenOn(w.newDir(), w.place, w.keychain, seams).MoveFrom(w.t.Context(), sink.OpenOn(w.dir, w.place, w.keychain, seams))
	must(w.t, err)
	return false
}

// reachable checks that each login is renewable from one of the two roots.
func (w *world) reachable(n int) {
	w.t.Helper()
	for _, ref := range []sink.Ref{alice, bobAtWork} {
		found := false
		for _, s := range []*sink.Store{w.open(), w.openNew()} {
			refs, err := s.Indexed(w.t.Context())
			must(w.t, err)
			if !slices.Contains(refs, ref) {
				continue
			}
			must(w.t, s.Update(w.t.Context(), ref, func(tx *sink.Tx) error {
				_, ok := tx.Current()
				found = found || ok
				return nil
			}))
		}
		if !found {
			w.t.Errorf("after a death at write %d %s is out of reach", n, ref.ID)
		}
	}
}
