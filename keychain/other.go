//go:build !windows && !darwin && !((dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd)

package keychain

import "context"

// none is the keychain of a system that has none that we know.
type none struct{}

func newStore(Options) store { return none{} }

func (none) limit(string) int { return 0 }

func (none) lookup(context.Context, string) ([]string, error) { return nil, ErrUnavailable }

func (none) set(context.Context, string, string) error { return ErrUnavailable }

func (none) remove(context.Context, string, func(string) bool) error { return ErrUnavailable }

func (none) answer(context.Context) error { return ErrUnavailable }

func (none) unlock(_ context.Context, locked error, _ func() error) error { return locked }
