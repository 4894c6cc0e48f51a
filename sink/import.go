package sink

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/secret"
)

var (
	// ErrImporting means that a login is being moved here and nobody can tell
	// whether it has left its old place. Until then it is not renewed.
	ErrImporting = errors.New("the login is not wholly moved here yet")
	// ErrExists means that the profile has another login already.
	ErrExists = errors.New("there is another login of that name already")
)

// Origin is where a login is moved from: a file, and the login's name in it.
// Program says whose file it is, and so how to read it.
type Origin struct {
	Program string `json:"program"`
	Path    string `json:"path"`
	Name    string `json:"name"`
}

// Move is how a login leaves the file it is in.
type Move struct {
	From Origin
	// Take keeps the file's owner away, until Import has returned, and reads the
	// login.
	Take func(context.Context) (Credential, error)
	// Strip makes the file one without the login's secret, durably. An error with
	// touched says that this may have happened all the same: then the file
	// decides, as it does after a crash.
	Strip func() (touched bool, err error)
	// Mirror says that the file is the agent's own auth-profiles.json.
	Mirror bool
}

// Import moves a login here, as a new profile: intent, keychain (read back) with
// a mark that forbids to renew it, the file stripped, keychain without the mark,
// mirror, intent removed. Whatever ends it in between, the next Update finds the
// intent or the mark, asks the file ([Store.Left]), and finishes the move or
// undoes it. The credential's secret is then in one place, here or there.
//
// A profile that has that very secret already only strips the file; one that has
// another is left alone, with ErrExists. ErrImporting means that the file has
// been stripped and the rest is left to the next Update.
func (s *Store) Import(ctx context.Context, ref Ref, m Move) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tx.recover(ctx); err != nil {
		return err
	}
	free, err := tx.claim(ctx, m.From)
	if err != nil {
		return errors.Join(err, tx.tidy(ctx))
	}
	defer free()
	c, err := m.Take(ctx)
	if err != nil {
		return errors.Join(err, tx.tidy(ctx))
	}
	c.From = m.From
	ctx = context.WithoutCancel(ctx) // half a move is finished by the next command, so rather now
	if tx.cur == nil {
		return tx.move(ctx, c, m)
	}
	if !tx.cur.cred.vital().Equal(c.vital()) {
		return fmt.Errorf("%s: %w", ref.ID, ErrExists)
	}
	_, err = tx.strip(ctx, m)
	return errors.Join(err, tx.writeMirror(ctx))
}

// claim keeps other imports from that file away, and refuses a login that one of
// another profile has begun to move and not ended: its recovery would take a file
// that this one has stripped for its own work.
func (tx *Tx) claim(ctx context.Context, from Origin) (free func(), err error) {
	free, err = tx.s.lock(ctx, filepath.Join(tx.at.place, "import-"+checksum([]byte(from.Path))+".lock"), nil)
	if err != nil {
		return nil, err
	}
	for key, j := range tx.s.imports(tx.at.place) {
		if j.From == from && key != tx.at.key {
			free()
			return nil, fmt.Errorf("%s: %w: it was to become %s of agent %s in %s", from.Name, ErrImporting, j.Ref.ID, j.Ref.Agent, j.Root)
		}
	}
	return free, nil
}

// vital is the secret that a login consists of: whoever has it can go on using
// the login.
func (c Credential) vital() secret.Text {
	if c.Kind == KindOAuth {
		return c.Refresh
	}
	return c.Access
}

func (tx *Tx) move(ctx context.Context, c Credential, m Move) error {
	tx.removed = false // by an earlier move that has just been undone
	marked := newGeneration(tx.at.key, tx.highest+1, tx.s.locker.Self().Host, c)
	intent := journal{Phase: phaseImporting, G: marked.g, Process: tx.s.locker.Self(), Root: disk.Resolved(tx.s.dir), Ref: tx.ref, From: c.From}
	if err := tx.journal.write(intent); err != nil {
		return errors.Join(err, tx.journal.remove(), tx.tidy(ctx))
	}
	if err := tx.save(ctx, marked); err != nil {
		return errors.Join(err, tx.takeBack(ctx))
	}
	tx.cur = &marked
	touched, err := tx.strip(ctx, m)
	if err != nil && !touched {
		return errors.Join(err, tx.takeBack(ctx))
	}
	if err != nil {
		if settleErr := tx.settleImport(ctx); settleErr != nil || tx.removed || tx.importing() {
			return errors.Join(err, settleErr)
		}
		return nil // an error, and yet it happened
	}
	return tx.release(ctx)
}

