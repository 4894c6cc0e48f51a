package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/sink"
)

// outcome is how a request went.
type outcome struct {
	profile, failure, model string
	success, asJSON         bool
}

func (a *app) reportCommand() *cobra.Command {
	var o outcome
	cmd := &cobra.Command{
		Use:   "report --profile ID (--success | --failure KIND)",
		Short: "Tell how a request went, so that a login may rest",
		Long: `Tell how a request went that used a login. After a failure the login rests, and
others of the provider come first: after rate_limit for 30 seconds, and twice as
long each time up to a day; after billing from 10 minutes up to a day; after auth
and timeout for 30 seconds, a minute, then 5 minutes. A success ends the rest, and
makes the login the one that was used last.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.reportOutcome(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.profile, "profile", "", "login that was used")
	f.BoolVar(&o.success, "success", false, "the request worked")
	f.StringVar(&o.failure, "failure", "", "why it failed: rate_limit, auth, billing or timeout")
	f.StringVar(&o.model, "model", "", "model that a rate limit or a timeout is about")
	f.BoolVar(&o.asJSON, "json", false, "print what is remembered of the login")
	must(cmd.RegisterFlagCompletionFunc("failure", cobra.FixedCompletions([]string{"rate_limit", "auth", "billing", "timeout"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (o outcome) check() error {
	const hint = "keytray report --help"
	switch {
	case o.profile == "":
		return setup.Usage(errors.New("--profile is missing"), hint)
	case o.success == (o.failure != ""):
		return setup.Usage(errors.New("say either --success or --failure"), hint)
	case o.failure != "" && !slices.Contains(route.Failures(), route.Failure(o.failure)):
		return setup.Usage(fmt.Errorf("there is no failure %q", o.failure), "it is one of rate_limit, auth, billing, timeout")
	}
	return nil
}

// reportOutcome remembers an outcome.
func (a *app) reportOutcome(ctx context.Context, o outcome) error {
	if err := o.check(); err != nil {
		return err
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	ref, failure := sink.Ref{Agent: a.agent, ID: o.profile}, route.Failure(o.failure)
	u, err := k.Store.Report(ctx, ref, failure, o.model)
	if isLost(err) && a.restore(ctx, k, err) == nil {
		u, err = k.Store.Report(ctx, ref, failure, o.model)
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		return writeJSON(a.sys.stdout, usageReport{1, a.agent, o.profile, u})
	}
	if until, cause := u.Rest(o.model, time.Now()); !until.IsZero() {
		fmt.Fprintf(a.sys.stderr, "%s rests until %s after %s\n", plain.Text(o.profile), until.Format(time.TimeOnly), cause)
	}
	return nil
}

type usageReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	Agent         string `json:"agent"`
	ProfileID     string `json:"profileId"`
	route.Usage
}
