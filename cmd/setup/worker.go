package setup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/keytray/keytray/desk"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

// Work is the whole life of a worker: one operation for the tray, told on in and
// answered on out, see [worker.Worker].
func (w *World) Work(ctx context.Context, in io.Reader, out io.Writer) error {
	root, err := w.Root()
	if err != nil {
		return err
	}
	secrets, err := w.Secrets()
	if err != nil {
		return err
	}
	k, err := w.Keeper(root, secrets)
	if err != nil {
		return err
	}
	d := desk.Desk{Environ: w.Environ}
	one := worker.Worker{Keeper: k, Explain: failure, Desk: d, Unlock: w.Unlock}
	one.Terminal = func(args ...string) error {
		if w.StateDir != "" {
			args = append(args, "--state-dir", w.StateDir)
		}
		return d.Terminal(append([]string{w.command()}, args...))
	}
	one.Sync = func(ctx context.Context) error { return w.Supply(ctx, k) }
	return one.Serve(ctx, in, out)
}

// command is the path of keytray: beside this program, where packages put it,
// else wherever PATH has it.
func (w *World) command() string {
	name := "keytray"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	beside := filepath.Join(filepath.Dir(w.Self), name)
	if fi, err := os.Stat(beside); err == nil && fi.Mode().IsRegular() {
		return beside
	}
	return name
}

// failure is Explain for programs.
func failure(err error) worker.Failure {
	exit, hint := Explain(err)
	f := worker.Failure{Code: code(exit), Exit: exit, Message: OneLine(err), Hint: hint}
	if e, ok := errors.AsType[*keeper.LoginRequiredError](err); ok {
		f.Reason, f.Message = e.Reason, e.Condition().Sentence
	}
	for _, c := range []struct {
		is   error
		code string
	}{
		{keychain.ErrLocked, string(keeper.StateKeychainLocked)},
		{keychain.ErrDismissed, string(keeper.StateKeychainLocked)},
		{sink.ErrNotSaved, string(sink.StatePendingSave)},
		{sink.ErrForeignHost, string(sink.StateForeignHost)},
		{keeper.ErrMisconfigured, string(sink.StateMisconfigured)},
		{worker.ErrNoDesk, "no_dialog"},
		{desk.ErrNoDialog, "no_dialog"},
		{desk.ErrNoClipboard, "no_clipboard"},
		{desk.ErrDismissed, "cancelled"},
		{context.Canceled, "cancelled"},
	} {
		if errors.Is(err, c.is) {
			f.Code = c.code
			break
		}
	}
	f.Message, f.Hint = plain.Text(f.Message), plain.Text(f.Hint)
	return f
}

// code is a word for an exit code.
func code(exit int) string {
	switch exit {
	case ExitUsage:
		return "usage"
	case ExitKeychain:
		return "keychain"
	case ExitLogin:
		return "needs_login"
	case ExitLater:
		return "later"
	default:
		return "failed"
	}
}
