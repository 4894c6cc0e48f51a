package sink

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotSaved means that a renewed login could not be written to the
	// keychain yet. It waits in its journal, encrypted; the next command or an
	// unlocked keychain finishes the job, and nothing is lost meanwhile.
	ErrNotSaved = errors.New("the renewed login waits to be saved in the keychain")
	// ErrOtherAccount means that somebody else signed in than the profile
	// belongs to. The old login is untouched.
	ErrOtherAccount = errors.New("this login belongs to another account")
	// ErrAbandoned means that a renewed login was given up at a person's demand
	// while neither the keychain nor the disk would take it.
	ErrAbandoned = errors.New("the renewed login was given up unsaved")
	// ErrNoRefresh means that a login has nothing to be renewed with.
	ErrNoRefresh = errors.New("this login cannot be renewed")
)

// Outcome is what became of a refresh request that brought no token.
type Outcome int

// The outcomes. One that is never declared counts as Ambiguous.
const (
	// Ambiguous: the server may have processed the request.
	Ambiguous Outcome = iota
	// NotSent: the request did not reach the server.
	NotSent
	// Rejected: the server answered and spent nothing.
	Rejected
	// Dead: the server will never take this refresh token, whatever became of
	// earlier requests.
	Dead
)

// Tx is one profile under its lock. It is valid only within the function given
// to [Store.Update], in one goroutine.
type Tx struct {
	s       *Store
	ref     Ref
	at      whereabouts
	journal journalFile

	cur      *generation // nil: no valid slot
	pace     *Pace       // read when first asked for
	unsaved  bool        // cur lies in the journal and not in its slot
	mirrored Profile     // what the mirror said; zero if nothing
	standing standing    // what the mirror said of cur
	highest  uint64      // of slots, journal and mirror
	prior    *journal    // a sending whose outcome nobody knows

	sent       bool
	outcome    Outcome
	next       *generation
	journalled bool
	removed    bool
	revoke     func(context.Context, Credential)
	adopting   bool  // another machine's login is to become ours
	importErr  error // why nobody can tell whether cur has left its old place
	moveErr    error // or whether it has gone to another machine
}

// Update runs f on a profile under its lock, after finishing what a crash left
// undone, and then makes durable what f received. The profile need not exist:
// that is how a login begins.
//
// f decides on what Tx says, declares [Tx.Sending] right before it spends the
// refresh token, and hands the answer to [Tx.Received] before it looks at
// anything else in it. Its error is returned after the answer has been saved.
// From Sending on ctx is not obeyed any more.
//
// Update waits for the lock at most 100 s and then returns ErrBusy. In a root that
// may not be written it does nothing but return ErrDatabase. An error
// that is a *MirrorError means that the login was saved and only its metadata
// file was not; ErrNotSaved that it waits in its journal.
func (s *Store) Update(ctx context.Context, ref Ref, f func(*Tx) error) error {
	return s.UpdateUnless(ctx, ref, nil, f)
}

