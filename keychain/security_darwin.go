package keychain

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/zalando/go-keyring"
)

// loginKeychain is the keychain of macOS, which go-keyring reaches through
// /usr/bin/security.
type loginKeychain struct{ service string }

func newStore(opts Options) store { return loginKeychain{opts.Service} }

// limit follows from the 4,096 bytes of one command line of security -i, of
// which go-keyring's command takes 54 and base64 a quarter of the rest.
func (s loginKeychain) limit(name string) int {
	return (4096 - 54 - len(s.service) - len(name)) / 4 * 3
}

func (s loginKeychain) lookup(ctx context.Context, name string) ([]string, error) {
	value, err := detachRead(ctx, func() (string, error) { return keyring.Get(s.service, name) })
	if err != nil {
		return nil, classify(err)
	}
	return []string{value}, nil
}

func (s loginKeychain) set(ctx context.Context, name, value string) error {
	return classify(detachWrite(ctx, func() error { return keyring.Set(s.service, name, value) }))
}

func (s loginKeychain) remove(ctx context.Context, name string, mine func(string) bool) error {
	values, err := s.lookup(ctx, name)
	if err == nil && mine(values[0]) {
		err = classify(detachWrite(ctx, func() error { return keyring.Delete(s.service, name) }))
	}
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s loginKeychain) answer(ctx context.Context) error {
	_, err := s.lookup(ctx, "barrier")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// unlock has nothing to do: macOS raises its dialog itself.
func (loginKeychain) unlock(_ context.Context, locked error) error { return locked }

// classify makes one of our errors of one of theirs. The exit status of
// security is the low byte of an OSStatus.
func classify(err error) error {
	if err == nil || isOurs(err) {
		return err
	}
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNotFound
	}
	if errors.Is(err, keyring.ErrSetDataTooBig) {
		return ErrTooBig
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch exit.ExitCode() {
	case 44: // errSecItemNotFound
		return ErrNotFound
	case 36, 51: // errSecInteractionNotAllowed, errSecAuthFailed
		return ErrLocked
	case 128: // userCanceledErr
		return ErrDismissed
	}
	return fmt.Errorf("%w: security ended with status %d", ErrUnavailable, exit.ExitCode())
}
