package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// ErrBusy means that another process works on the profile and did not finish
// in time; trying again later is right.
var ErrBusy = errors.New("another process is using this login")

const (
	// lockWait is how long anyone waits for a profile's lock. It is longer than
	// a holder may need: a request of 30 s and 20 s of keychain retries.
	lockWait = 100 * time.Second
	pollMin  = 40 * time.Millisecond
	pollMax  = 160 * time.Millisecond
)

// Locker keeps processes apart. The real one is [RealLocker]; there is another
// for simulation.
type Locker interface {
	// TryLock makes one attempt. It returns nil and no error if somebody else
	// holds the lock.
	TryLock(path string) (unlock func(), err error)
	// Body reads what the lock file says, WriteBody changes it while the lock is
	// held. Nothing readable is the zero body.
	Body(path string) LockBody
	WriteBody(path string, b LockBody) error
	// Self is this process, Lives reports whether p certainly runs.
	Self() Process
	Lives(p Process) bool
}

// LockBody is what a lock file says about its holder, and the number of logouts
// that the profile has seen. Only the epoch is ever decided upon.
type LockBody struct {
	Epoch  uint64  `json:"epoch"`
	Holder Process `json:"holder,omitzero"`
}

// RealLocker locks files.
type RealLocker struct{}

// Self implements [Locker].
func (RealLocker) Self() Process { return self() }

// Lives implements [Locker].
func (RealLocker) Lives(p Process) bool { return p.lives() }

// semaphores keep the goroutines of one process apart: a file lock is held by
// the process. Channels, not mutexes, so that waiting obeys a context.
type semaphores struct {
	// free holds the map when nobody uses it.
	free chan map[string]chan struct{}
}

func newSemaphores() semaphores {
	s := semaphores{make(chan map[string]chan struct{}, 1)}
	s.free <- map[string]chan struct{}{}
	return s
}

func (s semaphores) of(path string) chan struct{} {
	m := <-s.free
	defer func() { s.free <- m }()
	if m[path] == nil {
		m[path] = make(chan struct{}, 1)
	}
	return m[path]
}

// errServed ends a wait for a lock because the caller needs it no more.
var errServed = errors.New("served while waiting for the lock")

// lock takes the lock at path, between goroutines and between processes, and
// returns the function that gives it back. While it waits it asks served, if
// there is one, and ends with errServed when that says yes. After 100 s it
// ends with ErrBusy.
//
// Lock files are files of their own. They are never deleted, because two
// processes could then hold "the" lock on two inodes.
func (s *Store) lock(ctx context.Context, path string, served func() bool) (unlock func(), err error) {
	deadline := time.Now().Add(lockWait)
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, ErrBusy)
	defer cancel()
	sem := s.semaphores.of(path)
	for {
		select {
		case sem <- struct{}{}:
			unlock, err := s.lockFile(ctx, path, served)
			if err != nil {
				<-sem
				return nil, err
			}
			return func() { unlock(); <-sem }, nil
		case <-time.After(s.dice.jitter()):
			if served != nil && served() {
				return nil, errServed
			}
		case <-ctx.Done():
			return nil, s.busy(ctx, path)
		}
	}
}

func (s *Store) lockFile(ctx context.Context, path string, served func() bool) (unlock func(), err error) {
	for {
		unlock, err := s.locker.TryLock(path)
		if err != nil {
			return nil, fmt.Errorf("locking: %w", err)
		}
		if unlock != nil {
			return unlock, nil
		}
		select {
		case <-time.After(s.dice.jitter()):
		case <-ctx.Done():
			return nil, s.busy(ctx, path)
		}
		if served != nil && served() {
			return nil, errServed
		}
	}
}

// TryLock implements [Locker], with a Flock of its own for each attempt: the
// library's type is re-entrant. A file that was replaced under the lock, or
// that is not a plain file of ours, is none; nor is one on a network file
// system, where a lock may keep nobody out.
func (RealLocker) TryLock(path string) (unlock func(), err error) {
	if err := checkLocal(filepath.Dir(path)); err != nil {
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

// busy says why a wait ended: the caller's context, or a holder, by number if
// the file tells.
func (s *Store) busy(ctx context.Context, path string) error {
	if !errors.Is(context.Cause(ctx), ErrBusy) {
		return context.Cause(ctx)
	}
	switch h := s.locker.Body(path).Holder; {
	case h.PID == 0:
		return ErrBusy
	case h.stopped():
		return fmt.Errorf("%w (process %d, which is stopped)", ErrBusy, h.PID)
	default:
		return fmt.Errorf("%w (process %d)", ErrBusy, h.PID)
	}
}

// dice are the store's own, so that a simulation can repeat what it saw.
type dice struct {
	// mu guards r.
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) jitter() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return pollMin + time.Duration(d.r.Int64N(int64(pollMax-pollMin)))
}

// bodyOffset leaves the first byte alone: on Windows it is the locked one, and
// nobody else can read or write it.
const bodyOffset = 1

// Body implements [Locker].
func (RealLocker) Body(path string) LockBody {
	f, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return LockBody{}
	}
	defer f.Close()
	var b LockBody
	if json.NewDecoder(io.NewSectionReader(f, bodyOffset, 4096)).Decode(&b) != nil {
		return LockBody{}
	}
	return b
}

// WriteBody implements [Locker]. It overwrites in place, since the inode must
// stay.
func (RealLocker) WriteBody(path string, b LockBody) error {
	f, err := os.OpenFile(path, os.O_WRONLY|openNoFollow, 0o600)
	if err != nil {
		return err
	}
	body := append(mustJSON(b), '\n')
	_, err = f.WriteAt(body, bodyOffset)
	if err == nil {
		err = f.Truncate(bodyOffset + int64(len(body)))
	}
	return errors.Join(err, f.Close())
}

func profileLock(place, key string) string { return filepath.Join(place, key+".lock") }

// mirrorLock is the lock of the file at path, kept with the others and not
// beside it: the mirror's folder belongs to OpenClaw.
func mirrorLock(place, path string) string {
	return filepath.Join(place, "mirror-"+checksum([]byte(path))+".lock")
}
