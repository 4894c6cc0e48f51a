package openclaw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/disk"
)

// OpenClaw runs a resolver only if it is a file, not a link, of the person's own
// that nobody else may write. A package installs no such file, so each person
// gets a copy of the program.

// Resolver is the path of a person's copy, below the platform's folder for data.
func Resolver(data string) string {
	return filepath.Join(data, "keytray", "bin", Executable("keytray"))
}

// Install makes or renews the copy of self; changed is false if it was right.
// Who runs the old one goes on with it.
func Install(self, data string) (changed bool, err error) {
	fail := func(err error) error { return fmt.Errorf("installing the resolver: %w", err) }
	to := Resolver(data)
	if why, err := Wrong(self, data); why == "" {
		if err != nil {
			return false, fail(err)
		}
		return false, nil
	}
	if err := disk.Prepare(data, "keytray", "bin"); err != nil {
		return false, fail(err)
	}
	in, err := os.Open(self)
	if err != nil {
		return false, fail(err)
	}
	defer in.Close()
	temp := to + ".new"
	if err := copyTo(temp, in); err != nil {
		return false, fail(errors.Join(err, os.Remove(temp)))
	}
	if err := replace(temp, to); err != nil {
		return false, fail(errors.Join(err, os.Remove(temp)))
	}
	return true, nil
}

// copyTo writes a program that only its owner may change.
func copyTo(path string, in io.Reader) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700) //nolint:gosec // a program
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o755)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// Wrong says what is wrong with the copy, in some words; empty if nothing is. The
// error is one of reading self, of which nothing follows for the copy.
func Wrong(self, data string) (why string, err error) {
	path := Resolver(data)
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing", nil
	case err != nil:
		return "cannot be looked at", nil //nolint:nilerr // the answer is in words
	case !fi.Mode().IsRegular():
		return "is not a plain file", nil
	case !trusted(fi):
		return "does not have the owner and the mode that OpenClaw asks for", nil
	}
	same, err := sameContent(self, path)
	if err == nil && !same {
		why = "is another version than this"
	}
	return why, err
}

// sameContent compares two files. The second one not being readable makes it
// another.
func sameContent(a, b string) (bool, error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false, nil // it is to be replaced
	}
	defer y.Close()
	var p, q [64 << 10]byte
	for {
		n, err := io.ReadFull(x, p[:])
		m, err2 := io.ReadFull(y, q[:])
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if err != nil || err2 != nil {
			return atEnd(err) && atEnd(err2), nil
		}
	}
}

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
