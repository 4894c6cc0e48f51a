// Package disk reads and writes files of ours as they must be: whole or not at all,
// there after a loss of power, plain, and writable by nobody else. What Replace,
// Fill, Deliver and Remove did when they returned nil survives a loss of power. Its
// locks keep processes apart, on file systems where locks do that.
//
// It does not know what is in a file, nor in which order locks are taken.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// UnsafeError is a file or folder that is not as Keytray must have it: not
// ours, open to others, a link. It is left as it is.
type UnsafeError struct{ Path, Reason, Hint string }

func (e *UnsafeError) Error() string { return e.Path + " " + e.Reason }

// Prepare makes the folder base, which may be a link, and the real folders below it,
// and refuses any that others could write.
func Prepare(base string, below ...string) error {
	if err := ensureDir(base); err != nil {
		return err
	}
	for _, name := range below {
		base = filepath.Join(base, name)
		if err := ensureRealDir(base); err != nil {
			return err
		}
	}
	return nil
}

// ensureDir makes dir and its parents, 0700, and checks dir itself: a folder,
// ours, writable by nobody else. It may be a link.
func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at a folder: %w", err)
	}
	return checkOwner(dir, fi)
}

// ensureRealDir makes one folder, 0700, and refuses a link in its place.
func ensureRealDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making a folder: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at a folder: %w", err)
	}
	if !fi.IsDir() {
		return &UnsafeError{Path: dir, Reason: "is not a real folder", Hint: "replace it by a folder of its own"}
	}
	return checkOwner(dir, fi)
}

// checkRegular reports whether fi, from an Lstat of path, is a plain file of
// ours that nobody else can write.
func checkRegular(path string, fi fs.FileInfo) error {
	if fi.Mode()&fs.ModeSymlink != 0 {
		return &UnsafeError{Path: path, Reason: "is a symbolic link", Hint: "replace it by the file it points to"}
	}
	if !fi.Mode().IsRegular() {
		return &UnsafeError{Path: path, Reason: "is not a regular file"}
	}
	return checkOwner(path, fi)
}

// Read returns a whole file of at most limit bytes; fs.ErrNotExist if there is none.
// It reads through a handle that is known to be a plain
// file of ours, and never waits on a FIFO.
func Read(path string, limit int64) ([]byte, error) {
	f, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &UnsafeError{Path: path, Reason: fmt.Sprintf("is larger than %d bytes", limit)}
	}
	return b, nil
}

// openTries is how often a file may be replaced in the moment of its opening.
const openTries = 100

// openPlain opens a plain file of ours. Others replace files by a rename at any
// moment: what was looked at and what was opened may then be two, of which each
// is good.
func openPlain(path string) (*os.File, error) {
	for range openTries {
		fi, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		if err := checkRegular(path, fi); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
		if err != nil {
			return nil, err
		}
		if now, err := f.Stat(); err == nil && os.SameFile(fi, now) {
			return f, nil
		}
		_ = f.Close() // nothing was written
	}
	return nil, &UnsafeError{Path: path, Reason: "is replaced each time that it is opened"}
}

// Replace puts b in place of path: the old or the new content, never part of either,
// by a new file, fsync, rename, and fsync of the folder. A link or a special file in
// its place is refused. The caller holds the lock under which path is written.
func Replace(path string, b []byte) error {
	// One name is enough, and clears away what a killed writer left.
	return ReplaceBy(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp"), path, b)
}

// ReplaceBy is Replace for a caller who holds no lock: the new file has a name of
// its own, in the same folder, until it takes its place.
func ReplaceBy(temp, path string, b []byte) error {
	if fi, err := os.Lstat(path); err == nil {
		if err := checkRegular(path, fi); err != nil {
			return err
		}
	}
	f, err := create(temp)
	if err != nil {
		return err
	}
	if err := writeSynced(f, b); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

// create makes a new file of ours, in place of whatever had its name.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNoFollow, 0o600)
}

func writeSynced(f *os.File, b []byte) error {
	_, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Reserve makes path a file of size bytes that really lie on the disk.
func Reserve(path string, size int) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	if err := writeSynced(f, make([]byte, size)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Fill writes b into the room of reserved and renames it to path, asking the disk for
// no more room.
func Fill(reserved, path string, b []byte) error {
	f, err := os.OpenFile(reserved, os.O_WRONLY|openNoFollow, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Truncate(int64(len(b)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := rename(reserved, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Remove removes what is there of paths, all in one folder.
func Remove(paths ...string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(filepath.Dir(paths[0]))
}

// Exists reports whether there is anything at path, be it a link to nowhere.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Ending are the paths of what dir has under names that end so, none if there is no
// such folder.
func Ending(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// Resolved is dir without links, so that two ways to one folder are one.
func Resolved(dir string) string {
	if r, err := filepath.EvalSymlinks(dir); err == nil {
		return r
	}
	return dir
}

// SameFolder reports whether two paths lead to one folder.
func SameFolder(a, b string) bool { return Resolved(a) == Resolved(b) }
