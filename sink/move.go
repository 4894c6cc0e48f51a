package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"

	"github.com/keytray/keytray/disk"
)

// Moving to another state root. An OpenClaw that was updated keeps its logins in
// a database and may refuse to start beside our files, so what lies in its root
// must go to Keytray's own. The secrets stay where they are: an index names each
// login's key, and the key is taken along.
//
// One login after the other is moved, each under its lock, in this order:
//
//  1. the new root's index gets the entry, with the old key
//  2. what a crash left undone is finished, and the new mirror gets the entry
//  3. the old mirror loses it; a file in which nothing else is left is removed
//  4. the old index loses it
//
// Until 4 the old index names the login, so that whoever dies at any point is
// followed by one who begins with the same login again; each step does nothing
// where it has been done. Between 1 and 4 both roots know the login. They share
// its lock, its journal and its slots, so that it is still renewed by one at a
// time. The record of the old root stays in the keychain, with an empty index.

var (
	// ErrMoveTaken means that the new root has another login of the same id.
	ErrMoveTaken = errors.New("the new folder has another login of that name")
	// ErrMovePlace means that two roots keep their locks in different folders, so
	// that a login of one cannot be kept safe by the other.
	ErrMovePlace = errors.New("the two state folders keep their locks in different places")
	// ErrLost means that a profile file knows a login of which the keychain has
	// nothing.
	ErrLost = errors.New("the keychain has nothing of this login")
)

// Beside is the store of another state root with the same keychain, and the same
// folder for the locks of a root that is new.
func (s *Store) Beside(r Root) *Store {
	t := OpenOn(r.Dir, s.place, s.secrets, Seams{s.disk, s.locker, s.clock, rand.Uint64()}) //nolint:gosec // pauses between polls, not secrets
	t.Stuck, t.Left = s.Stuck, s.Left
	t.OpenClaw, t.AgentDirs, t.OAuthDir = r.OpenClaw, r.AgentDirs, r.OAuthDir
	return t
}

// MoveFrom moves all logins of another root here, and copies its provider files
// that are not here yet. Both roots have the same keychain. A login that cannot be moved
// stays, is named in the error, and keeps no other from being moved.
func (s *Store) MoveFrom(ctx context.Context, from *Store) (moved []Ref, err error) {
	old, err := from.lookupRoot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pages, err := from.index(ctx, old.RootID)
	if err != nil {
		return nil, err
	}
	root, err := s.ensureRootAt(ctx, old.Place)
	switch {
	case err != nil:
		return nil, err
	case root.RootID == old.RootID:
		return nil, nil // two paths to one folder, or one that was copied
	case root.Place != old.Place:
		return nil, fmt.Errorf("%w: %s and %s", ErrMovePlace, old.Place, root.Place)
	}
	if err := s.copyProviders(from); err != nil {
		return nil, err
	}
	for _, page := range pages {
		for _, e := range page.Entries {
			if moveErr := s.moveOne(ctx, from, old, root, e); moveErr != nil {
				err = errors.Join(err, fmt.Errorf("moving %s: %w", e.ID, moveErr))
				continue
			}
			moved = append(moved, Ref{e.Agent, e.ID})
		}
	}
	return moved, err
}

