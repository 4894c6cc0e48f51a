package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the logins and how they are",
		Long: `Show the logins of the agent, those of one provider in the order of their use,
from files alone: the keychain is not asked, so this works while it is locked.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) status(ctx context.Context, asJSON bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	profiles, err := k.Store.InOrder(a.agent)
	if errors.Is(err, sink.ErrMirrorMissing) {
		err = a.explainMissing(ctx, k, err)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if asJSON {
		return writeStatusJSON(a.sys.stdout, a.agent, k.Store.Agent(a.agent).Dir, profiles, now)
	}
	return writeStatus(a.sys.stdout, profiles, now)
}

// explainMissing tells a root without a profile file from one that lost it.
func (a *app) explainMissing(ctx context.Context, k *keeper.Keeper, missing error) error {
	refs, err := k.Store.Indexed(ctx)
	if err != nil {
		return errors.Join(missing, err)
	}
	n := 0
	for _, ref := range refs {
		if ref.Agent == a.agent {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return setup.Hinted(fmt.Errorf("%w, but the keychain has %d of its logins", missing, n), "keytray doctor --fix restores it; no login is lost")
}

func writeStatus(w io.Writer, profiles []sink.Profile, now time.Time) error {
	if len(profiles) == 0 {
		_, err := fmt.Fprintln(w, "no logins; sign in with: keytray login PROVIDER")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tSTATE\tACCOUNT\t")
	var mend []string
	for _, p := range profiles {
		c := keeper.ConditionOf(p, now)
		if c.Command != "" {
			mend = append(mend, "  "+plain.Text(c.Command))
		}
		account := p.Account.Email
		if p.Account.Plan != "" {
			account = strings.TrimSpace(account + " (" + p.Account.Plan + ")")
		}
		fmt.Fprintf(t, "%s\t%s: %s\t%s\n", plain.Text(p.ID), c.Word, plain.Text(c.Sentence), plain.Text(account))
	}
	if err := t.Flush(); err != nil || mend == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nwhat helps:\n%s\n", strings.Join(slices.Compact(mend), "\n"))
	return err
}

// statusProfile is a profile as OpenClaw's `models status --json` shows it, and
// what we know beyond that.
type statusProfile struct {
	ProfileID   string `json:"profileId"`
	Provider    string `json:"provider"`
	Type        string `json:"type"`
	Status      string `json:"status"`
	ReasonCode  string `json:"reasonCode,omitempty"`
	ExpiresAt   int64  `json:"expiresAt,omitempty"`
	RemainingMs int64  `json:"remainingMs,omitempty"`
	Source      string `json:"source"`
	Label       string `json:"label"`
	Email       string `json:"email,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	Plan        string `json:"plan,omitempty"`
	Generation  uint64 `json:"generation"`
	State       string `json:"state"`
	// Message says State in a sentence, Command mends it where one can.
	Message string `json:"message"`
	Command string `json:"command,omitempty"`
}

type statusReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	Agent         string `json:"agent"`
	AgentDir      string `json:"agentDir"`
	Auth          struct {
		StorePath string `json:"storePath"`
		OAuth     struct {
			WarnAfterMs int64           `json:"warnAfterMs"`
			Profiles    []statusProfile `json:"profiles"`
		} `json:"oauth"`
	} `json:"auth"`
}

func writeStatusJSON(w io.Writer, agent, agentDir string, profiles []sink.Profile, now time.Time) error {
	r := statusReport{SchemaVersion: 1, Agent: agent, AgentDir: agentDir}
	r.Auth.StorePath = filepath.Join(r.AgentDir, "auth-profiles.json")
	r.Auth.OAuth.WarnAfterMs = keeper.WarnAfter.Milliseconds()
	r.Auth.OAuth.Profiles = []statusProfile{}
	for _, p := range profiles {
		r.Auth.OAuth.Profiles = append(r.Auth.OAuth.Profiles, statusOf(p, now))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func statusOf(p sink.Profile, now time.Time) statusProfile {
	c := keeper.ConditionOf(p, now)
	s := statusProfile{
		ProfileID: p.ID, Provider: p.Provider, Type: string(p.Kind), Status: c.Word, ReasonCode: p.Reason, Source: "store",
		Label: p.ID, Email: p.Account.Email, AccountID: p.Account.ID, Plan: p.Account.Plan, Generation: p.Generation, State: c.Word,
		Message: c.Sentence, Command: c.Command,
	}
	switch c.Word { // the words that OpenClaw knows
	case "needs_login":
		s.Status = "expired"
	case "pending_save", "retrying", "misconfigured", "keychain_locked", "foreign_host":
		s.Status = "ok"
	case "ok":
		if p.Expires.IsZero() {
			s.Status = "static"
		}
	case "expired":
		if p.Kind == sink.KindOAuth {
			s.Status = "ok"
		}
	}
	if p.Account.Email != "" {
		s.Label += " (" + p.Account.Email + ")"
	}
	if !p.Expires.IsZero() {
		s.ExpiresAt = p.Expires.UnixMilli()
		s.RemainingMs = p.Expires.Sub(now).Milliseconds()
	}
	return s
}
