//go:build unix

package keychain

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// loginKeychain is the keychain of macOS, through the program security, with
// items in the form of go-keyring. It does not call go-keyring, which mixes
// what security prints on stderr into the value, knows "not found" by an English
// sentence, leaves a child behind when a value is too long, and gives no way to
// put the child into a process group and to end it.
//
// The file is built on every Unix, because its tests run where there is no Mac.
type loginKeychain struct {
	// program is /usr/bin/security: never searched for in PATH.
	program string
	service string
	// dismissed says that a person closed the dialog that macOS raised: another
	// call would raise it again.
	dismissed bool
}

const (
	// goKeyringPrefix stands before every value that go-keyring writes.
	goKeyringPrefix = "go-keyring-base64:"
	// maxLine is what security -i reads of one line; the rest would be a
	// command of its own.
	maxLine = 4096
)

// addCommand is the line for security -i. Its words need no quotes, because
// checkName and base64 leave nothing that security's own way of splitting a
// line, which is not the shell's, would take for more than a letter.
func addCommand(service, name, value string) string {
	return "add-generic-password -U -s " + service + " -a " + name +
		" -w " + goKeyringPrefix + base64.StdEncoding.EncodeToString([]byte(value)) + "\n"
}

func (s *loginKeychain) limit(name string) int {
	return (maxLine - len(addCommand(s.service, name, ""))) / 4 * 3
}

func (s *loginKeychain) lookup(ctx context.Context, name string) ([]string, error) {
	out, err := s.run(ctx, "", "find-generic-password", "-s", s.service, "-wa", name)
	if err != nil {
		return nil, err
	}
	return []string{fromMac(strings.TrimSuffix(out, "\n"))}, nil
}

// fromMac returns the item in what security prints.
func fromMac(out string) string {
	value, ok := strings.CutPrefix(out, goKeyringPrefix)
	if !ok {
		return "" // of another program: whatever it is, it is not ours
	}
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil {
		return string(raw)
	}
	return mark // ours once, and damaged
}

func (s *loginKeychain) set(ctx context.Context, name, value string) error {
	there, err := s.lookup(ctx, name)
	if err = errors.Join(unlessAbsent(err), vacant(there)); err != nil {
		return err
	}
	_, err = s.run(ctx, addCommand(s.service, name, value), "-i")
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: there is no default keychain", ErrUnavailable)
	}
	return s.unlessTimely(ctx, err)
}

func (s *loginKeychain) remove(ctx context.Context, name string, _ func(string) bool) error {
	_, err := s.run(ctx, "", "delete-generic-password", "-s", s.service, "-a", name)
	return s.unlessTimely(ctx, unlessAbsent(err))
}

// unlessTimely says that a write that was killed may have reached the system's
// keychain process all the same.
func (*loginKeychain) unlessTimely(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &unfinishedError{cause: ctx.Err()}
	}
	return err
}

func (s *loginKeychain) answer(ctx context.Context) error {
	_, err := s.lookup(ctx, "barrier")
	return unlessAbsent(err)
}

// unlock has nothing to add: macOS raises its dialog by itself.
func (*loginKeychain) unlock(_ context.Context, locked error, _ func() error) error { return locked }

// run runs security in a process group of its own, so that it and its children
// end with ctx, and a Ctrl-C for us does not end it in the middle of a write.
func (s *loginKeychain) run(ctx context.Context, stdin string, args ...string) (string, error) {
	if s.dismissed {
		return "", ErrDismissed
	}
	cmd := exec.CommandContext(ctx, s.program, args...) //nolint:gosec // the program is a constant, the names are checked
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader(stdin), &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if err != nil {
		err = exitError(err)
		s.dismissed = errors.Is(err, ErrDismissed)
		return "", err
	}
	return out.String(), nil
}

// exitError reads the exit status of security: the low byte of an OSStatus.
func exitError(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		// Not wrapped: a missing program would be fs.ErrNotExist, as a missing item is.
		return fmt.Errorf("%w: running security: %s", ErrUnavailable, err.Error())
	}
	switch exit.ExitCode() {
	case 44: // errSecItemNotFound, -25300
		return ErrNotFound
	case 36: // errSecInteractionNotAllowed, -25308: locked, and no screen to ask on, as over ssh
		return ErrLocked
	case 51: // errSecAuthFailed, -25293: a wrong password was typed
		return ErrLocked
	case 128: // errSecUserCanceled, -128
		return ErrDismissed
	}
	return fmt.Errorf("%w: security ended with status %d", ErrUnavailable, exit.ExitCode())
}
