package sink

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

// readFile reads a whole file of at most limit bytes through a handle that is
// known to be a plain file of ours. A missing file is fs.ErrNotExist.
func readFile(path string, limit int64) ([]byte, error) {
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
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(fi, now) {
		return nil, &UnsafeError{Path: path, Reason: "was replaced while it was opened"}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &UnsafeError{Path: path, Reason: fmt.Sprintf("is larger than %d bytes", limit)}
	}
	return b, nil
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// replaceFile puts b in place of path so that a crash leaves the old file or
// the new one: a new file, fsync, rename, fsync of the folder. A link or a
// special file in its place is refused.
func replaceFile(path string, b []byte) error {
	if fi, err := os.Lstat(path); err == nil {
		if err := checkRegular(path, fi); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	if err := writeSynced(f, b); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func tempPrefix(path string) string { return "." + filepath.Base(path) + ".tmp-" }

// sweepTemps removes what a killed writer of path left behind. The caller holds
// the lock under which path is written.
func sweepTemps(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix(path)) {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name())) // the next sweep tries again
		}
	}
}

func writeSynced(f *os.File, b []byte) error {
	_, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// reserveFile makes path a file of size bytes that really lie on the disk.
func reserveFile(path string, size int) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openNoFollow, 0o600)
	if err != nil {
		return err
	}
	if err := writeSynced(f, make([]byte, size)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// fillReserved writes b into the room of reserved and renames it to path. No
// new room is asked of the disk.
func fillReserved(reserved, path string, b []byte) error {
	if len(b) > journalSize {
		return fmt.Errorf("%d bytes do not fit the reserved %d", len(b), journalSize)
	}
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

// removeFiles removes what is there of paths, all in one folder, and makes the
// removal durable.
func removeFiles(paths ...string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(filepath.Dir(paths[0]))
}

func renameFile(from, to string) error {
	if err := rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}
