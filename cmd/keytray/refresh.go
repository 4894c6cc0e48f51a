package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) refreshCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "refresh [PROVIDER|PROFILE]",
		Short: "Renew a login now, and print nothing of it",
		Long: `Renew the login's access token now, whatever is left of it. That is an act of a
person: it does not wait for the pause after a failure. keytray token renews by
itself, so scripts have no need of this.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.refresh(cmd.Context(), first(args)) },
	}
}

func (a *app) refresh(ctx context.Context, name string) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	var t keeper.Token
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, k); err != nil {
			return err
		}
		x, err := a.resolve(ctx, k, sink.Request{Agent: a.agent, Name: name})
		if err != nil {
			return err
		}
		t, err = k.Refresh(ctx, x.Profile)
		return err
	})
	if err != nil {
		return err
	}
	a.supply(ctx, k)
	fmt.Fprintf(a.sys.stderr, "renewed %s: %s\n", plain.Text(t.Profile.ID), plain.Text(keeper.ConditionOf(t.Profile, time.Now()).Sentence))
	return nil
}

// first is an optional argument.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
