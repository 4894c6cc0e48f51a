//go:build !linux

package session

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Session is a running bus and keyring; there is none on this system.
type Session struct{}

// Start returns [errors.ErrUnsupported].
func Start(context.Context, string) (*Session, error) {
	return nil, fmt.Errorf("starting a private keyring session on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Env returns nothing.
func (*Session) Env() []string { return nil }

// Address returns nothing.
func (*Session) Address() string { return "" }

// Close does nothing.
func (*Session) Close() error { return nil }
