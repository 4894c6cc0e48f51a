package sink

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/keytray/keytray/disk"
)

// Seat takes the seat of the root's resident keeper: the one process that
// renews ahead of time. It never waits: taken is false while somebody else has
// the seat, also another Store in this process. Release gives it back; the
// kernel does so for a process that dies. Operations on logins need no seat, and
// two who believe to have it would only be two callers.
//
// The lock file lies with the others, in the place that the profile files name;
// the keychain is not asked, as it may be locked for hours.
func (s *Store) Seat(ctx context.Context) (release func(), taken bool, err error) {
	release, taken, err = s.claim(ctx, s.seatPath())
	if err != nil {
		return nil, false, fmt.Errorf("taking the seat: %w", err)
	}
	return release, taken, nil
}

// SeatHolder is the number of the process that took the seat last, 0 if that is
// not known. It is for people: the process may be gone.
func (s *Store) SeatHolder() int { return s.locker.Body(s.seatPath()).Holder.PID }

// seatPath names the root by its path, which is the same before the first login
// as after it.
func (s *Store) seatPath() string {
	return filepath.Join(s.knownPlace(), "seat-"+checksum([]byte(disk.Resolved(s.dir)))+".lock")
}

// knownPlace is the folder for locks as far as it can be known without the
// keychain.
func (s *Store) knownPlace() string {
	if at, ok := s.mirroredRoot(); ok {
		return at.place
	}
	return s.place
}
