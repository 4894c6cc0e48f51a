package disk

import (
	"errors"
	"io/fs"
	"os"
)

// Check looks at one path; one that is not there is well.
func Check(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return checkOwner(path, fi)
	}
	return checkRegular(path, fi)
}

// Tighten takes from others the right to write path, through a handle: what
// stands there under that name may change at any moment as long as they can.
func Tighten(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Chmod(fi.Mode().Perm() &^ 0o022)
}