// strip runs m.Strip, and keeps other writers of our own away if the file is
// the mirror.
func (tx *Tx) strip(ctx context.Context, m Move) (touched bool, err error) {
	if m.Mirror {
		unlock, err := tx.s.lockMirror(ctx, tx.at.place, tx.ref.Agent)
		if err != nil {
			return false, err
		}
		defer unlock()
	}
	return m.Strip()
}

// takeBack undoes a move that has not reached the file. Should that fail too, the
// next Update does it.
func (tx *Tx) takeBack(ctx context.Context) error {
	if err := tx.s.secrets.Barrier(ctx); err != nil { // the write that failed may still land
		return fmt.Errorf("undoing the import: %w", err)
	}
	return tx.erase(ctx)
}

// release ends a move whose file has been stripped: a generation without the mark.
func (tx *Tx) release(ctx context.Context) error {
	c := tx.cur.cred
	c.From = Origin{}
	x := newGeneration(tx.at.key, tx.cur.g+1, tx.s.locker.Self().Host, c)
	if err := tx.save(ctx, x); err != nil {
		return fmt.Errorf("%w: %w", ErrImporting, err)
	}
	tx.cur, tx.highest, tx.importErr = &x, max(tx.highest, x.g), nil
	if err := tx.writeMirror(ctx); err != nil {
		return err
	}
	return tx.journal.clear()
}

// importing reports whether the current login bears the mark.
func (tx *Tx) importing() bool { return tx.cur != nil && tx.cur.cred.From != Origin{} }

func (tx *Tx) stillImporting() error {
	if tx.importErr == nil {
		return fmt.Errorf("%s: %w", tx.ref.ID, ErrImporting)
	}
	return fmt.Errorf("%s: %w: %w", tx.ref.ID, ErrImporting, tx.importErr)
}

// resumeImport finishes or undoes what a dead process began.
func (tx *Tx) resumeImport(ctx context.Context, j journal) error {
	if err := tx.refuseLiving(j, "an import"); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	switch {
	case tx.cur == nil: // it had not got here
		return tx.journal.remove()
	case tx.importing():
		return tx.settleImport(ctx)
	}
	if err := tx.writeMirror(ctx); err != nil {
		return err
	}
	return tx.journal.clear()
}

// settleImport lets the file decide where a login is that bears the mark: if it
// is still there, or another is, what is here goes, because the owner of the file
// may have used it since. If nobody can tell, the mark stays.
func (tx *Tx) settleImport(ctx context.Context) error {
	if !tx.importing() {
		return nil
	}
	if tx.s.Left == nil {
		return nil
	}
	left, err := tx.s.Left(tx.cur.cred.From, tx.cur.cred.Kind)
	if err != nil {
		tx.importErr = err
		return nil //nolint:nilerr // whoever wants to renew it is told
	}
	ctx = context.WithoutCancel(ctx)
	if left.Empty() {
		return tx.release(ctx)
	}
	return tx.erase(ctx)
}

// Importing are the logins of this root whose move an earlier process left half
// done, as the journals tell. An Update of such a login finishes or undoes it.
func (s *Store) Importing() []Ref {
	places := []string{s.place}
	if at, ok := s.mirroredRoot(); ok && at.place != s.place {
		places = append(places, at.place)
	}
	var refs []Ref
	for _, place := range places {
		for _, j := range s.imports(place) {
			if j.Root == disk.Resolved(s.dir) {
				refs = append(refs, j.Ref)
			}
		}
	}
	return refs
}

// imports are the journals in place of imports that have not ended, of any root,
// by the profile's key.
func (s *Store) imports(place string) iter.Seq2[string, journal] {
	return func(yield func(string, journal) bool) {
		entries, err := os.ReadDir(place)
		if err != nil {
			return // no journal was ever written
		}
		for _, e := range entries {
			key, isJournal := strings.CutSuffix(e.Name(), ".journal")
			if !isJournal || !validKey(key, 64) {
				continue
			}
			j, err := s.journalFile(place, key).read()
			if err == nil && j != nil && j.Phase == phaseImporting && !yield(key, *j) {
				return
			}
		}
	}
}

// MirrorPath is an agent's auth-profiles.json.
func (s *Store) MirrorPath(agent string) string { return s.mirrorPath(agent) }
