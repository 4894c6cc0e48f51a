package keychain

import (
	"errors"
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

// About adds to an error what was being done with which item. One of the whole
// keychain stays as it is: the item, of which no person has heard, says nothing.
func About(doing, name string, err error) error {
	for _, whole := range []error{ErrLocked, ErrUnavailable, ErrDismissed} {
		if errors.Is(err, whole) {
			return err
		}
	}
	return fmt.Errorf("%s %s: %w", doing, brief(name), err)
}

// brief is a name as an error shows it: hashes are long, and their first digits
// tell two of them apart.
func brief(name string) string {
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if len(label) > 8 {
			labels[i] = label[:6] + "…"
		}
	}
	return strings.Join(labels, ".")
}
