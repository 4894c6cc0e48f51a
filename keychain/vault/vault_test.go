package vault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/keychaintest"
	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/sink"
)

var (
	_ sink.Secrets = (*vault.Vault)(nil)
	_ sink.Secrets = (*keychain.Keychain)(nil)
)

// newVault makes a vault, and returns its folder, its key and a way into it.
func newVault(tb testing.TB) (dir string, key sealed.Key, open func() *vault.Vault) {
	tb.Helper()
	key, err := sealed.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	dir = filepath.Join(tb.TempDir(), "vault")
	if err := vault.Create(dir, key); err != nil {
		tb.Fatal(err)
	}
	return dir, key, func() *vault.Vault { return with(dir, key) }
}

func with(dir string, key sealed.Key) *vault.Vault {
	return vault.Open(dir, func() (sealed.Key, error) { return key, nil })
}

func TestContract(t *testing.T) {
	t.Parallel()
	_, _, open := newVault(t)
	keychaintest.Contract(t, func() keychaintest.Store { return open() })
}

// TestNothingLiesInClear: neither values nor who can open them; and nobody else may
// read even that.
func TestNothingLiesInClear(t *testing.T) {
	t.Parallel()
	dir, key, open := newVault(t)
	if err := open().Set(t.Context(), "item", []byte("canary-canary")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v, want the item and the proof", len(entries), err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || bytes.Contains(b, []byte("canary")) || bytes.Contains(b, []byte(key.Public())) {
			t.Errorf("%s: %v, or something in clear", e.Name(), err)
		}
		if info, err := e.Info(); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s: mode %v, %v, want 0600", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o700) {
		t.Errorf("the folder: %v, %v, want 0700", info.Mode(), err)
	}
}

// TestWhatIsNotAsItWasSealedIsCorrupt: every changed byte, every cut, another
// item's file, and a file that somebody made who knows the public key.
func TestWhatIsNotAsItWasSealedIsCorrupt(t *testing.T) {
	t.Parallel()
	dir, key, open := newVault(t)
	k := open()
	for _, name := range []string{"a", "b"} {
		if err := k.Set(t.Context(), name, []byte("value of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "a.age")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(dir, "b.age"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := [][]byte{nil, other, good[:len(good)-1], append(bytes.Clone(good), 0), []byte("value of a")}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		wrong = append(wrong, b, good[:i])
	}
	stranger, err := sealed.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := stranger.Box("a", []byte("forged"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append(wrong, forged) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := k.Get(t.Context(), "a")
		if !errors.Is(err, keychain.ErrCorrupt) || !errors.Is(err, fs.ErrInvalid) || got != nil {
			t.Fatalf("%d bytes: Get = %q, %v, want %v", len(b), got, err, keychain.ErrCorrupt)
		}
	}
	if err := k.Set(t.Context(), "a", []byte("again")); err != nil {
		t.Errorf("writing over a damaged item: %v", err)
	}
	if _, err := key.Unbox("a", good); err != nil {
		t.Errorf("an older copy of the item does not open: %v", err)
	}
}

// TestAnotherKeySaysNothingIsDamaged: who comes with the wrong key must not take
// the logins for lost, nor write among them.
func TestAnotherKeySaysNothingIsDamaged(t *testing.T) {
	t.Parallel()
	dir, _, open := newVault(t)
	if err := open().Set(t.Context(), "item", []byte("value")); err != nil {
		t.Fatal(err)
	}
	stranger, err := sealed.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	k := with(dir, stranger)
	_, err = k.Get(t.Context(), "item")
	for _, err := range []error{err, k.Set(t.Context(), "item", nil), k.Delete(t.Context(), "item"), vault.Create(dir, stranger)} {
		if !errors.Is(err, keychain.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%v, want %v", err, keychain.ErrUnavailable)
		}
	}
	if got, err := open().Get(t.Context(), "item"); string(got) != "value" {
		t.Errorf("afterwards Get = %q, %v", got, err)
	}
}

// TestALockedKeyIsLocked: every call that needs the key says so, and works when
// there is one; a barrier needs none.
func TestALockedKeyIsLocked(t *testing.T) {
	t.Parallel()
	dir, key, _ := newVault(t)
	locked := true
	k := vault.Open(dir, func() (sealed.Key, error) {
		if locked {
			return sealed.Key{}, &vault.Error{Kind: keychain.ErrLocked}
		}
		return key, nil
	})
	_, err := k.Get(t.Context(), "item")
	for _, err := range []error{err, k.Set(t.Context(), "item", nil), k.Delete(t.Context(), "item")} {
		if !errors.Is(err, keychain.ErrLocked) {
			t.Errorf("%v, want %v", err, keychain.ErrLocked)
		}
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Errorf("Barrier: %v", err)
	}
	locked = false
	if err := k.Set(t.Context(), "item", nil); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

// TestAVaultThatIsGoneHoldsNothingAndLosesNothing: an unmounted folder is not one
// without logins.
func TestAVaultThatIsGoneHoldsNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir, key, open := newVault(t)
	for _, gone := range []string{filepath.Join(dir, "Key.age"), dir} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
		k := open()
		_, err := k.Get(t.Context(), "item")
		for _, err := range []error{err, k.Set(t.Context(), "item", nil), k.Delete(t.Context(), "item")} {
			if !errors.Is(err, keychain.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without %s: %v, want %v", filepath.Base(gone), err, keychain.ErrUnavailable)
			}
		}
	}
	if err := vault.Create(dir, key); err != nil {
		t.Fatal(err)
	}
	if err := open().Set(t.Context(), "item", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "Key.age")); err != nil {
		t.Fatal(err)
	}
	if err := vault.Create(dir, key); err == nil {
		t.Error("items without a proof were taken over")
	}
}

// TestLinksAndOpenDoorsAreRefused: what another user could have put there.
func TestLinksAndOpenDoorsAreRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes and links are different there")
	}
	dir, key, open := newVault(t)
	k := open()
	if err := k.Set(t.Context(), "item", []byte("value")); err != nil {
		t.Fatal(err)
	}
	path, outside := filepath.Join(dir, "item.age"), filepath.Join(t.TempDir(), "outside")
	if err := os.Rename(path, outside); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func() error{
		"symbolic link": func() error { return os.Symlink(outside, path) },
		"hard link":     func() error { return os.Link(outside, path) },
		"folder":        func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		_, err := k.Get(t.Context(), "item")
		for _, err := range []error{err, k.Set(t.Context(), "item", []byte("other"))} {
			if !errors.Is(err, keychain.ErrUnavailable) || errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s: %v, want %v", name, err, keychain.ErrUnavailable)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(outside); err != nil {
		t.Error(err)
	} else if got, err := key.Unbox("item", b); string(got) != "value" {
		t.Errorf("what a link led to is now %q, %v", got, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := vault.Create(dir, key); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("a folder that others can write: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	_, _, open := newVault(b)
	k := open()
	if err := k.Set(b.Context(), "item", bytes.Repeat([]byte("x"), 2000)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Get(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	_, _, open := newVault(b)
	k := open()
	value := bytes.Repeat([]byte("x"), 2000)
	for b.Loop() {
		if err := k.Set(b.Context(), "item", value); err != nil {
			b.Fatal(err)
		}
	}
}
