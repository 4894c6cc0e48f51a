package keychaintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// Store is what a keychain is to its callers.
type Store interface {
	Get(ctx context.Context, name string) ([]byte, error)
	Set(ctx context.Context, name string, value []byte) error
	Delete(ctx context.Context, name string) error
	Barrier(ctx context.Context) error
}

// MaxValue is the size of the largest value that every keychain takes.
const MaxValue = 48 << 10

// Values are such as a keychain may spoil.
func Values() map[string][]byte {
	return map[string][]byte{
		"empty":     {},
		"text":      []byte(`{"v":1,"rt":"rt_abc","note":"ümlaut \u2028 'quotes' \"and\" \\ $HOME"}`),
		"lines":     []byte("a\r\nb\n\n"),
		"spaces":    []byte("  padded  "),
		"nul":       []byte("a\x00b"),
		"binary":    {0xff, 0xfe, 0, 1, 2},
		"own mark":  []byte("kt1t:kt1b"),
		"go-prefix": []byte("go-keyring-base64:AAAA"),
		"age":       []byte("age-encryption.org/v1\n"),
		"2400":      bytes.Repeat([]byte("x"), 2400),
		"max":       bytes.Repeat([]byte{0xff}, MaxValue),
	}
}

// Contract tests what every keychain promises. Open gives one more way into an
// empty keychain, each time to the same one.
func Contract(t *testing.T, open func() Store) {
	t.Helper()
	t.Run("what is set is got", func(t *testing.T) { getsWhatIsSet(t, open) })
	t.Run("what is not there", func(t *testing.T) { knowsWhatIsNotThere(t, open()) })
	t.Run("names are checked", func(t *testing.T) { checksNames(t, open()) })
	t.Run("neighbours stay", func(t *testing.T) { leavesNeighbours(t, open()) })
	t.Run("too big", func(t *testing.T) { refusesTooMuch(t, open()) })
	t.Run("many at once", func(t *testing.T) { servesMany(t, open) })
}

func getsWhatIsSet(t *testing.T, open func() Store) {
	t.Helper()
	for name, want := range Values() {
		if err := open().Set(t.Context(), "item", want); err != nil {
			t.Errorf("%s: Set: %v", name, err)
			continue
		}
		if got, err := open().Get(t.Context(), "item"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: Get = %d bytes, %v, want %d bytes", name, len(got), err, len(want))
		}
	}
	if err := open().Delete(t.Context(), "item"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := open().Get(t.Context(), "item"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get after Delete: %v, want %v", err, fs.ErrNotExist)
	}
}

func knowsWhatIsNotThere(t *testing.T, k Store) {
	t.Helper()
	if _, err := k.Get(t.Context(), "absent"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Get: %v, want %v and nothing else", err, fs.ErrNotExist)
	}
	if err := k.Delete(t.Context(), "absent"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Errorf("Barrier: %v", err)
	}
}

func checksNames(t *testing.T, k Store) {
	t.Helper()
	for _, name := range []string{"", "A", "a/b", "../a", "a b", "a\n", "ä", "a\x00", strings.Repeat("a", 101)} {
		_, err := k.Get(t.Context(), name)
		if err == nil || errors.Is(err, fs.ErrNotExist) || k.Set(t.Context(), name, nil) == nil || k.Delete(t.Context(), name) == nil {
			t.Errorf("the name %.20q passes (Get: %v)", name, err)
		}
	}
	long := strings.Repeat("a", 100)
	if err := errors.Join(k.Set(t.Context(), long, nil), k.Delete(t.Context(), long)); err != nil {
		t.Errorf("a name of 100 bytes: %v", err)
	}
}

func leavesNeighbours(t *testing.T, k Store) {
	t.Helper()
	names := []string{"x", "x.0", "x.1", "x.00", "x-0", "x."}
	for _, name := range names {
		if err := k.Set(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	for i, gone := range names {
		if err := k.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		for _, name := range names[i+1:] {
			if got, err := k.Get(t.Context(), name); err != nil || string(got) != name {
				t.Errorf("after Delete(%q): Get(%q) = %q, %v", gone, name, got, err)
			}
		}
	}
}

func refusesTooMuch(t *testing.T, k Store) {
	t.Helper()
	if err := k.Set(t.Context(), "big", []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), "big", make([]byte, MaxValue+1)); err == nil {
		t.Error("more than MaxValue was stored")
	}
	if got, err := k.Get(t.Context(), "big"); string(got) != "before" {
		t.Errorf("after a refused Set: %q, %v", got, err)
	}
	if err := k.Delete(t.Context(), "big"); err != nil {
		t.Error(err)
	}
}

func servesMany(t *testing.T, open func() Store) {
	t.Helper()
	errs := make(chan error)
	for i := range 20 {
		go func() { // ends with its one answer
			k, name, value := open(), fmt.Sprintf("many%d", i), []byte(strings.Repeat("x", i))
			err := k.Set(t.Context(), name, value)
			got, getErr := k.Get(t.Context(), name)
			if !bytes.Equal(got, value) {
				err = errors.Join(err, fmt.Errorf("%s: got %d bytes of %d", name, len(got), i))
			}
			errs <- errors.Join(err, getErr, k.Delete(t.Context(), name))
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
