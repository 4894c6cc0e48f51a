package sink

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// newRootID names a state root for good: 128 random bits.
func newRootID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: crypto/rand crashes the program instead
	return hex.EncodeToString(b)
}

// profileKey is the name under which a profile's items and files are kept. It
// is computed at the first login and read from the index ever after.
func profileKey(rootID, agent, id string) string {
	s := sha256.Sum256([]byte(rootID + "\x00" + agent + "\x00" + id))
	return hex.EncodeToString(s[:])
}

// The names of keychain items: hashes and words in [a-z0-9._-], never a
// person's data, because some keychains show names while locked.

func rootItem(resolvedDir string) string {
	s := sha256.Sum256([]byte(resolvedDir))
	return "root." + hex.EncodeToString(s[:])
}

func indexItem(rootID string, page int) string { return rootID + ".index." + strconv.Itoa(page) }
func slotItem(key string, g uint64) string     { return key + ".slot." + parity(g) }
func accessItem(key string, g uint64) string   { return key + ".at." + parity(g) }

// clientItem is where a client's own secret lies: one for each client of a token
// endpoint, whatever the root, so that it is never sent to another.
func clientItem(p Pin) string {
	s := sha256.Sum256([]byte(p.Issuer + "\x00" + p.Client + "\x00" + p.TokenEndpoint))
	return "client." + hex.EncodeToString(s[:])
}

func parity(g uint64) string { return strconv.FormatUint(g%2, 10) }

// validKey reports whether s, read from a file that others may write, is a key
// or root id of ours: n lower-case hexadecimal digits.
func validKey(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
