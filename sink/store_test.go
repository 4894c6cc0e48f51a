package sink_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// world is one state root with its keychain and its place for locks.
type world struct {
	t          testing.TB
	keychain   *sinktest.Keychain
	dir, place string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	base := t.TempDir()
	return &world{t, &sinktest.Keychain{}, filepath.Join(base, "root"), filepath.Join(base, "place")}
}

// open is a new process on the same world.
func (w *world) open() *sink.Store { return sink.Open(w.dir, w.place, w.keychain) }

var alice = sink.Ref{Agent: "main", ID: "acme:alice@example.org"}

func credential(n string, life time.Duration) sink.Credential {
	now := sink.Now()
	return sink.Credential{
		Kind: sink.KindOAuth, Provider: "acme", Access: secret.New("access-" + n), Refresh: secret.New("refresh-" + n),
		Life: sink.Life{Minted: now, Expires: now.Wall.Add(life)}, Scope: "openid",
		Account: sink.Account{ID: "acct-1", Email: "alice@example.org", Plan: "plus"},
		Pin:     sink.Pin{Issuer: "https://as.example", Client: "c", TokenEndpoint: "https://as.example/token"},
	}
}

func (w *world) login(c sink.Credential) {
	w.t.Helper()
	if err := w.open().Update(w.t.Context(), alice, func(tx *sink.Tx) error { return tx.Received(c) }); err != nil {
		w.t.Fatalf("login: %v", err)
	}
}

// refresh is what a keeper does, with a server that always answers.
func (w *world) refresh(n string) error {
	return w.open().Update(w.t.Context(), alice, func(tx *sink.Tx) error {
		if err := tx.Sending(); err != nil {
			return err
		}
		return tx.Received(credential(n, time.Hour))
	})
}

func (w *world) token() string {
	w.t.Helper()
	s := w.open()
	p, err := s.Profile(alice)
	if err != nil {
		w.t.Fatalf("profile: %v", err)
	}
	tok, err := s.Token(w.t.Context(), p, 0)
	if err != nil {
		w.t.Fatalf("token: %v", err)
	}
	return tok.Reveal()
}

// current reads the login under its lock.
func (w *world) current() (c sink.Credential, ok bool) {
	w.t.Helper()
	err := w.open().Update(w.t.Context(), alice, func(tx *sink.Tx) error {
		c, ok = tx.Current()
		return nil
	})
	if err != nil {
		w.t.Fatalf("update: %v", err)
	}
	return c, ok
}

// files are the contents of all files of the world.
func (w *world) files() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Dir(w.dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) journal() string {
	for path := range w.files() {
		if strings.HasSuffix(path, ".journal") {
			return path
		}
	}
	return ""
}

func TestALoginCanBeUsedAndRenewed(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	if got := w.token(); got != "access-1" {
		t.Errorf("token after login = %q, want access-1", got)
	}
	for _, n := range []string{"2", "3", "4"} {
		if err := w.refresh(n); err != nil {
			t.Fatal(err)
		}
		if got := w.token(); got != "access-"+n {
			t.Errorf("token = %q, want access-%s", got, n)
		}
	}
	p, err := w.open().Profile(alice)
	if err != nil {
		t.Fatal(err)
	}
	if p.Generation != 4 || p.Account.ID != "acct-1" || p.Account.Email != "alice@example.org" || p.State != sink.StateOK {
		t.Errorf("profile = %+v, want generation 4 of acct-1", p)
	}
	if j := w.journal(); j != "" {
		t.Errorf("a profile at rest has a journal: %s", j)
	}
}

