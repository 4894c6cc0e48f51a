package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// paste is what the flags of a pasted secret say.
type paste struct {
	kind                           keeper.Pasted
	provider, profileID, expiresIn string
}

// fromWhere is how all of these commands read the secret.
const fromWhere = `
It is typed or pasted unseen on a terminal, and read from stdin, one line of it,
where there is none. It is kept in the keychain; stdout gets the profile's id.`

func (a *app) setupTokenCommand() *cobra.Command {
	p := paste{kind: keeper.SetupToken}
	cmd := a.pasteCommand(&p, "setup-token", "Keep the token that claude setup-token prints", `Keep a token that a provider's own command made to be pasted: run
"claude setup-token" on any machine and paste what it prints. It lives a year and
cannot be renewed; status says when it is about to end.
`+fromWhere)
	cmd.Flags().StringVar(&p.provider, "provider", "anthropic", "service that issued it")
	cmd.Flags().StringVar(&p.profileID, "profile-id", "", "id of the profile (default: PROVIDER:default)")
	cmd.Flags().Bool("yes", false, "no effect: nothing is asked")
	_ = cmd.Flags().MarkHidden("yes") // it is there
	return cmd
}

func (a *app) pasteTokenCommand() *cobra.Command {
	p := paste{kind: keeper.BearerToken}
	cmd := a.pasteCommand(&p, "paste-token --provider PROVIDER", "Keep a token that was made elsewhere", `Keep a bearer token that was made elsewhere. It cannot be renewed: --expires-in
says when it ends, so that status can warn. A setup-token is known when it is
seen, and lives a year where nothing else is said.
`+fromWhere)
	p.flags(cmd)
	return cmd
}

func (a *app) pasteAPIKeyCommand() *cobra.Command {
	p := paste{kind: keeper.APIKey}
	cmd := a.pasteCommand(&p, "paste-api-key --provider PROVIDER", "Keep an API key", `Keep an API key of any provider.
`+fromWhere)
	p.flags(cmd)
	return cmd
}

func (p *paste) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.provider, "provider", "", "service that issued it")
	cmd.Flags().StringVar(&p.profileID, "profile-id", "", "id of the profile (default: PROVIDER:manual)")
	cmd.Flags().StringVar(&p.expiresIn, "expires-in", "", "when it ends, such as 365d or 12h; a bare number means days")
}

func (a *app) pasteCommand(p *paste, use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.provider == "" {
				return setup.Usage(errors.New("--provider is missing"), cmd.CommandPath()+" --provider anthropic")
			}
			life, err := parseLife(p.expiresIn)
			if err != nil {
				return setup.Usage(fmt.Errorf("--expires-in: %w", err), cmd.CommandPath()+" --expires-in 365d")
			}
			return a.paste(cmd.Context(), *p, life)
		},
	}
}

// maxLife is more than any token has, and little enough to be added to now.
const maxLife = 100 * 365 * 24 * time.Hour

// parseLife reads OpenClaw's durations: 365d, 12h, 30m, 90s, or days. Empty is 0.
func parseLife(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	number, unit := s, 24*time.Hour
	if u, ok := units[s[len(s)-1]]; ok {
		number, unit = s[:len(s)-1], u
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > int64(maxLife/unit) {
		return 0, fmt.Errorf("%q is not a time such as 365d or 12h", s)
	}
	return time.Duration(n) * unit, nil
}

// paste keeps a secret and prints the profile's id.
func (a *app) paste(ctx context.Context, p paste, life time.Duration) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	profile, err := a.keep(ctx, k, p, life)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.sys.stdout, profile.ID)
	return err
}

// keep asks for a secret, keeps it and says for how long it will do.
func (a *app) keep(ctx context.Context, k *keeper.Keeper, p paste, life time.Duration) (sink.Profile, error) {
	if err := a.unlocking(ctx, func() error { return k.Store.Ready(ctx) }); err != nil {
		return sink.Profile{}, err
	}
	r := keeper.AddRequest{Ref: sink.Ref{Agent: a.agent, ID: p.profileID}, Provider: p.provider, Kind: p.kind}
	if life > 0 {
		r.Expires = time.Now().Add(life)
	}
	lines, restore := a.pasted()
	defer restore()
	r.Ask = func(ctx context.Context, refused error) (secret.Text, error) {
		return a.askLine(ctx, p, lines, refused)
	}
	profile, err := k.Add(ctx, r)
	if err != nil {
		return sink.Profile{}, err
	}
	a.supply(ctx, k)
	fmt.Fprintf(a.sys.stderr, "kept %s: %s\n", plain.Text(profile.ID), plain.Text(keeper.ConditionOf(profile, time.Now()).Sentence))
	return profile, nil
}

// askLine asks a person at the terminal as often as it takes, and takes one line
// from a program.
func (a *app) askLine(ctx context.Context, p paste, lines <-chan secret.Text, refused error) (secret.Text, error) {
	if a.attended() {
		if refused != nil {
			fmt.Fprintf(a.sys.stderr, "\nkeytray: %s\n", refused)
		}
		fmt.Fprintf(a.sys.stderr, "Paste the %s of %s (it is not shown): ", strings.ReplaceAll(string(p.kind), "api_key", "API key"), p.provider)
		defer fmt.Fprintln(a.sys.stderr)
	} else if refused != nil {
		return secret.Text{}, refused
	}
	select {
	case s, ok := <-lines:
		if !ok && refused != nil {
			return s, refused
		}
		return s, nil // nothing is no good either, and is told so
	case <-ctx.Done():
		return secret.Text{}, context.Cause(ctx)
	}
}
