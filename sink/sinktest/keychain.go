// Package sinktest is a keychain in memory, for tests: it behaves as a real one
// does, its faults included.
package sinktest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// ErrDown is what a keychain answers that does not work.
var ErrDown = errors.New("the keychain does not answer")

// Op is one call.
type Op struct{ Verb, Name string }

// Keychain implements sink.Secrets. The zero value is empty and works.
type Keychain struct {
	// mu guards all below.
	mu    sync.Mutex
	items map[string][]byte
	ops   []Op
	fault func(Op) Fault
}

// Fault is what goes wrong with one call.
type Fault int

// The faults.
const (
	// None: the call works.
	None Fault = iota
	// NotApplied: an error, and nothing happened.
	NotApplied
	// Applied: an error, and yet it happened.
	Applied
	// Damaged: the item is there and unreadable.
	Damaged
)

// SetFault makes f decide on each later call; nil ends all faults. The calls of
// f are serialised.
func (k *Keychain) SetFault(f func(Op) Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
}

// Ops returns the calls so far and forgets them.
func (k *Keychain) Ops() []Op {
	k.mu.Lock()
	defer k.mu.Unlock()
	ops := k.ops
	k.ops = nil
	return ops
}

// Items returns a copy of all items.
func (k *Keychain) Items() map[string][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.items)
}

// Restore replaces all items, as a restored backup does.
func (k *Keychain) Restore(items map[string][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.items = maps.Clone(items)
}

// Get implements sink.Secrets.
func (k *Keychain) Get(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := k.do(ctx, Op{"get", name}, func() error {
		v, ok := k.items[name]
		if !ok {
			return fs.ErrNotExist
		}
		value = slices.Clone(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Set implements sink.Secrets.
func (k *Keychain) Set(ctx context.Context, name string, value []byte) error {
	return k.do(ctx, Op{"set", name}, func() error {
		if k.items == nil {
			k.items = map[string][]byte{}
		}
		k.items[name] = slices.Clone(value)
		return nil
	})
}

// Delete implements sink.Secrets.
func (k *Keychain) Delete(ctx context.Context, name string) error {
	return k.do(ctx, Op{"delete", name}, func() error {
		delete(k.items, name)
		return nil
	})
}

// Barrier implements sink.Secrets.
func (k *Keychain) Barrier(ctx context.Context) error {
	return k.do(ctx, Op{"barrier", ""}, func() error { return nil })
}

func (k *Keychain) do(ctx context.Context, op Op, apply func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ops = append(k.ops, op)
	f := None
	if k.fault != nil {
		f = k.fault(op)
	}
	switch f {
	case NotApplied:
		return ErrDown
	case Applied:
		_ = apply() // what it would have said is lost
		return ErrDown
	case Damaged:
		return fs.ErrInvalid
	default:
		return apply()
	}
}
