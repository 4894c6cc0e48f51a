package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/sink"
)

func (a *app) whichCommand() *cobra.Command {
	var r sink.Request
	var asJSON, unpin bool
	cmd := &cobra.Command{
		Use:   "which [PROVIDER|PROFILE]",
		Short: "Say which login would be used, and why none of the others",
		Long: `Say which login a call with the same arguments would use, and for each other
login why it would not be. The keychain is asked only where the profile file does
not know the login.

In this order: the login that is named, as PROFILE or as in Opus@anthropic:work;
the one that the session is pinned to; the first of the provider in the stored
order, in auth.order of openclaw.json, or by default: OAuth before tokens before
API keys, and of equals the one not used for longest. Logins that rest after a
failure come after the others, and those that need a new sign-in last.

Naming a login for a session, as in --session KEY --model Opus@anthropic:work,
pins it: later calls for that session use it until --unpin or another name.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.complete(&r, args); err != nil {
				return err
			}
			if unpin {
				return a.unpin(cmd.Context(), r)
			}
			return a.which(cmd.Context(), r, asJSON)
		},
	}
	requestFlags(cmd, &r)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&unpin, "unpin", false, "forget what the session is pinned to")
	return cmd
}

// requestFlags are those that say which login is meant, beside an argument.
func requestFlags(cmd *cobra.Command, r *sink.Request) {
	cmd.Flags().StringVar(&r.Profile, "profile", "", "id of the login, which is never taken for a provider")
	cmd.Flags().StringVar(&r.Model, "model", "", "model that the token is for: PROVIDER/MODEL or MODEL@PROFILE")
	cmd.Flags().StringVar(&r.Session, "session", "", "your name for a conversation, which keeps its login")
}

// complete adds to what the flags say who asks and the argument.
func (a *app) complete(r *sink.Request, args []string) error {
	r.Agent, r.Name = a.agent, first(args)
	switch {
	case r.Name != "" && r.Profile != "":
		return setup.Usage(errors.New("a login is named twice"), "leave out --profile or the argument")
	case r.Name+r.Profile != "" && r.Model != "":
		return setup.Usage(errors.New("both a login and a model are named"), "leave one out")
	}
	if r.Session == "" {
		return nil
	}
	return sink.CheckSession(r.Session)
}

// resolve finds the login that a request means, and pins it where the request
// names it for a session. What the profile file lost, to an accident or to a
// program that writes it without our members, is first restored.
func (a *app) resolve(ctx context.Context, k *keeper.Keeper, r sink.Request) (sink.Resolved, error) {
	x, err := k.Store.Resolve(r)
	if isLost(err) {
		if err := a.restore(ctx, k, err); err != nil {
			return sink.Resolved{}, err
		}
		x, err = k.Store.Resolve(r)
	} else if x.Orphans() && a.restore(ctx, k, sink.ErrUnknownProfile) == nil {
		x, err = k.Store.Resolve(r)
	}
	if x.Warning != nil {
		a.sys.log.Warn("a file is left out", "err", x.Warning)
	}
	if err != nil {
		return x, err
	}
	return x, a.pin(ctx, k, r, x)
}

// isLost reports whether err may come from a profile file that lost something.
func isLost(err error) bool {
	return errors.Is(err, sink.ErrMirrorMissing) || errors.Is(err, sink.ErrUnknownProfile)
}

// restore brings back what the keychain knows of the agent's logins and the
// profile file does not. It returns lost if that is nothing. An import that was
// killed stays as it is for those who do not need the credential: the others have
// tried to end it before, in [app.takeIn].
func (a *app) restore(ctx context.Context, k *keeper.Keeper, lost error) error {
	refs, err := k.Store.Indexed(ctx)
	if err != nil {
		return err
	}
	there := map[sink.Ref]bool{}
	for p, err := range k.Store.Profiles(a.agent) {
		if err == nil {
			there[p.Ref] = true
		}
	}
	importing := k.Store.Importing()
	restored := false
	for _, ref := range refs {
		if ref.Agent != a.agent || there[ref] {
			continue
		}
		err := fmt.Errorf("%s: %w", ref.ID, sink.ErrImporting)
		if a.tookIn || !slices.Contains(importing, ref) { // it says why it is not finished
			err = k.Store.Restore(ctx, ref)
		}
		if errors.Is(err, sink.ErrImporting) { // the others are none the worse for it
			lost = err
			continue
		}
		if err != nil {
			return errors.Join(lost, err)
		}
		restored = true
	}
	switch {
	case restored:
		return nil
	case errors.Is(lost, sink.ErrMirrorMissing):
		return fmt.Errorf("agent %s: %w", a.agent, sink.ErrUnknownProfile)
	default:
		return lost
	}
}

// pin keeps a login for the session that named it with a model.
func (a *app) pin(ctx context.Context, k *keeper.Keeper, r sink.Request, x sink.Resolved) error {
	if r.Session == "" || r.Model == "" || x.Choice.Why != route.Named {
		return nil
	}
	if err := k.Store.Pin(ctx, x.Profile, r.Session); err != nil {
		return fmt.Errorf("pinning the session: %w", err)
	}
	return nil
}

func (a *app) unpin(ctx context.Context, r sink.Request) error {
	if r.Session == "" {
		return setup.Usage(errors.New("--unpin without a session"), "add --session KEY")
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	return k.Store.Unpin(ctx, a.agent, r.Session)
}

func (a *app) which(ctx context.Context, r sink.Request, asJSON bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	x, err := a.resolve(ctx, k, r)
	if err != nil && !errors.Is(err, sink.ErrNoChoice) {
		return err
	}
	write := writeWhich
	if asJSON {
		write = writeWhichJSON
	}
	return errors.Join(err, write(a.sys.stdout, r, x, time.Now()))
}

func writeWhich(w io.Writer, _ sink.Request, x sink.Resolved, now time.Time) error {
	if x.Profile.ID != "" {
		if _, err := fmt.Fprintf(w, "%s: %s\n", plain.Text(x.Profile.ID), plain.Text(x.Choice.Sentence(now))); err != nil {
			return err
		}
	}
	for _, c := range x.Choice.Others {
		if _, err := fmt.Fprintf(w, "  %s %s\n", plain.Text(c.ID), plain.Text(c.Sentence(now))); err != nil {
			return err
		}
	}
	return nil
}

// verdict is a login and what there is to say about it, in a word and in a
// sentence.
type verdict struct {
	ProfileID string       `json:"profileId"`
	Reason    route.Reason `json:"reason"`
	Message   string       `json:"message"`
	// Until is when a login that rests may be used again, ms since 1970; Cause
	// the failure that it rests after.
	Until int64  `json:"until,omitempty"`
	Cause string `json:"cause,omitempty"`
}

type whichReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	Agent         string `json:"agent"`
	Provider      string `json:"provider"`
	Model         string `json:"model,omitempty"`
	Session       string `json:"session,omitempty"`
	// Chosen is null if no login may be used.
	Chosen  *verdict  `json:"chosen"`
	Others  []verdict `json:"others"`
	Warning string    `json:"warning,omitempty"`
}

func writeWhichJSON(w io.Writer, r sink.Request, x sink.Resolved, now time.Time) error {
	report := whichReport{SchemaVersion: 1, Agent: r.Agent, Provider: x.Provider, Model: r.Model, Session: r.Session, Others: []verdict{}}
	if x.Profile.ID != "" {
		v := verdictOf(x.Choice.Candidate, now)
		v.Reason, v.Message = x.Choice.Why, x.Choice.Sentence(now)
		report.Chosen = &v
	}
	for _, c := range x.Choice.Others {
		report.Others = append(report.Others, verdictOf(c, now))
	}
	if x.Warning != nil {
		report.Warning = setup.OneLine(x.Warning)
	}
	return writeJSON(w, report)
}

func verdictOf(c route.Candidate, now time.Time) verdict {
	v := verdict{ProfileID: c.ID, Reason: c.Reason, Message: c.Sentence(now), Cause: c.Cause}
	if !c.Until.IsZero() {
		v.Until = c.Until.UnixMilli()
	}
	return v
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
