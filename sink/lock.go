package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/machine"
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
	Self() machine.Process
	Lives(p machine.Process) bool
}

// LockBody is what a lock file says about its holder, and the number of logouts
// that the profile has seen. Only the epoch is ever decided upon.
type LockBody struct {
	Epoch  uint64          `json:"epoch"`
	Holder machine.Process `json:"holder,omitzero"`
}

// RealLocker locks files.
type RealLocker struct{}

// Self implements [Locker].
func (RealLocker) Self() machine.Process { return machine.Self() }

// Lives implements [Locker].
func (RealLocker) Lives(p machine.Process) bool { return p.Lives() }

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

// busy says why a wait ended: the caller's context, or a holder, by number if
// the file tells.
func (s *Store) busy(ctx context.Context, path string) error {
	if !errors.Is(context.Cause(ctx), ErrBusy) {
		return context.Cause(ctx)
	}
	switch h := s.locker.Body(path).Holder; {
	case h.PID == 0:
		return ErrBusy
	case h.Stopped():
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

// TryLock implements [Locker].
func (RealLocker) TryLock(path string) (unlock func(), err error) { return disk.TryLock(path) }

// Body implements [Locker].
func (RealLocker) Body(path string) (b LockBody) {
	if json.NewDecoder(bytes.NewReader(disk.LockNote(path))).Decode(&b) != nil { // what follows may be the end of an older one
		return LockBody{}
	}
	return b
}

// WriteBody implements [Locker].
func (RealLocker) WriteBody(path string, b LockBody) error {
	return disk.WriteLockNote(path, mustJSON(b))
}

func profileLock(place, key string) string { return filepath.Join(place, key+".lock") }

// mirrorLock is the lock of the file at path, kept with the others and not
// beside it: the mirror's folder belongs to OpenClaw.
func mirrorLock(place, path string) string {
	return filepath.Join(place, "mirror-"+checksum([]byte(path))+".lock")
}
