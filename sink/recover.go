package sink

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// recover establishes, under the lock, what the profile's state is, and
// finishes what an earlier process began. While the keychain does not answer
// nothing is touched and nothing may be spent.
func (tx *Tx) recover(ctx context.Context) error {
	if err := tx.s.secrets.Barrier(ctx); err != nil {
		return fmt.Errorf("reading the keychain: %w", err)
	}
	other, err := tx.readSlots(ctx)
	if err != nil {
		return err
	}
	if err := tx.refuseForeign(ctx); err != nil {
		return err
	}
	j, err := tx.journal.read()
	if errors.Is(err, errCorrupt) {
		return tx.journal.quarantine() // the slots decide
	}
	if err != nil {
		return err
	}
	if j == nil {
		return tx.settleImport(ctx) // where there is one, its journal has been lost
	}
	tx.highest = max(tx.highest, j.G)
	switch {
	case j.Phase == phaseLogout:
		return tx.resumeLogout(ctx, *j)
	case j.Phase == phaseImporting:
		return tx.resumeImport(ctx, *j)
	case j.Phase == phaseMoving, j.Phase == phaseMoved:
		return tx.resumeMove(ctx, *j)
	case tx.cur == nil:
		return nil // nothing opens the box; it is kept, and so is the journal
	case j.G <= tx.cur.g:
		return tx.finishCommitted(ctx, *j, other)
	case j.G > tx.cur.g+1:
		// The slots went back behind a refresh that the journal remembers: a
		// restored backup. Their refresh token has been spent; it is not sent.
		tx.Mark(StateNeedsLogin, "store_lost", time.Time{})
		return nil
	case j.Phase == phaseReceived:
		return tx.finishReceived(ctx, *j)
	default:
		return tx.resume(*j)
	}
}

// readSlots finds the newest valid generation, and with it the access token
// where the cache has it. It also returns the other valid generation, if any.
func (tx *Tx) readSlots(ctx context.Context) (other *generation, err error) {
	for g := range uint64(2) {
		x, err := tx.readSlot(ctx, g)
		if err != nil {
			return nil, err
		}
		switch {
		case x == nil:
		case tx.cur == nil || x.g > tx.cur.g:
			tx.cur, other = x, tx.cur
		default:
			other = x
		}
	}
	if tx.cur == nil {
		return other, nil
	}
	tx.highest = max(tx.highest, tx.cur.g)
	return other, tx.readAccess(ctx)
}

// readSlot returns nil for a slot that is empty, damaged or another profile's.
func (tx *Tx) readSlot(ctx context.Context, parity uint64) (*generation, error) {
	b, err := tx.s.secrets.Get(ctx, slotItem(tx.at.key, parity))
	if absent(err) {
		return nil, nil //nolint:nilnil // an empty slot is an ordinary state
	}
	if err != nil {
		return nil, fmt.Errorf("reading the login: %w", err)
	}
	x, err := decodeSlot(b, tx.at.key)
	if err != nil || x.g%2 != parity {
		return nil, nil //nolint:nilnil,nilerr // not a generation of this profile
	}
	return &x, nil
}

// readAccess adds the cached access token. When the mirror knows of a newer
// generation than the slots, whose access token still lives, that one is used:
// nothing else is left of it.
func (tx *Tx) readAccess(ctx context.Context) error {
	if tx.cur.cred.Kind != KindOAuth {
		return nil
	}
	g := max(tx.cur.g, tx.mirrored.Generation)
	b, err := tx.s.secrets.Get(ctx, accessItem(tx.at.key, g))
	if absent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the access token: %w", err)
	}
	if a, err := decodeAccess(b, tx.at.key); err == nil && a.g == g {
		tx.cur.cred.Access, tx.cur.cred.Life = a.token, a.life
	}
	return nil
}

// finishCommitted ends a refresh whose generation is in its slot already.
func (tx *Tx) finishCommitted(ctx context.Context, j journal, other *generation) error {
	if j.Phase == phaseReceived && j.G == tx.cur.g && tx.cur.cred.Access.Empty() && other != nil && other.g+1 == j.G {
		if x, err := unseal(*other, j.G, j.Box); err == nil && !x.cred.Access.Empty() {
			tx.cur.cred.Access = x.cred.Access
			_ = tx.s.secrets.Set(ctx, accessItem(x.key, x.g), x.encodeAccess()) // a cache
		}
	}
	if err := tx.writeMirror(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return tx.journal.remove()
}

// finishReceived saves the answer that a dead process had only journalled. If
// the keychain does not take it the answer is served from the journal and the
// old refresh token, which is spent, stays where it is.
func (tx *Tx) finishReceived(ctx context.Context, j journal) error {
	x, err := unseal(*tx.cur, j.G, j.Box)
	if errors.Is(err, errCorrupt) {
		return tx.journal.quarantine()
	}
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // an answer that arrived is saved, whatever the caller does
	if err := tx.saveOnce(ctx, x); err != nil {
		tx.cur, tx.unsaved = &x, true
		return nil //nolint:nilerr // the journal still holds it; Standing says so
	}
	tx.cur = &x
	if err := tx.writeMirror(ctx); err != nil {
		return err
	}
	return tx.journal.remove()
}

// resume takes note of a request that was sent, or about to be, by a process
// that is gone. One that lives holds a lock on a file that was replaced.
func (tx *Tx) resume(j journal) error {
	if err := tx.refuseLiving(j, "a renewal"); err != nil {
		return err
	}
	tx.prior = &j
	return nil
}

// refuseLiving ends an update if the journal's process lives after all.
func (tx *Tx) refuseLiving(j journal, what string) error {
	if me := tx.s.locker.Self(); j.Process.PID != me.PID && tx.s.locker.Lives(j.Process) {
		return fmt.Errorf("%w (process %d, in the middle of %s)", ErrBusy, j.Process.PID, what)
	}
	return nil
}
