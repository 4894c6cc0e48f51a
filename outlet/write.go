package outlet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

// Text is what a file is to hold: all of it, or of a program's shared file the
// members that are the login's.
type Text struct {
	Generation uint64
	Bytes      []byte
}

// Fetch brings the newest token of an outlet's login, in the outlet's format. It
// answers sink.ErrUnknownProfile if there is no such login any more, and any other
// error where that is not certain.
type Fetch func(ctx context.Context, o Outlet) (Text, error)

const (
	// lockWait is how long another writer of the same file is waited for: a holder
	// may have to wait for a renewal.
	lockWait = 2 * time.Minute
	// firstRest is the pause after a failure; it doubles up to longestRest.
	firstRest   = 5 * time.Second
	longestRest = 10 * time.Minute
)

// Add begins to keep a file current and writes it, in a folder that is made if it is
// not there. If that fails there is no new outlet.
func (l List) Add(ctx context.Context, o Outlet, fetch Fetch) error {
	if err := disk.Prepare(filepath.Dir(l.Dir), filepath.Base(l.Dir)); err != nil {
		return err
	}
	unlock, err := l.lock(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.save(o); err != nil {
		return err
	}
	err = disk.Prepare(filepath.Dir(o.Path))
	if err == nil {
		err = l.write(ctx, o, fetch)
	}
	if err != nil {
		_ = o.drop(context.WithoutCancel(ctx), l.Last(o)) // if it came so far; an error says that it did not
		return errors.Join(err, l.forget(o))
	}
	return nil
}

// Write brings a file up to date, one that All tells of, and notes what came of it.
// A file whose login is gone loses what is ours in it. Due, if there is one, is asked
// again under the lock whether there is still something to do.
func (l List) Write(ctx context.Context, o Outlet, due func(Outlet) bool, fetch Fetch) error {
	unlock, err := l.lock(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := l.read(l.file(o, suffix)); err != nil || now != o {
		return nil // taken off the list meanwhile
	}
	if due != nil && !due(o) {
		return nil
	}
	return l.write(ctx, o, fetch)
}

// Remove ends the keeping of a file and takes out of it what is ours. A program's
// own login in its place stays, which is no error; it is ErrChanged where nobody can
// tell whether something of ours is among what stays.
func (l List) Remove(ctx context.Context, o Outlet) error {
	unlock, err := l.lock(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	dropErr := o.drop(ctx, l.Last(o))
	switch {
	case isOwned(dropErr):
		dropErr = nil
	case dropErr != nil && !errors.Is(dropErr, ErrChanged):
		return dropErr
	}
	return errors.Join(dropErr, l.forget(o))
}

// Move lets the files follow logins that have moved to another state folder.
func (l List) Move(ctx context.Context, from, to string, moved []sink.Ref) error {
	all, err := l.All(from)
	for _, o := range all {
		if slices.Contains(moved, o.Login()) {
			err = errors.Join(err, l.move(ctx, o, to))
		}
	}
	return err
}

func (l List) move(ctx context.Context, o Outlet, to string) error {
	unlock, err := l.lock(ctx, o)
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := l.read(l.file(o, suffix)); err != nil || now != o {
		return err
	}
	o.Root = to
	return l.put(o)
}

// write is Write under the outlet's lock.
func (l List) write(ctx context.Context, o Outlet, fetch Fetch) error {
	last := l.Last(o)
	next, err := l.renew(ctx, o, last, fetch)
	if err != nil && ctx.Err() != nil {
		return err // that says nothing of the file
	}
	now := time.Now().UTC()
	if err != nil {
		next = l.Last(o) // which tells what may be in the file
		next.Error, next.Failures, next.Failed = oneLine(err), last.Failures+1, now
		next.Next = now.Add(min(firstRest<<min(last.Failures, 10), longestRest))
		return errors.Join(err, l.note(o, next))
	}
	next.At = now
	if fi, err := os.Lstat(o.Path); err == nil {
		next.Size, next.Changed = fi.Size(), fi.ModTime()
	}
	return l.note(o, next)
}

// renew writes the newest text and returns what the file has then. That the file
// may have it is noted before.
func (l List) renew(ctx context.Context, o Outlet, last Last, fetch Fetch) (Last, error) {
	text, err := fetch(ctx, o)
	if errors.Is(err, sink.ErrUnknownProfile) {
		err := o.drop(ctx, last)
		if isOwned(err) { // and so it has nothing of ours
			err = nil
		}
		return Last{SignedOut: true}, err
	}
	if err != nil {
		return last, err
	}
	mark, err := o.mark(text.Bytes)
	if err != nil {
		return last, err
	}
	both := last
	both.Mark = last.And(mark)
	if err := l.note(o, both); err != nil {
		return last, err
	}
	return Last{Generation: text.Generation, Mark: mark}, o.put(ctx, text.Bytes, last.Mark)
}

func (o Outlet) mark(text []byte) (client.Mark, error) {
	if client.Shared(o.Format) {
		return client.Source{Program: o.Format, Path: o.Path}.Mark(text)
	}
	return client.Mark{Sums: []string{sum(text)}}, nil
}

// put writes the file, under the locks of its program. A folder that somebody removed
// is not made again.
func (o Outlet) put(ctx context.Context, text []byte, last client.Mark) error {
	if _, err := os.Stat(filepath.Dir(o.Path)); err != nil {
		return fmt.Errorf("looking for its folder: %w", err)
	}
	if err := disk.Prepare(filepath.Dir(o.Path)); err != nil {
		return err
	}
	if client.Shared(o.Format) {
		return client.Source{Program: o.Format, Path: o.Path}.Put(ctx, text, last)
	}
	old, err := disk.Read(o.Path, limit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case bytes.Equal(old, text):
		return nil
	case !slices.Contains(last.Sums, sum(old)) && client.Renews(old): // its program has signed in
		return &client.OwnedError{Program: o.Format, Path: o.Path}
	case len(last.Sums) == 0: // never written by us
		return fmt.Errorf("%s: %w", o.Path, sink.ErrFileExists)
	}
	return o.replace(text)
}

func (o Outlet) replace(text []byte) error {
	if err := disk.Reserve(o.temp(), len(text)); err != nil {
		return err
	}
	if err := disk.Fill(o.temp(), o.Path, text); err != nil {
		return errors.Join(err, disk.Remove(o.temp()))
	}
	return nil
}

// temp is the new file before it takes the old one's place. It is ours alone, so
// that what a killed writer left is known.
func (o Outlet) temp() string {
	return filepath.Join(filepath.Dir(o.Path), "."+filepath.Base(o.Path)+".keytray-sync")
}

// drop takes what is ours out of the file.
func (o Outlet) drop(ctx context.Context, last Last) error {
	if len(last.Sums) == 0 {
		return nil
	}
	if client.Shared(o.Format) {
		return client.Source{Program: o.Format, Path: o.Path}.Drop(ctx, last.Mark)
	}
	if _, err := os.Lstat(o.temp()); err == nil {
		if err := disk.Remove(o.temp()); err != nil {
			return err
		}
	}
	old, err := disk.Read(o.Path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(last.Sums, sum(old)):
		return disk.Remove(o.Path)
	case client.Renews(old):
		return &client.OwnedError{Program: o.Format, Path: o.Path}
	default:
		return fmt.Errorf("%s: %w", o.Path, ErrChanged)
	}
}

// lock takes the outlet's own lock.
func (l List) lock(ctx context.Context, o Outlet) (unlock func(), err error) {
	if err := disk.Prepare(l.Place); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, sink.ErrBusy)
	defer cancel()
	if unlock, err = disk.Lock(ctx, l.lockFile(o)); err != nil {
		return nil, fmt.Errorf("locking %s: %w", o.Path, err)
	}
	return unlock, nil
}

func isOwned(err error) bool {
	_, ok := errors.AsType[*client.OwnedError](err)
	return ok
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
