package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the keychain and the profile files, and mend them with --fix",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), fix) },
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended")
	return cmd
}

// doctor prints one line per check. It fails when something is wrong and was
// not mended.
func (a *app) doctor(ctx context.Context, fix bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.sys.stdout, "state folder  %s\n", k.Store.Dir())
	if err := a.unlocking(ctx, func() error { return k.Store.Probe(ctx) }); err != nil {
		return err
	}
	fmt.Fprintln(a.sys.stdout, "keychain      works: written, read back, deleted")
	refs, err := k.Store.Indexed(ctx)
	if err != nil {
		return err
	}
	broken := 0
	for _, ref := range refs {
		ok, err := a.examine(ctx, k, ref, fix)
		if err != nil {
			return err
		}
		if !ok {
			broken++
		}
	}
	if broken > 0 {
		return &hintedError{fmt.Errorf("%d of %d logins are not in the profile files as they should be", broken, len(refs)), "keytray doctor --fix"}
	}
	fmt.Fprintf(a.sys.stdout, "logins        %d, all as the keychain says\n", len(refs))
	return nil
}

// examine compares a login's entry in the profile file with the keychain's
// index, and restores it if fix is set.
func (a *app) examine(ctx context.Context, k *keeper.Keeper, ref sink.Ref, fix bool) (ok bool, err error) {
	_, err = k.Store.Profile(ref)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, sink.ErrMirrorMissing) && !errors.Is(err, sink.ErrUnknownProfile) {
		return false, err
	}
	if !fix {
		fmt.Fprintf(a.sys.stdout, "missing       %s of agent %s\n", printable(ref.ID), ref.Agent)
		return false, nil
	}
	if err := k.Store.Restore(ctx, ref); err != nil {
		return false, err
	}
	what := "restored"
	if _, err := k.Store.Profile(ref); errors.Is(err, sink.ErrUnknownProfile) {
		what = "cleared" // an index entry of a first login that never came to be
	}
	fmt.Fprintf(a.sys.stdout, "%-13s %s of agent %s\n", what, printable(ref.ID), ref.Agent)
	return true, nil
}
