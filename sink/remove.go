package sink

import (
	"context"
	"errors"
	"fmt"
)

// Remove signs a profile out of this machine: journal, revoke, secrets deleted
// and verified, index, mirror, journal removed. A crash at any point is
// finished by the next command. Revoke, which may be nil, gets the credential
// while it still exists; its error does not keep the login from being removed
// and is returned beside a removal that succeeded.
func (s *Store) Remove(ctx context.Context, ref Ref, revoke func(context.Context, Credential) error) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tx.recover(ctx); err != nil {
		return err
	}
	if tx.cur == nil && tx.mirrored.Generation == 0 {
		return errors.Join(fmt.Errorf("%s: %w", ref.ID, ErrUnknownProfile), tx.s.dropIndex(ctx, tx.at.rootID, tx.at.key))
	}
	path := profileLock(tx.at.place, tx.at.key)
	epoch := s.locker.Body(path).Epoch + 1
	if err := tx.journal.write(journal{Phase: phaseLogout, Epoch: epoch, Process: s.locker.Self()}); err != nil {
		return err
	}
	_ = s.locker.WriteBody(path, LockBody{Epoch: epoch, Holder: s.locker.Self()})
	ctx = context.WithoutCancel(ctx) // half a logout is finished by the next command, so rather now
	var revokeErr error
	if c, ok := tx.Current(); ok && revoke != nil {
		revokeErr = revoke(ctx, c)
	}
	return errors.Join(tx.erase(ctx), revokeErr)
}

// erase deletes all that a profile consists of. It can be repeated.
func (tx *Tx) erase(ctx context.Context) error {
	for g := range uint64(2) {
		for _, item := range []string{slotItem(tx.at.key, g), accessItem(tx.at.key, g)} {
			if err := tx.s.secrets.Delete(ctx, item); err != nil {
				return fmt.Errorf("deleting the login: %w", err)
			}
		}
	}
	if err := tx.s.dropIndex(ctx, tx.at.rootID, tx.at.key); err != nil {
		return err
	}
	err := tx.s.editMirror(ctx, tx.at.place, tx.ref.Agent, func(m *mirror) error {
		if e, ok := m.entry(tx.ref.ID); ok && !e.foreign() {
			m.profiles = m.profiles.without(tx.ref.ID)
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
