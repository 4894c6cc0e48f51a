package keychain_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain"
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

func values() map[string][]byte {
	return map[string][]byte{
		"empty":     {},
		"text":      []byte(`{"v":1,"rt":"rt_abc","note":"ümlaut \u2028 'quotes' \"and\" \\ $HOME"}`),
		"lines":     []byte("a\r\nb\n\n"),
		"spaces":    []byte("  padded  "),
		"nul":       []byte("a\x00b"),
		"binary":    {0xff, 0xfe, 0, 1, 2},
		"own mark":  []byte("kt1t:kt1b"),
		"go-prefix": []byte("go-keyring-base64:AAAA"),
		"2400":      bytes.Repeat([]byte("x"), 2400),
		"max":       bytes.Repeat([]byte{0xff}, keychain.MaxValue),
	}
}

func TestWhatIsSetIsGot(t *testing.T) {
	gnome(t)
	k := open(t)
	for name, value := range values() {
		t.Run(name, func(t *testing.T) {
			if err := k.Set(t.Context(), "item", value); err != nil {
				t.Fatal(err)
			}
			got, err := k.Get(t.Context(), "item")
			if err != nil || !bytes.Equal(got, value) {
				t.Errorf("Get() = %.80q, %v", got, err)
			}
		})
	}
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, keychain.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get() after Delete: %v, want ErrNotFound", err)
	}
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Errorf("Barrier() = %v", err)
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