// moveOne moves one login, see above.
func (s *Store) moveOne(ctx context.Context, from *Store, old, root rootRecord, e indexEntry) error {
	ref := Ref{e.Agent, e.ID}
	if err := CheckAgent(e.Agent); err != nil || !validKey(e.Key, 64) {
		return errors.Join(errCorrupt, err)
	}
	tx, unlock, err := s.beginAt(ctx, ref, whereabouts{root.RootID, root.Place, e.Key}, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.moveable(ctx, root, e); err != nil {
		return err
	}
	known := tx.mirrored.Generation
	if known == 0 {
		known = tx.recall(from)
	}
	if err := s.addIndex(ctx, root.RootID, e); err != nil {
		return err
	}
	if err := tx.recover(ctx); err != nil {
		return err
	}
	if tx.cur == nil && known > 0 && !tx.removed {
		return ErrLost
	}
	if err := tx.finish(ctx, nil); err != nil {
		return err
	}
	if err := s.moveOrder(ctx, from, root.Place, e); err != nil {
		return err
	}
	if err := from.leaveMirror(ctx, old.Place, e); err != nil {
		return err
	}
	return from.dropIndex(ctx, old.RootID, e.Key)
}

// moveable refuses an id that means another login here.
func (s *Store) moveable(ctx context.Context, root rootRecord, e indexEntry) error {
	ref := Ref{e.Agent, e.ID}
	there, ok, err := s.lookupIndex(ctx, root.RootID, ref)
	if err != nil {
		return err
	}
	if ok && there.Key != e.Key || s.Foreign(ref) {
		return ErrMoveTaken
	}
	return nil
}

// recall takes over what the old root's mirror remembers of the login, and returns
// its generation, 0 if it knows nothing.
func (tx *Tx) recall(from *Store) uint64 {
	m, err := from.readMirror(tx.ref.Agent)
	if err != nil {
		return 0
	}
	e, _ := m.entry(tx.ref.ID)
	p, ok := e.profile(tx.ref.Agent, tx.ref.ID)
	if !ok || p.at.key != tx.at.key {
		return 0
	}
	tx.standing = standing{p.State, p.Reason, e.Ours.FP, p.Until}
	tx.highest = max(tx.highest, p.Generation)
	return p.Generation
}

// moveOrder takes the stored order of the login's provider along, where there is
// none yet.
func (s *Store) moveOrder(ctx context.Context, from *Store, place string, e indexEntry) error {
	ids, err := from.Order(e.Agent, e.Provider)
	if err != nil || ids == nil {
		return nil //nolint:nilerr // an order that cannot be read is none
	}
	return s.editMirror(ctx, place, e.Agent, func(m *mirror) error {
		if m.stateErr == nil && m.order(e.Provider) == nil {
			m.setOrder(e.Provider, ids)
		}
		return nil
	})
}

// leaveMirror takes our entry out of the old mirror, and the file away if it was
// the last thing in it. What is not ours stays.
func (s *Store) leaveMirror(ctx context.Context, place string, e indexEntry) error {
	path := s.mirrorPath(e.Agent)
	unlock, err := s.lockMirror(ctx, place, e.Agent)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := s.readMirror(e.Agent)
	if errors.Is(err, ErrMirrorMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	x, ok := m.entry(e.ID)
	if !ok || !x.isOf(e.Key) {
		return nil
	}
	m.profiles = m.profiles.Without(e.ID)
	if len(m.profiles) == 0 && len(m.top.Without("version", "profiles", "order", "lastGood", "usageStats")) == 0 {
		if err := s.disk.Remove(path); err != nil {
			return &MirrorError{path, err}
		}
		return nil
	}
	return s.writeObject(path, m.whole())
}

// copyProviders copies the provider files that are not here yet: without them a
// login cannot be renewed.
func (s *Store) copyProviders(from *Store) error {
	paths, err := filepath.Glob(filepath.Join(from.dir, "providers", "*.json"))
	if err != nil || len(paths) == 0 {
		return nil //nolint:nilerr // a folder with a star in its name has none that would be found
	}
	if err := s.disk.Prepare(s.dir, "providers"); err != nil {
		return err
	}
	for _, path := range paths {
		to := filepath.Join(s.dir, "providers", filepath.Base(path))
		if disk.Exists(to) {
			continue
		}
		b, err := from.disk.Read(path, providerLimit)
		if err == nil {
			err = s.disk.Replace(to, b)
		}
		if err != nil {
			return fmt.Errorf("copying %s: %w", path, err)
		}
	}
	return nil
}

// providerLimit is the largest provider file that is copied, bytes.
const providerLimit = 1 << 20
