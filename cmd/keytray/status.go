package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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

// statusFlags say how the status is shown.
type statusFlags struct {
	asJSON, plain, check bool
	probe                bool
	probeTimeout         int // milliseconds
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the logins and how they are",
		Long: `Show the logins of the agent, those of one provider in the order of their use,
from files alone: the keychain is not asked, so this works while it is locked.
--json has the shape of OpenClaw's "models status --json"; what it says of models
is empty, as Keytray has none.

With --check the exit code is 1 if a login has expired or there is none, 2 if one
expires within a day and cannot be renewed, else 0.

With --probe each login is tried at its provider by one cheap request, where one is
known: ok, auth, rate_limit, billing, timeout, format or unknown. That asks the
keychain, and renews what is due.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "print profile, state and expiry only, with tabs between them")
	cmd.Flags().BoolVar(&f.check, "check", false, "tell by the exit code too")
	cmd.Flags().BoolVar(&f.probe, "probe", false, "try each login at its provider")
	cmd.Flags().IntVar(&f.probeTimeout, "probe-timeout", int(probeTimeout.Milliseconds()), "how long a provider may take, in `milliseconds`")
	return cmd
}

func (a *app) status(ctx context.Context, f statusFlags) error {
	if f.asJSON && f.plain {
		return setup.Usage(errors.New("--json and --plain exclude each other"), "keytray status --help")
	}
	if f.probeTimeout <= 0 {
		return setup.Usage(errors.New("--probe-timeout is a number of milliseconds"), "keytray status --help")
	}
	if f.plain && f.probe {
		return setup.Usage(errors.New("--probe says more than --plain shows"), "keytray status --help")
	}
	k, profiles, err := a.logins(ctx)
	if err != nil {
		return err
	}
	syncs, err := a.syncs(k, a.agent)
	if err != nil { // the logins are good, and the doctor tells
		a.sys.log.Warn("a file that is kept current is left out", "err", setup.OneLine(err))
	}
	var probes *probeReport
	if f.probe {
		probes, err = a.probe(ctx, k, profiles, time.Duration(f.probeTimeout)*time.Millisecond)
		if err != nil {
			return err
		}
		if profiles, err = k.Store.InOrder(a.agent); err != nil { // some may have been renewed
			return err
		}
	}
	now := time.Now()
	switch {
	case f.asJSON:
		r := newStatusReport(k.Store, a.agent, profiles, now)
		r.Syncs, r.Auth.Probes = syncs, probes
		r.Keychain, _ = a.world.KeychainName()
		err = writeJSON(a.sys.stdout, r)
	case f.plain:
		err = writePlainStatus(a.sys.stdout, profiles, now)
	default:
		err = writeStatus(a.sys.stdout, profiles, now)
		if len(syncs) > 0 && err == nil {
			fmt.Fprintln(a.sys.stdout)
			err = writeSyncs(a.sys.stdout, syncs)
		}
		err = errors.Join(err, a.writeKeychain(a.sys.stdout))
		if probes != nil && err == nil {
			err = probes.print(a.sys.stdout)
		}
	}
	if err != nil || !f.check {
		return err
	}
	return checkStatus(profiles, now)
}

// logins are those of the agent, in the order of their use; none in a root without a profile file, unless
// the keychain knows better.
func (a *app) logins(ctx context.Context) (*keeper.Keeper, []sink.Profile, error) {
	k, err := a.keeper(true)
	if err != nil {
		return nil, nil, err
	}
	profiles, err := k.Store.InOrder(a.agent)
	if errors.Is(err, sink.ErrMirrorMissing) {
		err = a.explainMissing(ctx, k, err)
	}
	return k, profiles, err
}

// checkStatus has OpenClaw's exit codes: 1 for expired or missing, 2 for expiring.
func checkStatus(profiles []sink.Profile, now time.Time) error {
	n := map[string]int{}
	for _, p := range profiles {
		n[openClawWord(p, keeper.ConditionOf(p, now))]++
	}
	switch {
	case len(profiles) == 0:
		return setup.Exit(1, errors.New("there is no login"))
	case n["expired"] > 0:
		return setup.Exit(1, fmt.Errorf("%d of %d logins have expired", n["expired"], len(profiles)))
	case n["expiring"] > 0:
		return setup.Exit(2, fmt.Errorf("%d of %d logins expire soon", n["expiring"], len(profiles)))
	}
	return nil
}

// explainMissing tells a root without a profile file from one that lost it.
func (a *app) explainMissing(ctx context.Context, k *keeper.Keeper, missing error) error {
	refs, err := k.Store.Indexed(ctx)
	if err != nil {
		return fmt.Errorf("%w, and whether logins are lost with it the keychain does not say: %w", missing, err)
	}
	n := 0
	for _, ref := range refs {
		if ref.Agent == a.agent {
			n++
		}
	}
	if n == 0 {
		return a.explainLeft(ctx, k)
	}
	return setup.Hinted(fmt.Errorf("%w, but the keychain has %d of its logins", missing, n), "keytray doctor --fix restores it; no login is lost")
}

// explainLeft tells a new root from one whose logins are still in the folder of an
// OpenClaw that was updated.
func (a *app) explainLeft(ctx context.Context, k *keeper.Keeper) error {
	root, err := a.root(false)
	if err != nil || root.Passed == nil {
		return err
	}
	refs, err := k.Store.Beside(*root.Passed).Indexed(ctx)
	if err != nil || len(refs) == 0 {
		return err
	}
	return setup.Hinted(fmt.Errorf("%d logins are still in %s", len(refs), root.Passed.Dir), "`keytray doctor --fix` moves them here")
}

// writePlainStatus is for shell scripts.
func writePlainStatus(w io.Writer, profiles []sink.Profile, now time.Time) error {
	b := bufio.NewWriter(w)
	for _, p := range profiles {
		fmt.Fprintf(b, "%s\t%s\t%s\n", plain.Text(p.ID), keeper.ConditionOf(p, now).Word, cmp.Or(expiry(p), "-"))
	}
	return b.Flush()
}

func writeStatus(w io.Writer, profiles []sink.Profile, now time.Time) error {
	if len(profiles) == 0 {
		_, err := fmt.Fprintln(w, "no logins; sign in with: keytray login PROVIDER")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tSTATE\tACCOUNT")
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

// writeKeychain says where the secrets are, if that is not where everybody's are.
func (a *app) writeKeychain(w io.Writer) error {
	name, inFiles := a.world.KeychainName()
	if !inFiles {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nsecrets are in %s\n", plain.Text(name))
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

// statusReport is OpenClaw's, and begins with what is ours.
type statusReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	Agent         string `json:"agent"`
	Keychain      string `json:"keychain"`
	ConfigPath    string `json:"configPath"`
	AgentDir      string `json:"agentDir"`
	modelsReport
	Auth authReport `json:"auth"`
	// Syncs are the files that are kept current for these logins.
	Syncs []syncState `json:"syncs"`
}

// modelsReport is what OpenClaw says of models. Keytray has none.
type modelsReport struct {
	DefaultModel    *string           `json:"defaultModel"`
	ResolvedDefault *string           `json:"resolvedDefault"`
	Fallbacks       []string          `json:"fallbacks"`
	ImageModel      *string           `json:"imageModel"`
	ImageFallbacks  []string          `json:"imageFallbacks"`
	Aliases         map[string]string `json:"aliases"`
	Allowed         []string          `json:"allowed"`
}

type authReport struct {
	StorePath        string `json:"storePath"`
	ShellEnvFallback struct {
		Enabled     bool     `json:"enabled"`
		AppliedKeys []string `json:"appliedKeys"`
	} `json:"shellEnvFallback"`
	// ProvidersWithOAuth has "anthropic (2)" for a provider with two logins that
	// expire.
	ProvidersWithOAuth    []string          `json:"providersWithOAuth"`
	MissingProvidersInUse []string          `json:"missingProvidersInUse"`
	Providers             []statusProvider  `json:"providers"`
	UnusableProfiles      []unusableProfile `json:"unusableProfiles"`
	OAuth                 oauthReport       `json:"oauth"`
	Probes                *probeReport      `json:"probes,omitempty"`
}

// unusableProfile is a login that rests after a failure that was reported.
type unusableProfile struct {
	ProfileID   string `json:"profileId"`
	Provider    string `json:"provider"`
	Kind        string `json:"kind"` // cooldown or disabled
	Reason      string `json:"reason,omitempty"`
	Until       int64  `json:"until"`
	RemainingMs int64  `json:"remainingMs"`
}

func newUnusable(p sink.Profile, now time.Time) unusableProfile {
	x := unusableProfile{p.ID, p.Provider, "cooldown", p.Rest.Cause, p.Rest.Until.UnixMilli(), p.Rest.Until.Sub(now).Milliseconds()}
	if p.Rest.Disabled {
		x.Kind = "disabled"
	}
	return x
}

type statusProvider struct {
	Provider  string `json:"provider"`
	Effective struct {
		Kind   string `json:"kind"`
		Detail string `json:"detail"`
	} `json:"effective"`
	Profiles struct {
		Count  int      `json:"count"`
		OAuth  int      `json:"oauth"`
		Token  int      `json:"token"`
		APIKey int      `json:"apiKey"`
		Labels []string `json:"labels"`
	} `json:"profiles"`
}

type oauthReport struct {
	WarnAfterMs int64           `json:"warnAfterMs"`
	Profiles    []statusProfile `json:"profiles"`
	Providers   []oauthProvider `json:"providers"`
}

// oauthProvider is the worst that is to be said of a provider's logins.
type oauthProvider struct {
	Provider    string          `json:"provider"`
	Status      string          `json:"status"`
	Profiles    []statusProfile `json:"profiles"`
	ExpiresAt   int64           `json:"expiresAt,omitempty"`
	RemainingMs int64           `json:"remainingMs,omitempty"`
}

func newStatusReport(s *sink.Store, agent string, profiles []sink.Profile, now time.Time) statusReport {
	r := statusReport{SchemaVersion: 1, Agent: agent, AgentDir: s.Agent(agent).Dir, ConfigPath: filepath.Join(s.Dir(), "openclaw.json")}
	none := []string{}
	r.Fallbacks, r.ImageFallbacks, r.Allowed, r.Aliases = none, none, none, map[string]string{}
	r.Auth = authReport{StorePath: filepath.Join(r.AgentDir, "auth-profiles.json"), MissingProvidersInUse: none, UnusableProfiles: []unusableProfile{}, ProvidersWithOAuth: none, Providers: []statusProvider{}}
	r.Auth.ShellEnvFallback.AppliedKeys = none
	r.Auth.OAuth = oauthReport{WarnAfterMs: keeper.WarnAfter.Milliseconds(), Profiles: []statusProfile{}, Providers: []oauthProvider{}}
	of := map[string][]sink.Profile{}
	for _, p := range profiles {
		of[p.Provider] = append(of[p.Provider], p)
		r.Auth.OAuth.Profiles = append(r.Auth.OAuth.Profiles, statusOf(p, now))
		if p.Rest.Until.After(now) {
			r.Auth.UnusableProfiles = append(r.Auth.UnusableProfiles, newUnusable(p, now))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		r.Auth.Providers = append(r.Auth.Providers, newStatusProvider(id, r.Auth.StorePath, of[id]))
		r.Auth.OAuth.Providers = append(r.Auth.OAuth.Providers, newOAuthProvider(id, of[id], now))
		if n := len(of[id]) - countKind(of[id], sink.KindAPIKey); n > 0 {
			r.Auth.ProvidersWithOAuth = append(r.Auth.ProvidersWithOAuth, fmt.Sprintf("%s (%d)", id, n))
		}
	}
	return r
}

func newStatusProvider(id, store string, profiles []sink.Profile) statusProvider {
	p := statusProvider{Provider: id}
	p.Effective.Kind, p.Effective.Detail = "profiles", store
	p.Profiles.Count = len(profiles)
	p.Profiles.OAuth, p.Profiles.Token, p.Profiles.APIKey = countKind(profiles, sink.KindOAuth), countKind(profiles, sink.KindToken), countKind(profiles, sink.KindAPIKey)
	for _, x := range profiles {
		p.Profiles.Labels = append(p.Profiles.Labels, x.ID+"="+string(x.Kind)+":keychain")
	}
	return p
}

func countKind(profiles []sink.Profile, kind sink.Kind) (n int) {
	for _, p := range profiles {
		if p.Kind == kind {
			n++
		}
	}
	return n
}

func newOAuthProvider(id string, profiles []sink.Profile, now time.Time) oauthProvider {
	worst := []string{"static", "ok", "expiring", "missing", "expired"}
	p := oauthProvider{Provider: id, Status: worst[0]}
	for _, x := range profiles {
		s := statusOf(x, now)
		p.Profiles = append(p.Profiles, s)
		if slices.Index(worst, s.Status) > slices.Index(worst, p.Status) {
			p.Status = s.Status
		}
		if s.ExpiresAt != 0 && (p.ExpiresAt == 0 || s.ExpiresAt < p.ExpiresAt) {
			p.ExpiresAt, p.RemainingMs = s.ExpiresAt, s.RemainingMs
		}
	}
	return p
}

func statusOf(p sink.Profile, now time.Time) statusProfile {
	c := keeper.ConditionOf(p, now)
	s := statusProfile{
		ProfileID: p.ID, Provider: p.Provider, Type: string(p.Kind), Status: openClawWord(p, c), ReasonCode: p.Reason, Source: "store",
		Label: label(p), Email: p.Account.Email, AccountID: p.Account.ID, Plan: p.Account.Plan, Generation: p.Generation, State: c.Word,
		Message: c.Sentence, Command: c.Command,
	}
	if !p.Expires.IsZero() {
		s.ExpiresAt = p.Expires.UnixMilli()
		s.RemainingMs = p.Expires.Sub(now).Milliseconds()
	}
	return s
}

// openClawWord is a condition in the words that OpenClaw has.
func openClawWord(p sink.Profile, c keeper.Condition) string {
	switch c.Word {
	case "needs_login":
		return "expired"
	case "moved":
		return "missing"
	case "pending_save", "retrying", "misconfigured", "keychain_locked", "foreign_host":
		return "ok"
	case "ok":
		if p.Expires.IsZero() {
			return "static"
		}
	case "expired":
		if p.Kind == sink.KindOAuth {
			return "ok"
		}
	}
	return c.Word
}
