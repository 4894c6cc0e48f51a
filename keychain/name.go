package keychain

import (
	"fmt"
	"strings"
)

// maxName leaves room for the suffix of a part.
const maxName = 100

// CheckName refuses what some system reads in another way than it was meant:
// Windows folds case and joins service and name by a colon, the macOS tool
// takes quotes and newlines for its own, D-Bus wants UTF-8.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return fmt.Errorf("keychain name %.120q: want 1 to %d of a-z, 0-9, dot, underscore, hyphen", name, maxName)
	}
	return nil
}

// checkName refuses the names of parts as well.
func checkName(service, name string) error {
	for _, s := range []string{service, name} {
		if err := CheckName(s); err != nil {
			return err
		}
	}
	if isPartName(name) {
		return fmt.Errorf("keychain name %q: names ending like this are for the parts of a value", name)
	}
	return nil
}

// Brief is a name as an error shows it: hashes are long, and their first digits
// tell two of them apart.
func Brief(name string) string {
	hash, rest, ok := strings.Cut(name, ".")
	if len(hash) > 8 {
		hash = hash[:6] + "…"
	}
	if !ok {
		return hash
	}
	return hash + "." + rest
}