func TestNoFileHoldsASecret(t *testing.T) {
	w := newWorld(t)
	w.login(credential("CANARY", time.Hour))
	check := func(when string) {
		t.Helper()
		for path, content := range w.files() {
			if strings.Contains(content, "CANARY") {
				t.Errorf("%s: %s holds a secret", when, path)
			}
		}
	}
	err := w.open().Update(t.Context(), alice, func(tx *sink.Tx) error {
		check("after login")
		if err := tx.Sending(); err != nil {
			return err
		}
		check("while sending")
		err := tx.Received(credential("CANARY-2", time.Hour))
		check("journalled")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	check("after a renewal")
}

// A fast read must not touch refresh tokens: slots are never read.
func TestTheFastReadNeverReadsARefreshToken(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	w.keychain.Ops()
	w.token()
	ops := w.keychain.Ops()
	if len(ops) != 1 || ops[0].Verb != "get" || !strings.Contains(ops[0].Name, ".at.") {
		t.Errorf("the fast read did %v, want one get of an at item", ops)
	}
}

func TestTheFastReadGivesWay(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Minute))
	s := w.open()
	p, err := s.Profile(alice)
	if err != nil {
		t.Fatal(err)
	}
	stale := func(when string, p sink.Profile, margin time.Duration) {
		t.Helper()
		if _, err := s.Token(t.Context(), p, margin); !errors.Is(err, sink.ErrStale) {
			t.Errorf("%s: %v, want ErrStale", when, err)
		}
	}
	stale("margin beyond the life", p, 2*time.Minute)
	older := p
	older.Generation = 3
	stale("another generation", older, 0)
	if err := os.WriteFile(filepath.Join(w.place, keyOf(t, w)+".journal"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	stale("a journal", p, 0)
}

// keyOf reads the profile's key from the mirror, as another program would.
func keyOf(t *testing.T, w *world) string {
	t.Helper()
	var file struct {
		Profiles map[string]struct {
			Keytray struct{ Key string }
		}
	}
	if err := json.Unmarshal([]byte(w.files()[w.mirror()]), &file); err != nil {
		t.Fatal(err)
	}
	return file.Profiles[alice.ID].Keytray.Key
}

func (w *world) mirror() string {
	return filepath.Join(w.dir, "agents", "main", "agent", "auth-profiles.json")
}

func TestAMovedRootKeepsItsLogins(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	to := w.dir + "-moved"
	if err := os.Rename(w.dir, to); err != nil {
		t.Fatal(err)
	}
	w.dir = to
	if err := w.refresh("2"); err != nil {
		t.Fatal(err)
	}
	if got := w.token(); got != "access-2" {
		t.Errorf("token = %q, want access-2", got)
	}
}

func TestALostMirrorIsRestoredFromTheKeychain(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	before := w.files()[w.mirror()]
	if err := os.Remove(w.mirror()); err != nil {
		t.Fatal(err)
	}
	s := w.open()
	if _, err := s.Profile(alice); !errors.Is(err, sink.ErrMirrorMissing) {
		t.Errorf("Profile without a mirror: %v, want ErrMirrorMissing", err)
	}
	refs, err := s.Indexed(t.Context())
	if err != nil || len(refs) != 1 || refs[0] != alice {
		t.Fatalf("Indexed() = %v, %v, want alice", refs, err)
	}
	if err := s.Restore(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if got := w.files()[w.mirror()]; got != before {
		t.Errorf("restored mirror differs:\n%s\nwant\n%s", got, before)
	}
}

func TestAgentsDoNotShareLogins(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	work := sink.Ref{Agent: "work", ID: alice.ID}
	err := w.open().Update(t.Context(), work, func(tx *sink.Tx) error {
		if _, ok := tx.Current(); ok {
			t.Error("agent work sees main's login")
		}
		return tx.Received(credential("work", time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.token(); got != "access-1" {
		t.Errorf("main's token = %q, want access-1", got)
	}
}

func TestAnotherAccountNeverOverwritesALogin(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	bob := credential("bob", time.Hour)
	bob.Account.ID = "acct-2"
	err := w.open().Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Received(bob) })
	if !errors.Is(err, sink.ErrOtherAccount) {
		t.Errorf("login of another account: %v, want ErrOtherAccount", err)
	}
	if got := w.token(); got != "access-1" {
		t.Errorf("token = %q, want access-1", got)
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	if err := w.refresh("2"); err != nil {
		t.Fatal(err)
	}
	revoked := ""
	err := w.open().Remove(t.Context(), alice, func(_ context.Context, c sink.Credential) { revoked = c.Refresh.Reveal() })
	if err != nil {
		t.Fatal(err)
	}
	if revoked != "refresh-2" {
		t.Errorf("revoked %q, want the newest refresh token", revoked)
	}
	for name := range w.keychain.Items() {
		if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
			t.Errorf("item %s is left", name)
		}
	}
	if strings.Contains(w.files()[w.mirror()], alice.ID) {
		t.Error("the mirror still names the login")
	}
	if err := w.open().Remove(t.Context(), alice, nil); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("second Remove: %v, want ErrUnknownProfile", err)
	}
}

func TestAStaticSecretIsServedFromItsSlot(t *testing.T) {
	w := newWorld(t)
	c := sink.Credential{Kind: sink.KindAPIKey, Provider: "acme", Access: secret.New("sk-1"), Account: sink.Account{ID: "acct-1"}}
	w.login(c)
	if got := w.token(); got != "sk-1" {
		t.Errorf("token = %q, want sk-1", got)
	}
	err := w.open().Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Sending() })
	if !errors.Is(err, sink.ErrNoRefresh) {
		t.Errorf("Sending on an API key: %v, want ErrNoRefresh", err)
	}
}
