package keychain

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

// onWindows gives the keychain of this user, with a service of the test's own.
func onWindows(t *testing.T) *Keychain {
	t.Helper()
	k := Open(Options{Service: strings.ToLower(t.Name())})
	t.Cleanup(func() {
		for _, name := range []string{"item", "item2", "other"} {
			if err := k.Delete(t.Context(), name); err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		}
	})
	return k
}

func TestWindowsKeepsWhatItIsGiven(t *testing.T) {
	k := onWindows(t)
	for _, alphabet := range []string{"ab \"'\\\r\n", "üß€𝄞", "\x00\xff"} {
		for _, n := range []int{0, 1, 2400, 2533, 2534, 8192, MaxValue} {
			want := sized(n, alphabet)
			if err := k.Set(t.Context(), "item", want); err != nil {
				t.Fatalf("%q, %d bytes: %v", alphabet, n, err)
			}
			if got, err := k.Get(t.Context(), "item"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q, %d bytes: got %d, %v", alphabet, n, len(got), err)
			}
		}
	}
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get() = %v, want ErrNotFound", err)
	}
	for i := range maxParts {
		if _, err := k.store.lookup(t.Context(), partName("item", i)); !errors.Is(err, ErrNotFound) {
			t.Errorf("part %d: %v", i, err)
		}
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWindowsLimitIsTheSystems(t *testing.T) {
	k := onWindows(t)
	n := k.store.limit("item")
	if err := k.store.set(t.Context(), "item", mark+strings.Repeat("x", n-len(mark))); err != nil {
		t.Errorf("%d bytes: %v", n, err)
	}
	if err := k.store.set(t.Context(), "item", mark+strings.Repeat("x", n+1-len(mark))); !errors.Is(err, ErrTooBig) {
		t.Errorf("%d bytes: %v, want ErrTooBig", n+1, err)
	}
	if err := k.store.remove(t.Context(), "item", isOwn); err != nil {
		t.Error(err)
	}
}

// TestWindowsNamesCannotCollide shows the two ways in which Windows and
// go-keyring take two names for one, and that neither kind of name passes.
func TestWindowsNamesCannotCollide(t *testing.T) {
	for _, pair := range [][2][2]string{{{"kt-a:b", "c"}, {"kt-a", "b:c"}}, {{"kt-case", "ITEM"}, {"kt-case", "item"}}} {
		one, two := pair[0], pair[1]
		if err := keyring.Set(one[0], one[1], "one"); err != nil {
			t.Fatal(err)
		}
		if got, err := keyring.Get(two[0], two[1]); err != nil || got != "one" {
			t.Errorf("%q and %q are two items here: %q, %v", one, two, got, err)
		}
		if err := keyring.Delete(one[0], one[1]); err != nil {
			t.Error(err)
		}
		if checkName(one[0], one[1]) == nil {
			t.Errorf("%q passes", one)
		}
	}
	if checkName("keytray", strings.Repeat("u", 600)) == nil {
		t.Error("a name that is too long for Windows passes")
	}
}

func TestWindowsDeleteLeavesTheNeighbours(t *testing.T) {
	k := onWindows(t)
	neighbour := Open(Options{Service: k.service + "-2"})
	for _, set := range []error{
		k.Set(t.Context(), "item", []byte("v")),
		k.Set(t.Context(), "item2", []byte("v")),
		neighbour.Set(t.Context(), "item", []byte("v")),
		k.Delete(t.Context(), "item"),
	} {
		if set != nil {
			t.Fatal(set)
		}
	}
	if _, err := k.Get(t.Context(), "item2"); err != nil {
		t.Error(err)
	}
	if _, err := neighbour.Get(t.Context(), "item"); err != nil {
		t.Error(err)
	}
	if err := neighbour.Delete(t.Context(), "item"); err != nil {
		t.Error(err)
	}
}

func TestWindowsItemsOfOthersAreNotOurs(t *testing.T) {
	k := onWindows(t)
	if err := keyring.Set(k.service, "other", "PLANTED"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get() = %v, want ErrNotFound", err)
	}
	if err := k.Set(t.Context(), "other", nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Set() = %v, want ErrCorrupt", err)
	}
	if err := k.Delete(t.Context(), "other"); err != nil {
		t.Errorf("Delete() = %v", err)
	}
	if got, err := keyring.Get(k.service, "other"); err != nil || got != "PLANTED" {
		t.Errorf("the other program's item is %q, %v", got, err)
	}
	if err := keyring.Delete(k.service, "other"); err != nil {
		t.Error(err)
	}
}

func TestWindowsNetworkLogonIsUnavailable(t *testing.T) {
	err := classify(fmt.Errorf("reading: %w", errNoSuchLogonSession))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "interactive") {
		t.Errorf("error 1312 is %v", err)
	}
}

func BenchmarkWindowsSet(b *testing.B) {
	k := Open(Options{Service: "bench"})
	value := sized(2400, "abc")
	for b.Loop() {
		if err := k.Set(b.Context(), "item", value); err != nil {
			b.Fatal(err)
		}
	}
}
