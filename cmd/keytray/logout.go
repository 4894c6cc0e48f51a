package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/sink"
)

func (a *app) logoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logout PROFILE",
		Short: "Remove a login from this machine",
		Long: `Remove a login's secrets from the keychain and its entry from the profile file.
The provider is not told: tokens that were handed out live until they expire,
and the session on the provider's side can be ended on its account page.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := a.keeper(true)
			if err != nil {
				return err
			}
			ref := sink.Ref{Agent: a.agent, ID: args[0]}
			if err := a.unlocking(cmd.Context(), func() error { return k.Logout(cmd.Context(), ref) }); err != nil {
				return err
			}
			fmt.Fprintf(a.sys.stderr, "signed out %s on this machine; the provider was not told\n", ref.ID)
			a.warnOfLinks(k, ref)
			a.supply(cmd.Context(), k) // takes its token out of them
			return nil
		},
	}
	cmd.Flags().Bool("yes", true, "ask nothing, which is always so")
	return cmd
}
