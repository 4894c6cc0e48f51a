package keychain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keytray/keytray/keychain"
)

// TestErrorsShowNoLongName: a person sees the item only where the error is about one.
func TestErrorsShowNoLongName(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0123456789abcdef", 4)
	for name, want := range map[string]string{
		"root." + hash:   "reading root.012345…: keychain item is damaged",
		hash + ".slot.0": "reading 012345….slot.0: keychain item is damaged",
	} {
		if got := keychain.About("reading", name, keychain.ErrCorrupt); got.Error() != want || !errors.Is(got, keychain.ErrCorrupt) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, err := range []error{keychain.ErrLocked, keychain.ErrUnavailable, keychain.ErrDismissed} {
		if got := keychain.About("reading", hash, err); got.Error() != err.Error() {
			t.Errorf("%q, want %q", got, err)
		}
	}
}
