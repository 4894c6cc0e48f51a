package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// TryLock makes one attempt at the lock of the file at path. It returns nil and no
// error if somebody else holds it. Each attempt has a Flock of its own: the
// library's type is re-entrant. A file that was replaced under the lock, or
// that is not a plain file of ours, is none; nor is one on a network file
// system, where a lock may keep nobody out.
func TryLock(path string) (unlock func(), err error) {
	if err := CheckLocal(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if fi, err := os.Lstat(path); err == nil {
		if err := checkRegular(path, fi); err != nil {
			return nil, err
		}
	}
	l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|openNoFollow), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil || !ok {
		return nil, errors.Join(err, l.Close())
	}
	held, err := l.Stat()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !os.SameFile(held, there)) {
		return nil, l.Close()
	}
	if err == nil {
		err = checkRegular(path, there)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return func() { _ = l.Close() }, nil // the kernel frees it in any case
}

// lockPoll is the pause between two attempts.
const lockPoll = 30 * time.Millisecond

// Lock makes attempts until one succeeds or ctx ends, the cause of which is the
// error then.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		unlock, err := TryLock(path)
		if err != nil || unlock != nil {
			return unlock, err
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// noteOffset leaves the first byte alone: on Windows it is the locked one, and
// nobody else can read or write it.
const noteOffset = 1

// noteLimit is how much of a note is read, bytes.
const noteLimit = 4096

// LockNote is what the holder of a lock wrote into its file: text that others may
// read, and whose end may be part of an older one while it is written.
func LockNote(path string) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, noteOffset, noteLimit))
	if err != nil {
		return nil
	}
	return b
}

// WriteLockNote writes one, which the holder may. It overwrites in place, since the
// inode must stay.
func WriteLockNote(path string, note []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|openNoFollow, 0o600)
	if err != nil {
		return err
	}
	note = append(note, '\n')
	_, err = f.WriteAt(note, noteOffset)
	if err == nil {
		err = f.Truncate(noteOffset + int64(len(note)))
	}
	return errors.Join(err, f.Close())
}
