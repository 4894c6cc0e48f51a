package sealed_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/secret"
)

func newKey(tb testing.TB) sealed.Key {
	tb.Helper()
	k, err := sealed.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// TestAKeyComesBackFromItsFile, in clear and locked; the locked one shows nothing
// and takes no other passphrase.
func TestAKeyComesBackFromItsFile(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for _, passphrase := range []secret.Text{{}, secret.New("correct horse")} {
		if testing.Short() && !passphrase.Empty() {
			t.Skip("scrypt takes a second each time")
		}
		file, err := k.File(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		if locked := sealed.Locked(file); locked == passphrase.Empty() || locked == bytes.Contains(file, []byte("AGE-SECRET-KEY-")) {
			t.Errorf("locked: %v, with a passphrase: %v", locked, !passphrase.Empty())
		}
		if again, err := sealed.ParseKey(file, passphrase); err != nil || again.Public() != k.Public() {
			t.Fatalf("ParseKey = %q, %v, want %q", again.Public(), err, k.Public())
		}
		if passphrase.Empty() {
			continue
		}
		for _, wrong := range []secret.Text{{}, secret.New("wrong horse")} {
			if _, err := sealed.ParseKey(file, wrong); !errors.Is(err, sealed.ErrPassphrase) {
				t.Errorf("with a wrong passphrase: %v, want %v", err, sealed.ErrPassphrase)
			}
		}
	}
}

func TestABoxOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	box, err := k.Box("a b", []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	for _, label := range []string{"a", "a b ", "", "a b c"} {
		if _, err := k.Unbox(label, box); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("label %q: %v, want %v", label, err, sealed.ErrDamaged)
		}
	}
	if _, err := newKey(t).Unbox("a b", box); !errors.Is(err, sealed.ErrNotForUs) {
		t.Errorf("another key: %v, want %v", err, sealed.ErrNotForUs)
	}
}

// TestWhatAnybodyCanSealIsNoBox: the recipient may be known; what is sealed for it
// with age alone is not taken for ours.
func TestWhatAnybodyCanSealIsNoBox(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	forged := sealFor(t, k.Public(), append(make([]byte, 32), "evil"...))
	if _, err := k.Unbox("item", forged); !errors.Is(err, sealed.ErrDamaged) {
		t.Errorf("a box that age sealed: %v, want %v", err, sealed.ErrDamaged)
	}
}

// TestErrorsQuoteNoKey: a key in the wrong place must not end in a log.
func TestErrorsQuoteNoKey(t *testing.T) {
	t.Parallel()
	file, err := newKey(t).File(secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(file[bytes.Index(file, []byte("AGE-SECRET")):]))
	for _, bad := range []string{key[:40], "x" + key, key + "x", key + "\n" + key, "-----BEGIN OPENSSH PRIVATE KEY-----\n" + key} {
		_, err := sealed.ParseKey([]byte(bad), secret.Text{})
		_, idErr := sealed.Identities([]byte(bad), secret.Text{})
		if err == nil || strings.Contains(errors.Join(err, idErr).Error(), key[15:30]) {
			t.Errorf("%v and %v, want an error without the key", err, idErr)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	ssh := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@example.com"
	if r, err := sealed.ParseAddress([]string{newKey(t).Public(), ssh}); err != nil || !strings.HasSuffix(r.String(), "…, ssh-ed25519 …HtZ6isGN alice@example.com") {
		t.Errorf("ParseAddress = %s, %v", r, err)
	}
	for _, bad := range []string{"", "age1", "age1xyz", "ssh-rsa AAAA", "AGE-SECRET-KEY-1", "file.txt", ssh[:40]} {
		if _, err := sealed.ParseAddress([]string{bad}); !errors.Is(err, sealed.ErrRecipient) {
			t.Errorf("%q: %v, want %v", bad, err, sealed.ErrRecipient)
		}
	}
}

// BenchmarkPassphrase is what a locked identity costs each process.
func BenchmarkPassphrase(b *testing.B) {
	file, err := newKey(b).File(secret.New("correct horse"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := sealed.ParseKey(file, secret.New("correct horse")); err != nil {
			b.Fatal(err)
		}
	}
}
