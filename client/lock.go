package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/machine"
)

// lock is a lock of another program, as that program takes it. A holder that
// dies leaves the kinds that are files of a meaning of their own behind; their
// owners know them as stale, and so do we.
type lock interface {
	// try makes one attempt.
	try() (ok bool, err error)
	// held reports whether nobody has taken it away since.
	held() bool
	unlock()
	String() string
}

const (
	// ownerWait is how long an owner at work is waited for.
	ownerWait = 10 * time.Second
	ownerPoll = 50 * time.Millisecond
)

// lock takes l and notes it, so that Close gives it back.
func (h *Held) lock(ctx context.Context, l lock) error {
	for {
		ok, err := l.try()
		if err != nil {
			return fmt.Errorf("locking the logins of %s: %w", h.source.Program, err)
		}
		if ok {
			h.locks = append(h.locks, l)
			return nil
		}
		select {
		case <-time.After(ownerPoll):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%s is taken)", h.source.Program, context.Cause(ctx), l)
		}
	}
}

// fileLock is a file that is locked by the system.
type fileLock struct {
	path string
	free func()
}

func (l *fileLock) String() string { return l.path }
func (l *fileLock) held() bool     { return l.free != nil }
func (l *fileLock) unlock()        { l.free() }

func (l *fileLock) try() (bool, error) {
	free, err := disk.TryLock(l.path)
	l.free = free
	return free != nil, err
}

// presence is what the two kinds of lock have in common that are held by being
// there: a name in a folder, and the time of its last change.
type presence struct {
	path string
	mine fs.FileInfo
}

func (l *presence) String() string { return l.path }

func (l *presence) held() bool {
	now, err := os.Lstat(l.path)
	return err == nil && l.mine != nil && os.SameFile(l.mine, now) && now.ModTime().Equal(l.mine.ModTime())
}

func (l *presence) unlock() {
	if l.held() {
		_ = os.Remove(l.path) // if not, it becomes stale
	}
}

// note remembers what has just been made.
func (l *presence) note() (bool, error) {
	var err error
	l.mine, err = os.Lstat(l.path)
	return err == nil, err
}

// folderLock is a folder that is there, as npm's proper-lockfile makes it. Its
// holders touch it every few seconds.
type folderLock struct {
	presence

	stale time.Duration
}

func newFolderLock(path string, stale time.Duration) *folderLock {
	return &folderLock{presence{path: path}, stale}
}

func (l *folderLock) try() (bool, error) {
	err := os.Mkdir(l.path, 0o700)
	if err == nil {
		return l.note()
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return false, removeStaleFolder(l.path, l.stale)
}

// removeStaleFolder lets the next attempt succeed if a dead holder left a folder.
func removeStaleFolder(path string, stale time.Duration) error {
	fi, err := os.Lstat(path)
	if err != nil || !fi.IsDir() || time.Since(fi.ModTime()) < stale {
		return nil //nolint:nilerr // gone meanwhile, or taken
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a stale lock: %w", err)
	}
	return nil
}

// sidecarLock is a file that is there and names its holder, as OpenClaw makes it;
// its first versions made a folder of the same name.
type sidecarLock struct {
	presence

	stale time.Duration
}

func newSidecarLock(path string, stale time.Duration) *sidecarLock {
	return &sidecarLock{presence{path: path}, stale}
}

// holder is what OpenClaw writes into a lock.
type holder struct {
	PID       int    `json:"pid"`
	CreatedAt string `json:"createdAt"`
	// Starttime is field 22 of /proc/PID/stat.
	Starttime uint64 `json:"starttime,omitempty"`
}

func (l *sidecarLock) try() (bool, error) {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, l.removeStale()
	}
	if err != nil {
		return false, err
	}
	self := machine.Self()
	b, err := json.MarshalIndent(holder{self.PID, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), self.Start}, "", "  ")
	if err == nil {
		_, err = f.Write(append(b, '\n'))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return false, errors.Join(err, os.Remove(l.path))
	}
	return l.note()
}

// removeStale lets the next attempt succeed if the holder is dead. One that names
// itself is dead if its process is; any other if the lock is old.
func (l *sidecarLock) removeStale() error {
	fi, err := os.Lstat(l.path)
	if err == nil && fi.IsDir() {
		return removeStaleFolder(l.path, l.stale)
	}
	b, err := disk.Read(l.path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var h holder
	if json.Unmarshal(b, &h) != nil || h.PID <= 0 {
		if time.Since(fi.ModTime()) < l.stale {
			return nil
		}
	} else if h.lives() {
		return nil
	}
	if now, err := os.Lstat(l.path); err != nil || !os.SameFile(fi, now) {
		return nil //nolint:nilerr // somebody was faster
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a stale lock: %w", err)
	}
	return nil
}

// lives reports whether the holder may still run.
func (h holder) lives() bool {
	if h.Starttime != 0 && runtime.GOOS == "linux" {
		p := machine.Self()
		p.PID, p.Start = h.PID, h.Starttime
		return p.Lives()
	}
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return false
	}
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
