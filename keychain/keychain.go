// Package keychain stores bytes under names in the keychain of the operating
// system, and handles everything odd about it: dialogs that block, writes that
// say yes and did nothing, services that lie, hang or die, values that do not
// fit. It knows names and bytes, not profiles, and logs nothing.
//
// # What a caller may rely on
//
//   - A nil error of [Keychain.Set] means that the value was read back and is
//     the one that was given; of [Keychain.Delete], that a search found none.
//   - Without [Options].Prompt no call raises a dialog: whether the keychain is
//     locked is asked first, over a connection of our own that cannot ask anybody.
//   - Every call ends: after 5 s, or 120 s while a person has a dialog to answer.
//   - Every error of the keychain is one of the sentinels below, and holds no
//     secret and no text that a service sent.
//
// # The fence
//
// A write that timed out may still be applied later. From then on every call is
// refused with [ErrWedged], until the old call has returned or
// [Keychain.Barrier] has been answered on a new connection, behind which no
// older write can be waiting.
//
// # How far it can be trusted
//
// Every process of the same user can read, change and plant items of an
// unlocked keychain. The checksum in each item finds damage and mix-ups, not
// malice.
package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// The errors of this package; every other one is about a name that cannot be
// used, a fault of the caller.
var (
	// ErrNotFound says that there is no such item, or that the item of that
	// name belongs to another program. Only Get returns it. It is
	// [fs.ErrNotExist] too, and nothing else is.
	ErrNotFound = fmt.Errorf("item not in the keychain: %w", fs.ErrNotExist)
	// ErrLocked says that the keychain is locked, and that it was not allowed
	// or not possible to ask a person.
	ErrLocked = errors.New("keychain is locked")
	// ErrUnavailable says that there is no keychain, or none that answers.
	ErrUnavailable = errors.New("keychain is not available")
	// ErrDismissed says that a person closed the unlock dialog. Calls of the
	// same [Keychain] do not ask again.
	ErrDismissed = errors.New("unlocking the keychain was dismissed")
	// ErrWedged says that the outcome of a write is unknown, of this call or of
	// an earlier one: see the fence in the package comment.
	ErrWedged = errors.New("keychain holds an unfinished write")
	// ErrTooBig says that a value is larger than [MaxValue].
	ErrTooBig = errors.New("value is too big for the keychain")
	// ErrCorrupt says that an item is there and is not what was written:
	// damaged, torn, or not taken by a write that claimed success. A write
	// returns it also where another program's item is in the way. It is
	// [fs.ErrInvalid] too.
	ErrCorrupt error = corruptError{}
)

type corruptError struct{}

func (corruptError) Error() string        { return "keychain item is damaged" }
func (corruptError) Is(target error) bool { return target == fs.ErrInvalid }

const (
	// callTimeout bounds what one call asks of the keychain, in all.
	callTimeout = 5 * time.Second
	// personTimeout bounds the dialog that a person answers.
	personTimeout = 120 * time.Second
)

// MaxValue is the size in bytes of the largest value on every system.
const MaxValue = 48 << 10

// Options say which keychain [Open] opens, and how.
type Options struct {
	// Service groups the items; "" means "keytray". Its characters are those of
	// an item name.
	Service string
	// Prompt allows one unlock dialog in the life of the [Keychain]: so it is
	// for one act of a person. Leave it false for work in the background.
	Prompt bool
	// Bus is the value of DBUS_SESSION_BUS_ADDRESS, read by main. Where it is
	// empty the user's bus in /run/user is taken, if there is one; a bus is
	// never launched. Only the Secret Service uses it. go-keyring has no
	// other door than the environment, so that [Open] sets the variable: one
	// process, one bus.
	Bus string
}

// Keychain is the keychain of this user. Its methods may be called from many
// goroutines and run one at a time.
type Keychain struct {
	service string
	store   store

	// turn serialises the calls and guards what follows.
	turn chan struct{}
	// unsure is set after a write of unknown outcome.
	unsure *unfinishedError
	// mayAsk is the leave to raise a dialog; it is used up by the first one.
	mayAsk bool
	// dismissed says that the person closed that one.
	dismissed bool
}

// store is one system's keychain. Its calls are bounded by ctx; a write that
// outlives it gives an [*unfinishedError]. None but unlock raises a dialog.
type store interface {
	// lookup returns the values under name, the newest first.
	lookup(ctx context.Context, name string) ([]string, error)
	// set stores value under name, if that is vacant.
	set(ctx context.Context, name, value string) error
	// remove removes those items under name whose values are mine.
	remove(ctx context.Context, name string, mine func(value string) bool) error
	// answer returns nil when the keychain has answered on a new connection.
	answer(ctx context.Context) error
	// unlock asks a person to unlock what gave the error locked, and runs then
	// while that holds.
	unlock(ctx context.Context, locked error, then func() error) error
	// limit is the number of bytes that one item can hold.
	limit(name string) int
}

