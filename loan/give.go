package loan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// mover gives the real home what a program made new in the private one.
type mover struct {
	since time.Time
	mark  string
	skip  func(name string) bool
	aside []string
}

// give moves what is new in the folder from to the folder to.
func (m *mover) give(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !m.skip(e.Name()) {
			errs = append(errs, m.entry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// entry moves one entry, unless it is a link to the real one.
func (m *mover) entry(from, to string) error {
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if target, err := os.Readlink(from); err == nil && target == to {
		return nil
	}
	if fi.Mode()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0 {
		return os.Remove(from) // of use to the program that ran, and to nobody else
	}
	there, err := os.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return move(from, to)
	}
	if err != nil {
		return err
	}
	switch {
	case os.SameFile(fi, there): // a hard link, where the system has no other
		return nil
	case fi.IsDir() && there.IsDir():
		inner := mover{since: m.since, mark: m.mark, skip: func(string) bool { return false }}
		err := inner.give(from, to)
		m.aside = append(m.aside, inner.aside...)
		if err != nil {
			return err
		}
		return os.RemoveAll(from) // of folders
	case fi.Mode()&fs.ModeSymlink != 0:
		return os.Remove(from)
	case fi.Mode().IsRegular() && there.Mode()&fs.ModeSymlink != 0:
		if target, err := filepath.EvalSymlinks(to); err == nil {
			return m.entry(from, target)
		}
	case fi.Mode().IsRegular() && there.Mode().IsRegular() && !there.ModTime().After(m.since):
		return move(from, to) // the program replaced the link, and nobody the file
	}
	to += ".keytray-" + m.mark
	m.aside = append(m.aside, to)
	return move(from, to)
}

// move renames, or copies what lies on another file system and removes it here, for
// what stayed would hide the real one from the next run, and at its end replace it.
func move(from, to string) error {
	if err := os.Rename(from, to); err == nil {
		return nil
	}
	if err := copyEntry(from, to); err != nil {
		return err
	}
	return os.RemoveAll(from)
}

func copyEntry(from, to string) error {
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	switch {
	case fi.IsDir():
		return copyFolder(from, to, fi)
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case fi.Mode().IsRegular():
		return copyFile(from, to, fi)
	}
	return nil
}

func copyFolder(from, to string, fi fs.FileInfo) error {
	if err := os.Mkdir(to, fi.Mode().Perm()); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyEntry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies to a new file, which takes its place when it is whole.
func copyFile(from, to string, fi fs.FileInfo) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.CreateTemp(filepath.Dir(to), ".keytray-")
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	err = errors.Join(err, dst.Close())
	if err == nil {
		err = os.Chmod(dst.Name(), fi.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(dst.Name(), to)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("copying %s: %w", from, err), os.Remove(dst.Name()))
	}
	return nil
}