// UpdateUnless is Update for a caller who may get what it wants from somebody
// else's update: while it waits for the lock it asks served from time to time
// and returns nil, without running f, when that says yes.
func (s *Store) UpdateUnless(ctx context.Context, ref Ref, served func() bool, f func(*Tx) error) error {
	tx, unlock, err := s.begin(ctx, ref, served)
	if errors.Is(err, errServed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := tx.recover(ctx); err != nil {
		return err
	}
	return tx.finish(ctx, f(tx))
}

// begin finds the profile's place, takes its lock and writes who holds it.
func (s *Store) begin(ctx context.Context, ref Ref, served func() bool) (*Tx, func(), error) {
	if err := CheckAgent(ref.Agent); err != nil {
		return nil, nil, err
	}
	if err := s.CheckRoot(); err != nil {
		return nil, nil, err
	}
	at, err := s.locate(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	return s.beginAt(ctx, ref, at, served)
}

// beginAt is begin for a profile whose place is known.
func (s *Store) beginAt(ctx context.Context, ref Ref, at whereabouts, served func() bool) (*Tx, func(), error) {
	if err := s.disk.Prepare(at.place); err != nil {
		return nil, nil, err
	}
	path := profileLock(at.place, at.key)
	unlock, err := s.lock(ctx, path, served)
	if err != nil {
		return nil, nil, err
	}
	_ = s.locker.WriteBody(path, LockBody{Epoch: s.locker.Body(path).Epoch, Holder: s.locker.Self()}) // for people; the lock is the kernel's
	tx := &Tx{s: s, ref: ref, at: at, journal: s.journalFile(at.place, at.key), revoke: s.Revoke}
	if err := tx.readMirror(); err != nil {
		unlock()
		return nil, nil, err
	}
	return tx, unlock, nil
}

// locate says where a profile's items and files are: what the mirror says, else
// the keychain's index, else where a new profile's would be.
func (s *Store) locate(ctx context.Context, ref Ref) (whereabouts, error) {
	if p, err := s.Profile(ref); err == nil {
		return p.at, nil
	}
	root, err := s.ensureRoot(ctx)
	if err != nil {
		return whereabouts{}, err
	}
	at := whereabouts{root.RootID, root.Place, profileKey(root.RootID, ref.Agent, ref.ID)}
	e, ok, err := s.lookupIndex(ctx, root.RootID, ref)
	if err != nil {
		return whereabouts{}, err
	}
	if ok && validKey(e.Key, 64) {
		at.key = e.Key
	}
	return at, nil
}

// readMirror notes what the mirror says now. A mirror that is missing or holds
// nothing of this profile is no error; one that cannot be read is, before
// anything is spent.
func (tx *Tx) readMirror() error {
	m, err := tx.s.readMirror(tx.ref.Agent)
	if errors.Is(err, ErrMirrorMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	e, ok := m.entry(tx.ref.ID)
	if !ok {
		return nil
	}
	if p, ok := e.profile(tx.ref.Agent, tx.ref.ID); ok && p.at.key == tx.at.key {
		tx.mirrored = p
		tx.standing = standing{p.State, p.Reason, e.Ours.FP, p.Until}
		tx.highest = p.Generation
	}
	return nil
}

// Current is the newest login of the profile; ok is false if there is none.
// Its Access is empty when the keychain's cached copy is missing.
func (tx *Tx) Current() (c Credential, ok bool) {
	if tx.cur == nil {
		return Credential{}, false
	}
	return tx.cur.cred, true
}

// Generation is the current login's, 0 if there is none.
func (tx *Tx) Generation() uint64 {
	if tx.cur == nil {
		return 0
	}
	return tx.cur.g
}

// Lost reports whether the mirror knows a login of which the keychain has
// nothing any more.
func (tx *Tx) Lost() bool { return tx.cur == nil && tx.mirrored.Generation > 0 && !tx.Moved() }

// Standing is what is remembered of the current refresh token, StateOK when
// nothing is.
func (tx *Tx) Standing() (State, string) {
	if tx.unsaved {
		return StatePendingSave, ""
	}
	if st := tx.bound(); st.State != "" {
		return st.State, st.Reason
	}
	return StateOK, ""
}

// bound is the remembered standing if it is that of the current refresh token.
func (tx *Tx) bound() standing {
	if tx.cur != nil && tx.standing.fp != "" && tx.standing.fp == tx.cur.fingerprint() {
		return tx.standing
	}
	return standing{}
}

// Intent tells of an earlier send of the current refresh token whose outcome
// is unknown.
func (tx *Tx) Intent() (Intent, bool) {
	if tx.prior == nil {
		return Intent{}, false
	}
	return Intent{tx.prior.Attempt, fromMillis(tx.prior.Wall), fromMillis(tx.prior.Last)}, true
}

// Sending makes it durable that the current refresh token is about to be
// spent, and reserves the room that the answer needs. When it fails nothing
// may be sent.
func (tx *Tx) Sending() error {
	if tx.cur == nil || tx.cur.cred.Refresh.Empty() {
		return ErrNoRefresh
	}
	if tx.unsaved {
		return ErrNotSaved
	}
	if tx.importing() {
		return tx.stillImporting()
	}
	if tx.moveErr != nil {
		return tx.moveErr
	}
	now := millis(tx.s.clock().Wall)
	j := journal{Phase: phaseSending, G: tx.cur.g + 1, FP: tx.cur.fingerprint(), Attempt: 1, Wall: now, Last: now, Process: tx.s.locker.Self()}
	if tx.prior != nil {
		j.Attempt, j.Wall = tx.prior.Attempt+1, tx.prior.Wall
	}
	if err := tx.journal.intend(j); err != nil {
		return err
	}
	tx.sent = true
	return nil
}

// Received takes over a new login: the answer to what Sending announced, or
// that of a sign-in. It is journalled at once and saved when the function given
// to Update has returned. A sign-in of another account than the profile's is
// refused with ErrOtherAccount.
func (tx *Tx) Received(c Credential) error {
	if !tx.sent {
		if tx.cur != nil && !tx.cur.cred.mayBecome(c) {
			return fmt.Errorf("%s: %w", tx.ref.ID, ErrOtherAccount)
		}
		next := newGeneration(tx.at.key, tx.highest+1, tx.s.locker.Self().Host, c)
		tx.next = &next
		return nil
	}
	next := newGeneration(tx.at.key, tx.cur.g+1, tx.s.locker.Self().Host, c)
	tx.next = &next
	// A journal that fails is no reason to stop: the lock is kept until the
	// keychain has the token.
	tx.journalled = tx.journalAnswer(next) == nil
	return nil
}

func (tx *Tx) journalAnswer(next generation) error {
	for _, withAccess := range []bool{true, false} {
		box, err := seal(*tx.cur, next, withAccess)
		if err != nil {
			return err
		}
		j := journal{Phase: phaseReceived, G: next.g, Process: tx.s.locker.Self(), Box: box}
		if len(j.encode()) <= journalSize {
			return tx.journal.receive(j)
		}
	}
	return errors.New("the answer does not fit the journal")
}

// Reload reads the slots again, and reports whether the refresh token is another
// one than before: somebody replaced it without taking the lock. Current and
// Generation then speak of the new one.
func (tx *Tx) Reload(ctx context.Context) (changed bool, err error) {
	if tx.cur == nil || tx.unsaved {
		return false, nil
	}
	before := tx.cur.cred.Refresh
	again := *tx
	again.cur = nil
	if _, err := again.readSlots(ctx); err != nil {
		return false, err
	}
	if again.cur == nil || again.cur.cred.Refresh.Equal(before) {
		return false, nil
	}
	tx.cur, tx.highest, tx.sent, tx.prior = again.cur, max(tx.highest, again.highest), false, nil
	return true, nil
}

// Outcome declares what became of the request that Sending announced.
func (tx *Tx) Outcome(o Outcome) { tx.outcome = o }

// Mark remembers a state of the current refresh token, or of the one just
// received, until a time where one is meant. It is written to the mirror when
// Update ends.
func (tx *Tx) Mark(state State, reason string, until time.Time) {
	tx.standing = standing{State: state, Reason: reason, until: until}
	if x := tx.newest(); x != nil {
		tx.standing.fp = x.fingerprint()
	}
}

func (tx *Tx) newest() *generation {
	if tx.next != nil {
		return tx.next
	}
	return tx.cur
}

// finish makes durable what f left in tx, in the order of writes.
func (tx *Tx) finish(ctx context.Context, err error) error {
	ctx = context.WithoutCancel(ctx) // what was received must not be lost
	if tx.next == nil {
		return errors.Join(err, tx.settle(), tx.tidy(ctx))
	}
	saveErr := tx.save(ctx, *tx.next)
	if saveErr != nil && !tx.sent {
		return errors.Join(err, saveErr) // a sign-in that was not saved did not happen
	}
	if errors.Is(saveErr, ErrAbandoned) {
		return errors.Join(err, saveErr)
	}
	if saveErr != nil {
		tx.cur, tx.unsaved, tx.next = tx.next, true, nil
		mirrorErr := tx.writeMirror(ctx)
		return errors.Join(err, fmt.Errorf("%w: %w", ErrNotSaved, saveErr), mirrorErr)
	}
	tx.cur, tx.next, tx.unsaved = tx.next, nil, false
	return errors.Join(err, tx.writeMirror(ctx), tx.journal.clear(), tx.clearPace())
}

// settle leaves the journal as the outcome of a request without an answer
// demands: an earlier send of unknown outcome stays on record.
func (tx *Tx) settle() error {
	if !tx.sent || tx.outcome == Ambiguous {
		return nil
	}
	if tx.prior != nil && tx.outcome != Dead {
		return tx.journal.write(*tx.prior)
	}
	return tx.journal.remove()
}

// tidy brings the mirror up to date when nothing was received.
func (tx *Tx) tidy(ctx context.Context) error {
	if tx.removed {
		return nil
	}
	if tx.cur == nil && tx.mirrored.Generation == 0 {
		return tx.s.dropIndex(ctx, tx.at.rootID, tx.at.key) // a first login that never came to be
	}
	return tx.writeMirror(ctx)
}

// saveWaits are the pauses between attempts to write the keychain: 16 s in
// all. Without a journal the last one repeats until the write succeeds.
var saveWaits = [...]time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// savePatience bounds the attempts when a journal holds the token.
const savePatience = 20 * time.Second

// save writes a generation to the keychain: index entry of a new profile, slot,
// access token. It gives up only when the journal, or the person at a first
// login, can carry on.
func (tx *Tx) save(ctx context.Context, x generation) error {
	mayGiveUp := tx.journalled || !tx.sent
	if mayGiveUp {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, savePatience)
		defer cancel()
	}
	for try := 0; ; try++ {
		var err error
		if try > 0 { // the last write may still be on its way
			err = tx.s.secrets.Barrier(ctx)
		}
		if err == nil {
			err = tx.saveOnce(ctx, x)
		}
		if err == nil {
			return nil
		}
		if mayGiveUp && try >= len(saveWaits) {
			return err
		}
		var abandon <-chan struct{}
		if !mayGiveUp && tx.s.Stuck != nil {
			abandon = tx.s.Stuck(tx.ref, err)
		}
		select {
		case <-time.After(saveWaits[min(try, len(saveWaits)-1)]):
		case <-ctx.Done():
			return err
		case <-abandon:
			return fmt.Errorf("%w: %w", ErrAbandoned, err)
		}
	}
}

func (tx *Tx) saveOnce(ctx context.Context, x generation) error {
	if tx.cur == nil {
		e := indexEntry{tx.ref.Agent, tx.ref.ID, x.cred.Provider, tx.at.key}
		if err := tx.s.addIndex(ctx, tx.at.rootID, e); err != nil {
			return err
		}
	}
	if err := tx.s.secrets.Set(ctx, slotItem(x.key, x.g), x.encodeSlot()); err != nil {
		return fmt.Errorf("saving the login: %w", err)
	}
	if x.cred.Kind == KindOAuth && !x.cred.Access.Empty() {
		// A cache: without it the next reader renews the login, that is all. So
		// it may have a moment of its own when the patience for the slot is over.
		_ = tx.s.secrets.Set(context.WithoutCancel(ctx), accessItem(x.key, x.g), x.encodeAccess())
	}
	return nil
}

// writeMirror makes the mirror say what is true now. It never goes back to an
// older generation, and a generation that is not saved yet changes only the
// state.
func (tx *Tx) writeMirror(ctx context.Context) error {
	if tx.importing() {
		return tx.stillImporting() // it is not ours to tell of yet
	}
	if tx.Moved() {
		return nil // the tombstone stays
	}
	st := tx.bound()
	switch {
	case tx.Lost():
		st = standing{State: StateNeedsLogin, Reason: "store_lost"}
	case tx.unsaved:
		st = standing{State: StatePendingSave}
	case st.State == "":
		st = standing{State: StateOK}
	}
	return tx.s.editMirror(ctx, tx.at.place, tx.ref.Agent, func(m *mirror) error {
		e, ok := m.entry(tx.ref.ID)
		switch {
		case ok && e.foreign():
			return fmt.Errorf("the entry %q holds another program's login and is left alone", tx.ref.ID)
		case ok && e.Ours.valid() && (tx.cur == nil || tx.unsaved || e.Ours.G > tx.cur.g):
			return m.mark(tx.ref.ID, e, st)
		case tx.cur == nil || tx.unsaved:
			return nil
		}
		m.put(tx.ref.ID, tx.at, *tx.cur, st)
		if !ok {
			m.joinOrder(tx.cur.cred.Provider, tx.ref.ID)
		}
		return nil
	})
}
