package openclaw

import (
	"errors"
	"io/fs"
	"os"
)

// trusted: OpenClaw looks at the access list, which the person's folder hands down.
func trusted(fs.FileInfo) bool { return true }

// replace moves a running program out of the way first: it cannot be replaced,
// but it can be renamed.
func replace(from, to string) error {
	old := to + ".old"
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(to, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
