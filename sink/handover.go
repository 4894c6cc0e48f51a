package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/disk"
)

// A login goes to another machine in a sealed file. It must be usable here or
// there, never in none; and in both only until the next command here:
//
//  1. an empty file of the right size is made beside the place of the sealed one
//  2. journal "moving": which file, and the checksum of what will be in it
//  3. the content is written into the empty file, fsync, rename, fsync of the folder
//  4. it is read back and compared; the folder is fsynced again, in case the
//     process died in between
//  5. what is in it is noted, so that no export replaces it; journal "moved": from
//     here on there is no way back
//  6. slots and access tokens deleted and verified, the index loses the login
//  7. the mirror says where it went: a tombstone; the journal is removed
//
// Whoever meets "moving" asks the disk. The file is there: on with 5. It is not,
// and the unfinished one is: it was never renamed, so the login stays. Neither is:
// somebody has taken the file along, or the disk away; then the login is neither
// renewed nor deleted until the file is back or a person signs it out.

var (
	// ErrMovingAway means that a login was being moved to another machine when the
	// process died, and that nobody can tell whether its file has left.
	ErrMovingAway = errors.New("the login was being moved to another machine, and its file is not where it was put")
	// ErrUnsettled means that a login cannot be moved while a renewal of it has
	// not ended one way or the other.
	ErrUnsettled = errors.New("a renewal of this login has not ended yet")
	// ErrFileExists means that there is a file in the place of a new one.
	ErrFileExists = errors.New("there is a file of that name already")
	// ErrReceived means that a sealed login has been taken over before.
	ErrReceived = errors.New("this sealed login was taken over already")
)

// Departure is how a login leaves for another machine.
type Departure struct {
	// File is the absolute path of the sealed file, To who can open it, for people.
	File, To string
	// Seal makes its content.
	Seal func(Credential) ([]byte, error)
}

// sealedLimit is the largest sealed file.
const sealedLimit = 1 << 20

// HandOver moves a login that renews itself into a sealed file, as described above.
// An error that is a *MirrorError means that it was moved and only the tombstone
// was not written.
func (s *Store) HandOver(ctx context.Context, ref Ref, d Departure) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tx.recover(ctx); err != nil {
		return err
	}
	if err := tx.mayLeave(); err != nil {
		return errors.Join(err, tx.tidy(ctx))
	}
	free, err := s.lock(ctx, filepath.Join(tx.at.place, "departure.lock"), nil) // two may have been given one file
	if err != nil {
		return err
	}
	defer free()
	if _, err := s.disk.Read(d.File, 0); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", d.File, ErrFileExists)
	}
	b, err := d.Seal(tx.cur.cred)
	if err != nil {
		return err
	}
	temp := tx.unfinishedFile(d.File)
	if err := s.disk.Reserve(temp, len(b)); err != nil {
		return fmt.Errorf("making %s: %w", d.File, err)
	}
	if _, err := s.disk.Read(temp, sealedLimit); err != nil { // it could not be read back later, either
		return errors.Join(fmt.Errorf("making %s: %w", d.File, err), s.disk.Remove(temp))
	}
	ctx = context.WithoutCancel(ctx) // half a move is finished by the next command, so rather now
	j := journal{Phase: phaseMoving, G: tx.cur.g, Wall: millis(s.clock().Wall), Process: s.locker.Self(), File: d.File, Digest: checksum(b), To: d.To}
	if err := tx.journal.write(j); err != nil {
		return errors.Join(err, tx.journal.remove(), s.disk.Remove(temp))
	}
	fillErr := s.disk.Fill(temp, d.File, b)
	if err := tx.settleMove(ctx, j); err != nil {
		return err
	}
	if tx.removed {
		return nil // also after an error, if the file is there all the same
	}
	return fmt.Errorf("writing %s: %w", d.File, errors.Join(fillErr, tx.moveErr))
}

// unfinishedFile has a name of the login's own: another one that is moved into the
// same file must not take it away.
func (tx *Tx) unfinishedFile(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+"."+tx.at.key[:16]+".moving")
}

// mayLeave says why a login cannot be moved now.
func (tx *Tx) mayLeave() error {
	switch {
	case tx.Moved():
		return fmt.Errorf("%s has moved to another machine: %w", tx.ref.ID, ErrUnknownProfile)
	case tx.cur == nil:
		return fmt.Errorf("%s: %w", tx.ref.ID, ErrUnknownProfile)
	case tx.cur.cred.Refresh.Empty():
		return fmt.Errorf("%s: %w", tx.ref.ID, ErrNoRefresh)
	case tx.importing():
		return tx.stillImporting()
	case tx.moveErr != nil:
		return tx.moveErr
	case tx.unsaved:
		return fmt.Errorf("%s: %w", tx.ref.ID, ErrNotSaved)
	case tx.prior != nil:
		return fmt.Errorf("%s: %w", tx.ref.ID, ErrUnsettled)
	}
	return nil
}

// settleMove lets the disk decide about a login whose journal says "moving".
func (tx *Tx) settleMove(ctx context.Context, j journal) error {
	temp := tx.unfinishedFile(j.File)
	b, err := tx.s.disk.Read(j.File, sealedLimit)
	if err == nil && checksum(b) == j.Digest {
		if err := tx.s.disk.Remove(temp); err != nil { // it is not there: for the fsync, before which the process may have died
			return fmt.Errorf("keeping %s: %w", j.File, err)
		}
		if err := tx.s.disk.Replace(departure(tx.at.place, j.Digest), mustJSON(j.File)); err != nil {
			return fmt.Errorf("remembering %s: %w", j.File, err)
		}
		j.Phase = phaseMoved
		if err := tx.journal.write(j); err != nil {
			return err
		}
		return tx.bury(ctx, j)
	}
	if _, err := tx.s.disk.Read(temp, sealedLimit); err == nil {
		return errors.Join(tx.s.disk.Remove(temp), tx.journal.remove())
	}
	tx.moveErr = fmt.Errorf("%s: %w: %s", tx.ref.ID, ErrMovingAway, j.File)
	return nil
}

