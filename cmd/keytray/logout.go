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

func (a *app) logoutCommand() *cobra.Command {
	var local bool
	cmd := &cobra.Command{
		Use:   "logout PROFILE",
		Short: "Sign out, here and at the provider",
		Long: `Have the provider end a login, and remove its secrets from the keychain and its
entry from the profile file. A provider that cannot be reached, or has no way to be
told, keeps nobody from signing out: what it issued then lives until it expires,
which is said, and its account page can end it.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.logout(cmd.Context(), sink.Ref{Agent: a.agent, ID: args[0]}, local)
		},
	}
	cmd.Flags().Bool("yes", true, "ask nothing, which is always so")
	cmd.Flags().BoolVar(&local, "local", false, "do not tell the provider: tokens that were handed out go on working")
	return cmd
}

func (a *app) logout(ctx context.Context, ref sink.Ref, local bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	p, _ := k.Store.Profile(ref) // for the words
	var farewell keeper.Farewell
	var why error
	err = a.unlocking(ctx, func() error {
		farewell, why, err = k.Logout(ctx, ref, local)
		return err
	})
	if errors.Is(err, sink.ErrUnknownProfile) {
		return setup.Usage(err, "`keytray status` shows the profiles")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.sys.stderr, "signed out %s%s\n", ref.ID, plain.Text(farewellText(k, p, farewell, why)))
	a.warnOfLinks(k, ref)
	a.supply(ctx, k) // takes its token out of them
	return nil
}

// farewellText ends the sentence that somebody was signed out.
func farewellText(k *keeper.Keeper, p sink.Profile, f keeper.Farewell, why error) string {
	entry, _ := k.Providers.Find(p.Provider)
	name := entry.Name
	if name == "" {
		name = "the provider"
	}
	switch {
	case f == keeper.Told:
		return "; " + name + " has ended the login too"
	case f == keeper.Local:
		return " on this machine; the provider was not told"
	case f == keeper.Unheard:
		return fmt.Sprintf(" on this machine only: %s could not be told (%s), so what it issued works until it expires; its account page can end it", name, setup.OneLine(why))
	case p.Kind == sink.KindOAuth:
		return fmt.Sprintf(" on this machine only: %s has no way to be told, so what it issued works until it expires; its account page can end it", name)
	default:
		return fmt.Sprintf(" on this machine only: the secret itself is good until %s withdraws it, which its account page can do", name)
	}
}
