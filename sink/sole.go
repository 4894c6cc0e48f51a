package sink

import (
	"context"
	"fmt"
	"path/filepath"
)

// Sole makes this process the only one of its kind that this person runs on this
// machine, whatever the state root: the tray. It never waits: taken is false
// while another one lives. Release gives the place up; the kernel does so for a
// process that dies.
func (s *Store) Sole(ctx context.Context, kind string) (release func(), taken bool, err error) {
	release, taken, err = s.claim(ctx, filepath.Join(s.place, kind+".lock"))
	if err != nil {
		return nil, false, fmt.Errorf("looking for another %s: %w", kind, err)
	}
	return release, taken, nil
}

// claim takes a lock without waiting for it, and writes down who has it.
func (s *Store) claim(ctx context.Context, path string) (release func(), taken bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := s.disk.Prepare(filepath.Dir(path)); err != nil {
		return nil, false, err
	}
	sem := s.semaphores.of(path)
	select {
	case sem <- struct{}{}:
	default:
		return nil, false, nil
	}
	unlock, err := s.locker.TryLock(path)
	if err != nil || unlock == nil {
		<-sem
		return nil, false, err
	}
	_ = s.locker.WriteBody(path, LockBody{Holder: s.locker.Self()}) // for people; the lock is the kernel's
	return func() { unlock(); <-sem }, true, nil
}
