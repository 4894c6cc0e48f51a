package sink

import (
	"context"
	"errors"
	"fmt"
)

// Remove signs a profile out of this machine: journal, revoke, secrets deleted
// and verified, index, mirror, journal removed. Revoke gets the credential while it
// still exists; what comes of it is its own affair, and keeps nothing from being
// removed. It may be nil. A crash at any point is finished by the next command,
// which revokes once more, by [Store.Revoke], but not a third time.
func (s *Store) Remove(ctx context.Context, ref Ref, revoke func(context.Context, Credential)) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	tx.revoke = revoke
	if err := tx.recover(ctx); err != nil || tx.removed {
		return err
	}
	if tx.cur == nil && tx.mirrored.Generation == 0 {
		return errors.Join(fmt.Errorf("%s: %w", ref.ID, ErrUnknownProfile), tx.s.dropIndex(ctx, tx.at.rootID, tx.at.key))
	}
	path := profileLock(tx.at.place, tx.at.key)
	j := journal{Phase: phaseLogout, Epoch: s.locker.Body(path).Epoch + 1, Process: s.locker.Self()}
	if revoke != nil {
		j.Attempt = 1
	}
	if err := tx.journal.write(j); err != nil {
		return err
	}
	_ = s.locker.WriteBody(path, LockBody{Epoch: j.Epoch, Holder: s.locker.Self()})
	return tx.signOut(ctx)
}

// signOut is what the logout journal announces: revoke, then erase. Half a logout
// is finished by the next command, so rather now, whatever the caller does.
func (tx *Tx) signOut(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if c, ok := tx.Current(); ok && tx.revoke != nil {
		tx.revoke(ctx, c)
	}
	return tx.erase(ctx)
}

// resumeLogout finishes the logout of a process that is gone. It may have died
// before the server heard of it, so that is told once more; two that died tell
// the server nothing that a third would.
func (tx *Tx) resumeLogout(ctx context.Context, j journal) error {
	if j.Attempt != 1 || tx.cur == nil {
		tx.revoke = nil
	}
	if tx.revoke != nil {
		j.Attempt++
		if err := tx.journal.write(j); err != nil {
			return err
		}
	}
	return tx.signOut(ctx)
}

// erase deletes all that a profile consists of, the older generation first: it
// is never the one that is left. It can be repeated.
func (tx *Tx) erase(ctx context.Context) error {
	if err := tx.deleteSecrets(ctx); err != nil {
		return err
	}
	err := tx.s.editMirror(ctx, tx.at.place, tx.ref.Agent, func(m *mirror) error {
		if e, ok := m.entry(tx.ref.ID); ok && !e.foreign() {
			m.profiles = m.profiles.Without(tx.ref.ID)
			m.leaveOrder(e.Provider, tx.ref.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	*tx = Tx{s: tx.s, ref: tx.ref, at: tx.at, journal: tx.journal, removed: true}
	return errors.Join(tx.journal.clear(), tx.clearPace())
}

// deleteSecrets deletes what the keychain has of a profile, the older generation
// first and the index entry last.
func (tx *Tx) deleteSecrets(ctx context.Context) error {
	newest := tx.Generation()
	for _, g := range []uint64{newest + 1, newest} {
		for _, item := range []string{slotItem(tx.at.key, g), accessItem(tx.at.key, g)} {
			if err := tx.s.secrets.Delete(ctx, item); err != nil {
				return fmt.Errorf("deleting the login: %w", err)
			}
		}
	}
	return tx.s.dropIndex(ctx, tx.at.rootID, tx.at.key)
}
