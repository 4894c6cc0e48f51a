package keychain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/keychaintest"
)

// service is a service name made of the test's.
func service(tb testing.TB) string {
	tb.Helper()
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r) {
			return r
		}
		return '-'
	}, strings.ToLower(tb.Name()))
	return name[:min(len(name), 100)]
}

// TestContract: what the file keychain is held to as well.
func TestContract(t *testing.T) {
	gnome(t)
	k := open(t)
	keychaintest.Contract(t, func() keychaintest.Store { return k })
	if keychaintest.MaxValue != keychain.MaxValue {
		t.Errorf("the contract tests up to %d bytes, want %d", keychaintest.MaxValue, keychain.MaxValue)
	}
}

func TestLockedInTheBackgroundIsAnErrorAtOnce(t *testing.T) {
	s := gnome(t)
	k := open(t)
	if err := k.Set(t.Context(), "item", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := s.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, got := k.Get(t.Context(), "item")
	for what, err := range map[string]error{
		"Get": got, "Set": k.Set(t.Context(), "item", []byte("w")), "Delete": k.Delete(t.Context(), "item"),
	} {
		if !errors.Is(err, keychain.ErrLocked) {
			t.Errorf("%s = %v, want ErrLocked", what, err)
		}
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %v", d)
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Errorf("Barrier() of a locked keyring = %v", err)
	}
}

func TestAKeyringThatNobodyUnlockedIsLocked(t *testing.T) {
	s := gnome(t)
	k := open(t)
	if err := k.Set(t.Context(), "item", []byte("v")); err != nil {
		t.Fatal(err)
	}
	s.KillKeyring()
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrUnavailable)
	if err := s.StartKeyringLocked(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = k.Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	if err := s.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValue(t, k, "v")
}

func TestWithoutABusItIsUnavailable(t *testing.T) {
	k := keychain.Open(keychain.Options{Service: service(t), Bus: "unix:path=/nonexistent"})
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, keychain.ErrUnavailable) {
		t.Errorf("Get() = %v, want ErrUnavailable", err)
	}
}
