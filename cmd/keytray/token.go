package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

func (a *app) tokenCommand() *cobra.Command {
	o := output{formats: []string{"plain", "header", "json"}}
	var w wanted
	cmd := &cobra.Command{
		Use:   "token [PROVIDER|PROFILE]",
		Short: "Print a working access token",
		Long: `Print an access token of the login, renewed first where that is due. Without
an argument the only login is meant; of a provider's logins the first in their
order, which keytray which explains. With --min-ttl the token is promised to
live that long, or there is an error: exit 5 if it cannot be renewed now, exit 1
if tokens of this login never live that long. With --no-refresh nothing is sent
to anybody: a token that is over ends with exit 5, one that only a person can
replace with exit 4.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.handOut(cmd.Context(), args, w, o) },
	}
	w.flags(cmd)
	o.flags(cmd)
	return cmd
}

func (a *app) exportCommand() *cobra.Command {
	o := output{formats: exported()}
	var w wanted
	var s sealedExport
	cmd := &cobra.Command{
		Use:   "export [PROVIDER|PROFILE]",
		Short: "Write an access token in a form that other tools read",
		Long: `Write an access token of the login to stdout or to a file, renewed first where
that is due. Nothing that is written can renew it.

  eval "$(keytray export openai-codex)"              sets OPENAI_CODEX_TOKEN
  keytray export --shell fish | source
  keytray export --shell powershell | Out-String | Invoke-Expression
  keytray export openai-codex --format codex --out DIR/auth.json
  curl -K <(keytray export --format curl) URL        nothing in the arguments

Formats for any program: env (the variable in which programs look for such a
token), dotenv, json, plain, header, curl. Whole files of a program, with an
access token and nothing in the place of what renews it: codex, claude,
gemini-file, opencode (also for $OPENCODE_AUTH_CONTENT), pi. Variables of a
program: gemini, copilot; aider, llm and litellm, which take API keys.

The token of a plan goes to its vendor's own tools; to others only with
--allow-cross-vendor. API keys go anywhere.

--out replaces the file at once, readable by you alone. It follows no link, wants
a folder that only you can write, and leaves a file of a program as it is that
has a login which renews itself. To keep a file current: keytray sync.
` + sealedHelp,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("out") && (o.file == "" || o.file == "-") { // a token on stdout is not what a script with an empty variable means
				return setup.Usage(errors.New("--out wants a file"), "leave it out for stdout")
			}
			if s.wanted() {
				return a.exportSealed(cmd, args, w.Request, s, o.file)
			}
			return a.handOut(cmd.Context(), args, w, o)
		},
	}
	s.flags(cmd)
	w.flags(cmd)
	o.flags(cmd)
	o.exportFlags(cmd)
	return cmd
}

// wanted says which token.
type wanted struct {
	sink.Request
	minTTL    time.Duration
	noRefresh bool
}

func (w *wanted) flags(cmd *cobra.Command) {
	requestFlags(cmd, &w.Request)
	cmd.Flags().DurationVar(&w.minTTL, "min-ttl", 0, "how long the token must live, as in 10m")
	cmd.Flags().BoolVar(&w.noRefresh, "no-refresh", false, "hand out what is stored, renew nothing")
}

// handOut gets a token and, when everything is saved, writes it.
func (a *app) handOut(ctx context.Context, args []string, w wanted, o output) error {
	spec, err := o.spec(isTerminal(a.sys.stdout), a.world.Getenv("SHELL") != "")
	if err != nil {
		return err
	}
	if err := a.complete(&w.Request, args); err != nil {
		return err
	}
	if w.minTTL < 0 {
		return setup.Usage(errors.New("--min-ttl is negative"), "write it as in 10m")
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	t, renewed, err := a.fetch(ctx, k, w)
	if err != nil {
		return err
	}
	it := setup.Item(k, t)
	it.CrossVendor = o.crossVendor
	if err := a.writeOut(k.Store, spec, it, o.file); err != nil {
		return err
	}
	if renewed {
		a.supply(ctx, k)
	}
	return nil
}

// fetch gets a token, and lets a person who is there unlock the keychain. The
// login may have been renewed for it, by us or by somebody else.
func (a *app) fetch(ctx context.Context, k *keeper.Keeper, w wanted) (t keeper.Token, renewed bool, err error) {
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, k); err != nil {
			return err
		}
		x, err := a.resolve(ctx, k, w.Request)
		if err != nil {
			return err
		}
		get := k.Token
		if w.noRefresh {
			get = k.Kept
		}
		t, err = get(ctx, x.Profile, w.minTTL)
		renewed = t.Profile.Generation != x.Profile.Generation
		return err
	})
	return t, renewed, err
}
