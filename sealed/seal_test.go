package sealed_test

import (
	"bytes"
	"testing"

	"filippo.io/age"
)

// sealFor seals with age alone, as anybody can who knows the recipient.
func sealFor(tb testing.TB, recipient string, plain []byte) []byte {
	tb.Helper()
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}
