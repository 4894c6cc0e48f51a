package keychain

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/zalando/go-keyring"
)

// credentialManager is the keychain of Windows. Its calls are plain system
// calls: no dialog, no connection, and a write is done when it returns.
type credentialManager struct{ service string }

func newStore(opts Options) store { return credentialManager{opts.Service} }

// limit is CRED_MAX_CREDENTIAL_BLOB_SIZE.
func (credentialManager) limit(string) int { return 5 * 512 }

func (s credentialManager) lookup(ctx context.Context, name string) ([]string, error) {
	value, err := detachRead(ctx, func() (string, error) { return keyring.Get(s.service, name) })
	if err != nil {
		return nil, classify(err)
	}
	return []string{value}, nil
}

// detachRead is detach for a call that changes nothing.
func detachRead(ctx context.Context, call func() (string, error)) (string, error) {
	out, done := detach(ctx, call)
	if done != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, out.err)
	}
	return out.value, out.err
}

func (s credentialManager) set(ctx context.Context, name, value string) error {
	there, err := s.lookup(ctx, name)
	if err = errors.Join(unlessAbsent(err), vacant(there)); err != nil {
		return err
	}
	return classify(detachWrite(ctx, func() error { return keyring.Set(s.service, name, value) }))
}

func (s credentialManager) remove(ctx context.Context, name string, _ func(string) bool) error {
	return unlessAbsent(classify(detachWrite(ctx, func() error { return keyring.Delete(s.service, name) })))
}

func (s credentialManager) answer(ctx context.Context) error {
	_, err := s.lookup(ctx, "barrier")
	return unlessAbsent(err)
}

// unlock has nobody to ask: the store is open while its user is signed in.
func (credentialManager) unlock(_ context.Context, locked error, _ func() error) error { return locked }

// errNoSuchLogonSession is what a network logon gets, over ssh or WinRM.
const errNoSuchLogonSession = syscall.Errno(1312)

// classify makes one of our errors of one of theirs.
func classify(err error) error {
	switch {
	case err == nil || isOurs(err):
		return err
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return ErrTooBig
	case errors.Is(err, errNoSuchLogonSession):
		return fmt.Errorf("%w: this needs an interactive sign-in to Windows", ErrUnavailable)
	}
	// Not wrapped: some system errors are fs.ErrNotExist, as a missing item is.
	return fmt.Errorf("%w: %s", ErrUnavailable, err.Error())
}
