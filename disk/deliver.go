package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Deliver puts b in place of path, a file that a person named: the old or the new
// content, never part of either, readable by its owner alone. Unlike Replace it
// needs no lock, many may write the same file at once. The folder must be there
// and be such that nobody else can write it, and what is in the file's place
// must be a plain file of ours; else it is an [*UnsafeError].
func Deliver(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := checkFolder(dir); err != nil {
		return err
	}
	if fi, err := os.Lstat(path); err == nil {
		if err := checkRegular(path, fi); err != nil {
			return err
		}
	}
	prefix := "." + filepath.Base(path) + ".keytray-"
	sweep(dir, prefix)
	temp := filepath.Join(dir, prefix+rand.Text()[:10])
	f, err := create(temp)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	err = writeSynced(f, b)
	if err == nil {
		err = rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(temp)))
	}
	return syncDir(dir)
}

func checkFolder(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at a folder: %w", err)
	}
	if !fi.IsDir() {
		return &UnsafeError{Path: dir, Reason: "is not a folder"}
	}
	err = checkOwner(dir, fi)
	if e, ok := errors.AsType[*UnsafeError](err); ok {
		e.Hint = "choose a folder that is yours and that nobody else can write"
	}
	return err
}

// abandoned is the age at which an unfinished file has no writer any more.
const abandoned = time.Minute

// sweep removes what killed writers left. A writer that was merely stopped for so
// long finds its file gone and fails.
func sweep(dir, prefix string) {
	entries, _ := os.ReadDir(dir) // the write will tell
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.Type().IsRegular() {
			continue
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(dir, e.Name())) // the next writer tries again
		}
	}
}
