//go:build !windows

package autostart

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// errNoHome is all that is said to somebody who has no home folder.
var errNoHome = errors.New("there is no home folder")

// maxFile is more than any file of the kinds that are read here.
const maxFile = 64 << 10

// read returns a file as the desktop will see it, through links. What is not a
// file, or is too long to be one of ours, is fs.ErrInvalid.
func read(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// replace puts text in place of path: the old or the new content, never part of
// either. A link in its place is replaced, not followed.
func replace(path, text string) error {
	if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
		if b, err := read(path); err == nil && bytes.Equal(b, []byte(text)) {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".keytray-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// remove removes path, or a link in its place; it is done if nothing is there.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
