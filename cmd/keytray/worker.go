package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/sink"
)

// workerCommand is for the tray: one operation in a process of its own.
func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "__worker",
		Short:  "Do one operation for the tray",
		Hidden: true,
		Args:   usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := a.keeper(false)
			if err != nil {
				return err
			}
			return keeper.Worker{Keeper: k, Explain: failure}.Serve(cmd.Context(), a.sys.stdin, a.sys.stdout)
		},
	}
}

// failure is explain for programs.
func failure(err error) keeper.Failure {
	exit, hint := explain(err)
	f := keeper.Failure{Code: code(exit), Exit: exit, Message: oneLine(err), Hint: hint}
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
		{context.Canceled, "cancelled"},
	} {
		if errors.Is(err, c.is) {
			f.Code = c.code
			break
		}
	}
	f.Message, f.Hint = printable(f.Message), printable(f.Hint)
	return f
}

// code is a word for an exit code.
func code(exit int) string {
	switch exit {
	case exitUsage:
		return "usage"
	case exitKeychain:
		return "keychain"
	case exitLogin:
		return "needs_login"
	case exitLater:
		return "later"
	default:
		return "failed"
	}
}