// Open returns the keychain. It asks nothing of it yet.
func Open(opts Options) *Keychain {
	if opts.Service == "" {
		opts.Service = "keytray"
	}
	return &Keychain{
		service: opts.Service,
		store:   newStore(opts),
		mayAsk:  opts.Prompt,
		turn:    make(chan struct{}, 1),
	}
}

// Get returns the value under name.
func (k *Keychain) Get(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := k.do(ctx, "reading", name, func(ctx context.Context) error {
		var err error
		value, err = k.read(ctx, name)
		return err
	})
	return value, err
}

// Set stores value under name, in place of what is there, and reads it back.
func (k *Keychain) Set(ctx context.Context, name string, value []byte) error {
	return k.do(ctx, "storing", name, func(ctx context.Context) error { return k.write(ctx, name, value) })
}

// Delete removes what is under name; it is no error if there is nothing.
func (k *Keychain) Delete(ctx context.Context, name string) error {
	return k.do(ctx, "deleting", name, func(ctx context.Context) error { return k.remove(ctx, name) })
}

// Barrier returns nil when the keychain has answered on a new connection, so
// that no earlier write, of this process or of one that died, is applied after
// it. It never raises a dialog, and a locked keychain can answer it.
func (k *Keychain) Barrier(ctx context.Context) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if err := bounded(ctx, callTimeout, k.store.answer); err != nil {
		return fmt.Errorf("waiting for the keychain: %w", err)
	}
	k.unsure = nil
	return nil
}

// do runs one call: checked, alone, and not past a fence.
func (k *Keychain) do(ctx context.Context, what, name string, call func(context.Context) error) error {
	if err := checkName(k.service, name); err != nil {
		return err
	}
	if err := k.take(ctx); err != nil {
		return err
	}
	defer k.give()
	if k.unsure != nil && !k.unsure.over() {
		return About(what, name, ErrWedged)
	}
	k.unsure = nil
	err := k.unlocked(ctx, call)
	if u, ok := errors.AsType[*unfinishedError](err); ok {
		k.unsure = u
	}
	if err != nil {
		return About(what, name, err)
	}
	return nil
}

// unlocked runs a call, and once more when it met a lock that a person opened.
func (k *Keychain) unlocked(ctx context.Context, call func(context.Context) error) error {
	err := bounded(ctx, callTimeout, call)
	if !errors.Is(err, ErrLocked) {
		return err
	}
	if k.dismissed {
		return ErrDismissed
	}
	if !k.mayAsk {
		return err
	}
	k.mayAsk = false
	// A person is slower than a keychain: the two have clocks of their own.
	asking, cancel := context.WithTimeout(ctx, personTimeout)
	defer cancel()
	err = k.store.unlock(asking, err, func() error { return bounded(ctx, callTimeout, call) })
	k.dismissed = errors.Is(err, ErrDismissed)
	return err
}

func bounded(ctx context.Context, limit time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx)
}

func (k *Keychain) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for another keychain call: %w: %w", ErrUnavailable, ctx.Err())
	}
}

func (k *Keychain) give() { <-k.turn }

// put stores one item and believes only what it reads afterwards: a nil error
// of the store proves as little as another one.
func (k *Keychain) put(ctx context.Context, name, item string) error {
	stored := k.store.set(ctx, name, item)
	if isFinal(stored) {
		return stored
	}
	got, err := k.own(ctx, name)
	switch {
	case err == nil && equal(got, item):
		return nil
	case stored != nil:
		return stored
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	return fmt.Errorf("%w: another value was read back", ErrCorrupt)
}

// drop removes one item of ours, if there is one, and looks again.
func (k *Keychain) drop(ctx context.Context, name string) error {
	if _, err := k.own(ctx, name); err != nil {
		return unlessAbsent(err)
	}
	removed := k.store.remove(ctx, name, isOwn)
	if isFinal(removed) {
		return removed
	}
	switch _, err := k.own(ctx, name); {
	case errors.Is(err, ErrNotFound):
		return nil
	case removed != nil:
		return removed
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: it was still there after it was deleted", ErrCorrupt)
}

// own returns the item of ours under name, whole or damaged.
func (k *Keychain) own(ctx context.Context, name string) (string, error) {
	found, err := k.store.lookup(ctx, name)
	if err != nil {
		return "", err
	}
	return newestOwn(k.service, name, found)
}

// unlessAbsent is err, or nil if it only says that there is no item.
func unlessAbsent(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// isFinal reports whether there is nothing to read back after a write: the
// store did not even try, or it is not known when it will have.
func isFinal(err error) bool {
	for _, final := range []error{ErrLocked, ErrDismissed, ErrTooBig, ErrWedged} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}