// departure is the file that remembers what was moved, by the checksum of what it
// went into.
func departure(place, digest string) string { return filepath.Join(place, "moved-"+digest+".json") }

// Departed reports whether a file's content is a login that was moved from here. It
// may be the only place that has it.
func (s *Store) Departed(content []byte) bool {
	return disk.Exists(departure(s.knownPlace(), checksum(content)))
}

// resumeMove finishes or undoes what a dead process began.
func (tx *Tx) resumeMove(ctx context.Context, j journal) error {
	if err := tx.refuseLiving(j, "a move"); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	switch {
	case j.Phase == phaseMoved:
		return tx.bury(ctx, j)
	case tx.cur == nil: // nothing is left to be moved
		return tx.journal.remove()
	}
	return tx.settleMove(ctx, j)
}

// bury deletes a login that has left, and leaves a tombstone. It can be repeated.
func (tx *Tx) bury(ctx context.Context, j journal) error {
	if err := tx.deleteSecrets(ctx); err != nil {
		return err
	}
	stone := standing{State: StateMoved, Reason: j.To, until: fromMillis(j.Wall)}
	err := tx.s.editMirror(ctx, tx.at.place, tx.ref.Agent, func(m *mirror) error {
		if e, ok := m.entry(tx.ref.ID); ok && e.Ours.valid() && e.Ours.Key == tx.at.key {
			return m.mark(tx.ref.ID, e, stone)
		}
		return nil
	})
	if err != nil {
		return err
	}
	*tx = Tx{s: tx.s, ref: tx.ref, at: tx.at, journal: tx.journal, removed: true}
	return errors.Join(tx.readMirror(), tx.journal.clear(), tx.clearPace())
}

// Moved reports whether the login has gone to another machine.
func (tx *Tx) Moved() bool { return tx.cur == nil && tx.mirrored.State == StateMoved }

// Parcel is a login that came in a sealed file. ID is the file's.
type Parcel struct {
	ID    string
	Login Credential
}

// receipt remembers, beside the locks, what became of a parcel: it must not be
// taken over twice, for one token in two places ends the login in both.
type receipt struct {
	V    int   `json:"v"`
	Ref  Ref   `json:"ref"`
	Wall int64 `json:"wall"`
	// Done says that the login is here, G as which generation.
	Done bool   `json:"done"`
	G    uint64 `json:"generation,omitempty"`
}

// Receive takes over a login that another machine has handed over: receipt, slot
// (read back), mirror, receipt signed. Whatever ends it in between, the same parcel
// is taken again under the same name, and only under that, until the login has been
// renewed. It takes the place of what was lent of the same account. ErrReceived means
// that it was taken over before; ErrExists that there is another login of that name.
func (s *Store) Receive(ctx context.Context, ref Ref, p Parcel) error {
	tx, unlock, err := s.begin(ctx, ref, nil)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tx.recover(ctx); err != nil {
		return err
	}
	path := filepath.Join(tx.at.place, "parcel-"+checksum([]byte(p.ID))+".json")
	free, err := s.lock(ctx, path+".lock", nil)
	if err != nil {
		return err
	}
	defer free()
	here := tx.cur != nil && tx.cur.cred.Parcel == p.ID
	if err := tx.unreceived(path, here); err != nil {
		return errors.Join(err, tx.tidy(ctx))
	}
	if tx.cur != nil && !here && (tx.cur.cred.Lender == "" || !tx.cur.cred.mayBecome(p.Login)) {
		return fmt.Errorf("%s: %w", ref.ID, ErrExists)
	}
	r := receipt{V: 1, Ref: ref, Wall: millis(s.clock().Wall)}
	if err := s.disk.Replace(path, mustJSON(r)); err != nil {
		return errors.Join(fmt.Errorf("remembering what was received: %w", err), tx.tidy(ctx))
	}
	p.Login.Parcel = p.ID
	var saved error
	if here {
		saved = tx.writeMirror(ctx)
	} else {
		saved = tx.finish(ctx, tx.Received(p.Login))
	}
	if _, ok := errors.AsType[*MirrorError](saved); saved != nil && !ok {
		return saved
	}
	r.Done, r.G = true, tx.Generation()
	if err := s.disk.Replace(path, mustJSON(r)); err != nil {
		return errors.Join(saved, fmt.Errorf("remembering what was received: %w", err))
	}
	return saved
}

// unreceived refuses a parcel that was taken over, or begun to be under another
// name. One that is here and was not renewed yet is not over: its file would still
// work.
func (tx *Tx) unreceived(path string, here bool) error {
	b, err := tx.s.disk.Read(path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r receipt
	if err == nil && (json.Unmarshal(b, &r) != nil || r.V != 1) {
		r = receipt{Done: true} // torn by no crash of ours: rather once too seldom
	}
	switch {
	case err != nil:
		return fmt.Errorf("reading what was received: %w", err)
	case r.Done && here && r.Ref == tx.ref && r.G == tx.cur.g:
		return nil
	case r.Done:
		return fmt.Errorf("%w, on %s as %s of agent %s", ErrReceived, on(r.Wall), r.Ref.ID, r.Ref.Agent)
	case r.Ref != tx.ref:
		return fmt.Errorf("%w in part, as %s of agent %s: say that again", ErrReceived, r.Ref.ID, r.Ref.Agent)
	}
	return nil
}

func on(ms int64) string { return fromMillis(ms).Local().Format(time.DateTime) }
