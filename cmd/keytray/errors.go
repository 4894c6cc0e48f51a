package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/sink"
)

// The exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitKeychain = 3
	exitLogin    = 4
	exitLater    = 5
)

// usageError is a call that cannot be understood.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hintedError is an error that knows what helps.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// report tells a person what went wrong and what helps, and returns the exit
// code.
func (a *app) report(err error) int {
	code, hint := explain(err)
	message := oneLine(err)
	if errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	fmt.Fprintf(a.sys.stderr, "keytray: %s\n", message)
	if hint != "" {
		fmt.Fprintf(a.sys.stderr, "keytray: hint: %s\n", hint)
	}
	return code
}

// oneLine writes joined errors in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// explain is the one place where errors become exit codes and hints.
func explain(err error) (code int, hint string) {
	if e, ok := errors.AsType[*usageError](err); ok {
		return exitUsage, e.hint
	}
	if e, ok := errors.AsType[*hintedError](err); ok {
		return exitFailed, e.hint
	}
	if e, ok := errors.AsType[*keeper.LoginRequiredError](err); ok {
		return exitLogin, printable(e.Condition().Command)
	}
	if e, ok := errors.AsType[*sink.UnsafeError](err); ok {
		return exitFailed, e.Hint
	}
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Code == "access_denied" {
		return exitFailed, "sign in again and allow the access"
	}
	for _, c := range []struct {
		is   error
		code int
		hint string
	}{
		{keychain.ErrLocked, exitKeychain, "unlock the login keyring, then run the command again; `keytray doctor` shows its state"},
		{keychain.ErrDismissed, exitKeychain, "run the command again and unlock the keyring in the dialog"},
		{keychain.ErrUnavailable, exitKeychain, "start a Secret Service (gnome-keyring, KWallet or KeePassXC), or see `keytray doctor`"},
		{keychain.ErrWedged, exitKeychain, "the keychain does not answer; restart it, then run the command again"},
		{sink.ErrForeignHost, exitFailed, "if the other machine does not use it any more: `keytray doctor --fix`"},
		{sink.ErrAbandoned, exitFailed, "sign in again: `keytray login PROVIDER`"},
		{keeper.ErrSignedOut, exitFailed, "sign in again if you want it back"},
		{sink.ErrMirrorMissing, exitLogin, "`keytray doctor --fix` restores the file from the keychain; without a login: `keytray login PROVIDER`"},
		{sink.ErrUnknownProfile, exitLogin, "see `keytray status`, or sign in with `keytray login PROVIDER`"},
		{sink.ErrAmbiguous, exitUsage, "name one of them"},
		{keeper.ErrUnknownProvider, exitUsage, "known ones are built in or lie in providers/*.json of the state folder"},
		{keeper.ErrPinned, exitFailed, "if the change is right, sign in again: `keytray login PROVIDER`"},
		{keeper.ErrMisconfigured, exitFailed, "check the provider's client id and endpoints"},
		{keeper.ErrTaken, exitFailed, "choose another id with --profile-id"},
		{sink.ErrOtherAccount, exitFailed, "keep both with --profile-id, or log the old one out first"},
		{keeper.ErrShortLife, exitFailed, "ask for less with --min-ttl"},
		{sink.ErrNoRefresh, exitFailed, ""},
		{oauth.ErrTimeout, exitFailed, "run the command again"},
		{keeper.ErrLater, exitLater, "try again in a moment; nothing was lost"},
		{sink.ErrNotSaved, exitLater, "unlock the keyring and run the command again; nothing was lost"},
		{sink.ErrBusy, exitLater, "try again in a moment"},
		{keeper.ErrBadRequest, exitUsage, ""},
		{context.Canceled, exitFailed, ""},
	} {
		if errors.Is(err, c.is) {
			return c.code, c.hint
		}
	}
	if _, ok := errors.AsType[*sink.MirrorError](err); ok {
		return exitFailed, "`keytray doctor --fix` sets the file aside and rebuilds it from the keychain"
	}
	return exitFailed, ""
}
