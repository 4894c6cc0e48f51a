package keychain

import (
	"context"
	"fmt"
)

// unfinishedError is a write that was still running when its time was over.
type unfinishedError struct {
	// done is closed when the call has returned after all; nil if nobody will know.
	done  <-chan struct{}
	cause error
}

func (e *unfinishedError) Error() string { return ErrWedged.Error() + ": " + e.cause.Error() }

func (e *unfinishedError) Unwrap() []error { return []error{ErrWedged, e.cause} }

// over reports whether the call has returned in the meantime.
func (e *unfinishedError) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

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

// detachRead is detach for a call that changes nothing.
func detachRead(ctx context.Context, call func() (string, error)) (string, error) {
	out, done := detach(ctx, call)
	if done != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, out.err)
	}
	return out.value, out.err
}

// detachWrite is detach for a call that may be applied after we gave up on it.
func detachWrite(ctx context.Context, call func() error) error {
	out, done := detach(ctx, func() (string, error) { return "", call() })
	if done != nil {
		return &unfinishedError{done, out.err}
	}
	return out.err
}
