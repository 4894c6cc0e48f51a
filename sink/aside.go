package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// SetAside renames an agent's profile file that cannot be understood, so that
// it can be rebuilt from the keychain, and returns its new path. A file that is
// not safe to touch (a link, somebody else's) is left as it is.
func (s *Store) SetAside(ctx context.Context, agent string) (to string, err error) {
	root, err := s.lookupRoot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrUnknownProfile // nothing could be rebuilt
	}
	if err != nil {
		return "", err
	}
	path := s.mirrorPath(agent)
	unlock, err := s.lockMirror(ctx, root.Place, agent)
	if err != nil {
		return "", err
	}
	defer unlock()
	b, err := s.disk.Read(path, mirrorLimit)
	if err != nil {
		return "", fmt.Errorf("setting %s aside: %w", path, err)
	}
	to = path + ".damaged-" + s.clock().Wall.UTC().Format("20060102-150405")
	if err := s.disk.Replace(to, b); err != nil {
		return "", fmt.Errorf("setting %s aside: %w", path, err)
	}
	return to, s.disk.Remove(path)
}

// ErrForeignHost means that a login was made on another machine that shares
// this keychain or state. Two machines must not renew one login.
var ErrForeignHost = errors.New("this login belongs to another machine")

// Adopt makes a login of another machine this machine's. The other one must not
// use it any more.
func (s *Store) Adopt(ctx context.Context, ref Ref) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	tx.adopting = true
	if err := tx.recover(ctx); err != nil {
		return err
	}
	if c, ok := tx.Current(); ok && tx.foreign() {
		return tx.finish(ctx, tx.Received(c))
	}
	return tx.finish(ctx, nil)
}

// foreign reports whether the current login was written by another machine.
// A machine without an id cannot tell.
func (tx *Tx) foreign() bool {
	here := tx.s.locker.Self().Host
	return tx.cur != nil && tx.cur.host != "" && here != "" && tx.cur.host != here
}

// refuseForeign ends an update of another machine's login.
func (tx *Tx) refuseForeign(ctx context.Context) error {
	if tx.adopting || !tx.foreign() {
		return nil
	}
	tx.Mark(StateForeignHost, "", time.Time{})
	return errors.Join(fmt.Errorf("%s: %w", tx.ref.ID, ErrForeignHost), tx.writeMirror(ctx))
}

// Epochs tell how often each login had been signed out at some moment.
type Epochs map[Ref]uint64

// Epochs are those of the logins that an agent has now.
func (s *Store) Epochs(agent string) Epochs {
	e := Epochs{}
	for p, err := range s.Profiles(agent) {
		if err == nil {
			e[p.Ref] = s.locker.Body(profileLock(p.at.place, p.at.key)).Epoch
		}
	}
	return e
}

// SignedOutSince reports whether the login was signed out after e was taken: a
// sign-in that began before must not bring it back.
func (tx *Tx) SignedOutSince(e Epochs) bool {
	then, known := e[tx.ref]
	return known && tx.s.locker.Body(profileLock(tx.at.place, tx.at.key)).Epoch != then
}
