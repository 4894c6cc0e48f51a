package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

func (a *app) tokenCommand() *cobra.Command {
	var o output
	var r sink.Request
	cmd := &cobra.Command{
		Use:   "token [PROVIDER|PROFILE]",
		Short: "Print a working access token",
		Long: `Print an access token of the login, renewed first where that is due. Without
an argument the only login is meant; of a provider's logins the first in their
order, which keytray which explains. With --min-ttl the token is promised to
live that long, or there is an error: exit 5 if it cannot be renewed now, exit 1
if tokens of this login never live that long.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.handOut(cmd.Context(), args, r, o) },
	}
	o.flags(cmd, "plain", "header", "json")
	requestFlags(cmd, &r)
	return cmd
}

func (a *app) exportCommand() *cobra.Command {
	var o output
	var r sink.Request
	cmd := &cobra.Command{
		Use:   "export [PROVIDER|PROFILE]",
		Short: "Write an access token in a form that other tools read",
		Long: `Write an access token of the login to stdout, renewed first where that is due.

  eval "$(keytray export openai-codex)"    sets OPENAI_CODEX_TOKEN

The formats codex and claude are whole files of those programs, auth.json and
.credentials.json, with an access token and nothing that could renew it. The
token of a plan goes to its vendor's own tools; to others only with
--allow-cross-vendor. API keys go anywhere.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.handOut(cmd.Context(), args, r, o) },
	}
	o.flags(cmd, "env", "json", "codex", "claude")
	cmd.Flags().BoolVar(&o.crossVendor, "allow-cross-vendor", false, "let a plan's token go to another vendor's tool")
	requestFlags(cmd, &r)
	return cmd
}

// output is how a token is handed out.
type output struct {
	format  string
	formats []string
	minTTL  time.Duration
	show    bool
	// crossVendor lets a plan's token go to other vendors' tools.
	crossVendor bool
}

func (o *output) flags(cmd *cobra.Command, formats ...string) {
	o.formats = formats
	cmd.Flags().StringVar(&o.format, "format", formats[0], strings.Join(formats, ", "))
	cmd.Flags().DurationVar(&o.minTTL, "min-ttl", 0, "how long the token must live, as in 10m")
	cmd.Flags().BoolVar(&o.show, "show", false, "print it even to a terminal")
	must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

// must is for mistakes in our own wiring.
func must(err error) {
	if err != nil {
		panic("keytray: " + err.Error())
	}
}

func (o *output) check(terminal bool) error {
	switch {
	case !slices.Contains(o.formats, o.format):
		return setup.Usage(fmt.Errorf("there is no format %q", o.format), "choose one of "+strings.Join(o.formats, ", "))
	case o.minTTL < 0:
		return setup.Usage(errors.New("--min-ttl is negative"), "write it as in 10m")
	case terminal && !o.show:
		return setup.Usage(errors.New("a token is not printed to a terminal"), "add --show, or pipe it to where it is needed")
	}
	return nil
}

// handOut gets a token and, when everything is saved, writes it.
func (a *app) handOut(ctx context.Context, args []string, r sink.Request, o output) error {
	if err := o.check(isTerminal(a.sys.stdout)); err != nil {
		return err
	}
	if err := a.complete(&r, args); err != nil {
		return err
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	var t keeper.Token
	var before uint64
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, k); err != nil {
			return err
		}
		x, err := a.resolve(ctx, k, r)
		if err != nil {
			return err
		}
		before = x.Profile.Generation
		t, err = k.Token(ctx, x.Profile, o.minTTL)
		return err
	})
	if err != nil {
		return err
	}
	it := setup.Item(k, t)
	it.CrossVendor = o.crossVendor
	spec, _ := export.Find(o.format) // checked before
	if err := spec.Write(a.sys.stdout, it); err != nil {
		return err
	}
	if t.Profile.Generation != before { // somebody has renewed it, perhaps we
		a.supply(ctx, k)
	}
	return nil
}
