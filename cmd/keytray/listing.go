package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// What OpenClaw lists of logins, in its words and shapes. The keychain is not
// asked.

func (a *app) channelsCommand() *cobra.Command {
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List the logins as OpenClaw's `channels list` does",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.listChannels(cmd.Context(), asJSON) },
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	list.Flags().Bool("no-usage", true, "ask no provider for its usage, which is always so")
	channels := &cobra.Command{Use: "channels", Short: "The logins under OpenClaw's name", Args: usage(cobra.NoArgs), RunE: help}
	channels.AddCommand(list)
	return channels
}

// channelsReport is OpenClaw's. Keytray has no chat channels.
type channelsReport struct {
	SchemaVersion int               `json:"schemaVersion"`
	Chat          map[string]string `json:"chat"`
	Auth          []channelAuth     `json:"auth"`
}

type channelAuth struct {
	ID         string `json:"id"`
	Provider   string `json:"provider"`
	Type       string `json:"type"`
	IsExternal bool   `json:"isExternal"`
}

func (a *app) listChannels(ctx context.Context, asJSON bool) error {
	_, profiles, err := a.logins(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		r := channelsReport{SchemaVersion: 1, Chat: map[string]string{}, Auth: []channelAuth{}}
		for _, p := range profiles {
			r.Auth = append(r.Auth, channelAuth{ID: p.ID, Provider: p.Provider, Type: string(p.Kind)})
		}
		return writeJSON(a.sys.stdout, r)
	}
	fmt.Fprintln(a.sys.stdout, "Auth providers (OAuth + API keys):")
	for _, p := range profiles {
		fmt.Fprintf(a.sys.stdout, "- %s (%s)\n", plain.Text(p.ID), p.Kind)
	}
	if len(profiles) == 0 {
		fmt.Fprintln(a.sys.stdout, "- none")
	}
	return nil
}

// listing says what is listed, and how.
type listing struct {
	provider string
	asJSON   bool
}

func (a *app) authListCommand() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the logins",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.listAuth(cmd.Context(), l) },
	}
	cmd.Flags().StringVar(&l.provider, "provider", "", "only those of this provider")
	cmd.Flags().BoolVar(&l.asJSON, "json", false, "print JSON")
	return cmd
}

// listReport is OpenClaw's.
type listReport struct {
	SchemaVersion int           `json:"schemaVersion"`
	AgentID       string        `json:"agentId"`
	AgentDir      string        `json:"agentDir"`
	AuthStatePath string        `json:"authStatePath"`
	Provider      *string       `json:"provider"`
	Profiles      []listedLogin `json:"profiles"`
}

type listedLogin struct {
	ID        string `json:"id"`
	Provider  string `json:"provider"`
	Type      string `json:"type"`
	Label     string `json:"label"`
	Email     string `json:"email,omitempty"`
	ExpiresAt string `json:"expiresAt,omitempty"` // RFC 3339
}

func (a *app) listAuth(ctx context.Context, l listing) error {
	k, profiles, err := a.logins(ctx)
	if err != nil {
		return err
	}
	profiles = slices.DeleteFunc(profiles, func(p sink.Profile) bool { return l.provider != "" && p.Provider != l.provider })
	slices.SortFunc(profiles, func(x, y sink.Profile) int {
		return cmp.Or(cmp.Compare(x.Provider, y.Provider), cmp.Compare(x.ID, y.ID))
	})
	if !l.asJSON {
		return a.writeList(profiles)
	}
	dir := k.Store.Agent(a.agent).Dir
	r := listReport{SchemaVersion: 1, AgentID: a.agent, AgentDir: dir, AuthStatePath: filepath.Join(dir, "auth-profiles.json"), Profiles: []listedLogin{}}
	if l.provider != "" {
		r.Provider = &l.provider
	}
	for _, p := range profiles {
		r.Profiles = append(r.Profiles, listedLogin{p.ID, p.Provider, string(p.Kind), label(p), p.Account.Email, expiry(p)})
	}
	return writeJSON(a.sys.stdout, r)
}

func (a *app) writeList(profiles []sink.Profile) error {
	if len(profiles) == 0 {
		_, err := fmt.Fprintln(a.sys.stdout, "no logins; sign in with: keytray login PROVIDER")
		return err
	}
	t := tabwriter.NewWriter(a.sys.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tPROVIDER\tTYPE\tEXPIRES")
	for _, p := range profiles {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", plain.Text(p.ID), plain.Text(p.Provider), p.Kind, cmp.Or(expiry(p), "-"))
	}
	return t.Flush()
}

// expiry is when a login's token ends, empty if nobody knows.
func expiry(p sink.Profile) string {
	if p.Expires.IsZero() {
		return ""
	}
	return p.Expires.UTC().Format(time.RFC3339)
}

// label is a login's name as OpenClaw writes it.
func label(p sink.Profile) string {
	if p.Account.Email == "" {
		return p.ID
	}
	return p.ID + " (" + p.Account.Email + ")"
}
