package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
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
	if err := a.examineLinks(k, fix); err != nil {
		return err
	}
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
		return setup.Hinted(fmt.Errorf("%d of %d logins are not as they should be", broken, len(refs)), "keytray doctor --fix")
	}
	fmt.Fprintf(a.sys.stdout, "logins        %d, all as the keychain says\n", len(refs))
	return nil
}

// examine compares a login's entry in the profile file with the keychain's
// index, and mends it if fix is set.
func (a *app) examine(ctx context.Context, k *keeper.Keeper, ref sink.Ref, fix bool) (ok bool, err error) {
	p, err := k.Store.Profile(ref)
	if err == nil && p.State != sink.StateForeignHost {
		return a.finish(ctx, k, p, fix)
	}
	what := a.complaint(err)
	if !fix {
		fmt.Fprintf(a.sys.stdout, "%-13s %s of agent %s\n", what, plain.Text(ref.ID), ref.Agent)
		return false, nil
	}
	mended, err := a.mend(ctx, k, ref, err)
	if errors.Is(err, sink.ErrImporting) {
		fmt.Fprintf(a.sys.stdout, "%-13s %s of agent %s: %s\n", "not moved", plain.Text(ref.ID), ref.Agent, plain.Text(setup.OneLine(err)))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	fmt.Fprintf(a.sys.stdout, "%-13s %s of agent %s\n", mended, plain.Text(ref.ID), ref.Agent)
	return true, nil
}

// complaint is one word for what is wrong with an entry.
func (a *app) complaint(err error) string {
	switch {
	case err == nil:
		return "foreign"
	case errors.Is(err, sink.ErrMirrorMissing), errors.Is(err, sink.ErrUnknownProfile):
		return "missing"
	default:
		return "unreadable"
	}
}

// mend does what helps against wrong, and says in one word what that was.
func (a *app) mend(ctx context.Context, k *keeper.Keeper, ref sink.Ref, wrong error) (string, error) {
	if wrong == nil {
		return "adopted", k.Store.Adopt(ctx, ref)
	}
	_, damaged := errors.AsType[*sink.MirrorError](wrong)
	if damaged && !errors.Is(wrong, sink.ErrMirrorMissing) {
		aside, err := k.Store.SetAside(ctx, ref.Agent)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(a.sys.stdout, "set aside     %s\n", aside)
	}
	if err := k.Store.Restore(ctx, ref); err != nil {
		return "", err
	}
	if _, err := k.Store.Profile(ref); errors.Is(err, sink.ErrUnknownProfile) {
		return "cleared", nil // an index entry of a first login that never came to be
	}
	return "restored", nil
}

// finish lets a login that waits in its journal be saved, if fix is set.
func (a *app) finish(ctx context.Context, k *keeper.Keeper, p sink.Profile, fix bool) (ok bool, err error) {
	if p.State != sink.StatePendingSave {
		return true, nil
	}
	if fix {
		if err := k.Store.Restore(ctx, p.Ref); err != nil {
			return false, err
		}
		if p, err = k.Store.Profile(p.Ref); err == nil && p.State != sink.StatePendingSave {
			fmt.Fprintf(a.sys.stdout, "saved         %s of agent %s\n", plain.Text(p.ID), p.Agent)
			return true, nil
		}
	}
	fmt.Fprintf(a.sys.stdout, "not saved     %s of agent %s\n", plain.Text(p.ID), p.Agent)
	return false, nil
}
