//go:build windows || (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keychain

import (
	"context"
	"errors"
	"fmt"
)

// outcome is what a call left behind.
type outcome struct {
	value string
	err   error
}

// detach runs a call that knows no context. When ctx ends first, the goroutine
// lives on until the call returns, and done is closed then.
//
// A panic becomes an error, because go-keyring trusts the types of what a
// service sends.
func detach(ctx context.Context, call func() (string, error)) (out outcome, done <-chan struct{}) {
	result := make(chan outcome, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			if recover() != nil {
				result <- outcome{err: fmt.Errorf("%w: it sent what go-keyring cannot read", ErrUnavailable)}
			}
		}()
		value, err := call()
		result <- outcome{value, err}
	}()
	select {
	case out = <-result:
		return out, nil
	case <-ctx.Done():
		return outcome{err: context.Cause(ctx)}, over
	}
}

// detachWrite is detach for a call that may be applied after we gave up on it.
func detachWrite(ctx context.Context, call func() error) error {
	out, done := detach(ctx, func() (string, error) { return "", call() })
	if done != nil {
		return &unfinishedError{done, out.err}
	}
	return out.err
}

// isOurs reports whether err is classified already.
func isOurs(err error) bool {
	for _, ours := range []error{ErrNotFound, ErrLocked, ErrUnavailable, ErrDismissed, ErrWedged, ErrTooBig, ErrCorrupt} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}
