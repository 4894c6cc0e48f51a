package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

var (
	// ErrStays means that a login stays in the file of its program: Keytray could
	// not keep it usable, or is not sure whose it is.
	ErrStays = errors.New("it stays where it is")
	// ErrNear means that a login's owner may be renewing it right now.
	ErrNear = errors.New("its owner may be renewing it right now")
)

// nearEnd is how long before the end of an access token its owner may be in the
// middle of renewing it: all programs that are known begin five minutes ahead.
// Whoever takes the login then may get a token that has just been spent.
const nearEnd = 5 * time.Minute

// Found is a login in another program's file, and what becomes of it.
type Found struct {
	client.Login

	Source client.Source
	// ID is the profile that it becomes.
	ID string
	// Ends is when its access token does; zero if nobody knows.
	Ends time.Time
	// Here says that there is such a profile already: if it has this very login, a
	// copy of it is taken out of the file, and else the login stays.
	Here bool
	// Why is nil if it can be moved, else why it stays.
	Why error
}

// Look tells what an import for an agent would make of the logins in a file, the
// longest-lived first. It changes nothing and takes no locks.
func (k *Keeper) Look(agent string, s client.Source) ([]Found, error) {
	logins, err := s.Logins()
	if err != nil {
		return nil, err
	}
	var found []Found
	for _, l := range logins {
		c, id, why := k.appraise(agent, s, l)
		_, err := k.Store.Profile(sink.Ref{Agent: agent, ID: id})
		found = append(found, Found{l, s, id, c.Expires, err == nil, why})
	}
	slices.SortStableFunc(found, func(a, b Found) int { return b.Ends.Compare(a.Ends) })
	return found, nil
}

// Import moves a login from its program's file here: under the locks of both, so
// that it is in one place afterwards, whatever happens. Where it can be renewed
// it is renewed at once, which ends any other copy of it.
func (k *Keeper) Import(ctx context.Context, agent string, f Found) (sink.Profile, error) {
	if f.Why != nil {
		return sink.Profile{}, f.Why
	}
	if err := k.Store.Ready(ctx); err != nil {
		return sink.Profile{}, err
	}
	ref := sink.Ref{Agent: agent, ID: f.ID}
	c, err := k.move(ctx, ref, f)
	if m, ok := errors.AsType[*sink.MirrorError](err); ok {
		k.Log.Warn("moved, but the profile file could not be written", "profile", f.ID, "err", m)
		return sink.Profile{Ref: ref, Provider: c.Provider, Kind: c.Kind, Account: c.Account, Life: c.Life}, nil
	}
	if err != nil {
		return sink.Profile{}, err
	}
	p, err := k.Store.Profile(ref)
	if err != nil || p.Kind != sink.KindOAuth {
		return p, err
	}
	t, err := k.Refresh(ctx, p)
	if err != nil {
		k.Log.Warn("moved, but not renewed yet; until then another copy of the login would work too", "profile", f.ID, "err", err)
		return p, nil
	}
	return t.Profile, nil
}

// move is Import without the renewal.
func (k *Keeper) move(ctx context.Context, ref sink.Ref, f Found) (sink.Credential, error) {
	s := f.Source
	s.Bare = k.isMirror(ref.Agent, s)
	var held *client.Held
	var c sink.Credential
	err := k.Store.Import(ctx, ref, sink.Move{
		From: s.Origin(f.Name),
		Take: func(ctx context.Context) (sink.Credential, error) {
			h, err := s.Hold(ctx, f.Name)
			if err != nil {
				return c, err
			}
			held = h
			var id string
			c, id, err = k.appraise(ref.Agent, s, h.Login) // what is true under the locks counts
			if err == nil && id != ref.ID {
				err = client.ErrChanged
			}
			return c, err
		},
		Strip:  func() (bool, error) { return held.Strip() },
		Mirror: s.Bare,
	})
	if held != nil {
		held.Close()
	}
	return c, err
}

// isMirror reports whether s is the agent's own auth-profiles.json.
func (k *Keeper) isMirror(agent string, s client.Source) bool {
	a, err := os.Stat(s.Path)
	if err != nil {
		return false
	}
	b, err := os.Stat(k.Store.MirrorPath(agent))
	return err == nil && os.SameFile(a, b)
}

// appraise makes a credential of a login in a file, and the id of the profile
// that it would be, or says why it stays there.
func (k *Keeper) appraise(agent string, s client.Source, l client.Login) (c sink.Credential, id string, err error) {
	switch {
	case !l.Usable():
		return c, "", fmt.Errorf("%w: it has characters that no token has", ErrStays)
	case provider.CheckID(l.Provider) != nil:
		return c, "", fmt.Errorf("%w: %q cannot be the name of a provider", ErrStays, l.Provider)
	case l.Kind == sink.KindOAuth:
		c, err = k.appraiseOAuth(s, l)
	default:
		c, err = k.appraiseStatic(l)
	}
	if err != nil {
		return c, "", err
	}
	id, err = k.importID(agent, s, l, c)
	if err != nil {
		return c, id, err
	}
	return c, id, k.refuseSecond(sink.Ref{Agent: agent, ID: id}, c)
}

func (k *Keeper) appraiseOAuth(s client.Source, l client.Login) (sink.Credential, error) {
	p, err := k.oauthProvider(l.Provider)
	if err != nil {
		return sink.Credential{}, k.notRenewable(l.Provider)
	}
	if err := checkClaim(l, p); err != nil {
		return sink.Credential{}, err
	}
	t := oauth.Token{Access: l.Access, Refresh: l.Refresh, ID: l.ID}
	var end time.Time
	t.Account, end = oauth.Inspect(t, p)
	if t.Account.ID == "" && p.Identity.Required {
		return sink.Credential{}, fmt.Errorf("%w: its token does not say whose it is", ErrStays)
	}
	if t.Account.ID == "" {
		t.Account = oauth.Account{ID: shown(l.Account), Email: shown(l.Email)}
	}
	if end.IsZero() || !l.Expires.IsZero() && l.Expires.Before(end) {
		end = l.Expires
	}
	c := newCredential(l.Provider, pinOf(p), t, sink.Life{Expires: end})
	switch left := end.Sub(k.now().Wall); {
	case s.IsLegacy():
		return c, k.refuseTakenOver(l)
	case end.IsZero():
		return c, fmt.Errorf("%w: nobody knows when its access token ends", ErrNear)
	case left <= nearEnd:
		return c, fmt.Errorf("%w: %s are left of its access token", ErrNear, max(left, 0).Round(time.Second))
	}
	return c, nil
}

// notRenewable says that a provider's logins stay with their programs.
func (k *Keeper) notRenewable(id string) error {
	if p, ok := k.Providers.Find(id); ok && p.SetupToken != nil && p.SetupToken.Command != "" {
		return fmt.Errorf("%w: Keytray cannot renew logins of %s, but it can keep what `%s` prints", ErrStays, id, p.SetupToken.Command)
	}
	return fmt.Errorf("%w: Keytray cannot renew logins of %s", ErrStays, id)
}

// checkClaim compares what a file says of the server that renews a login with
// the catalog, which alone decides. A login of a provider that is not built in
// may have been made with any client, so its file has to say with which.
func checkClaim(l client.Login, p provider.OAuth) error {
	for _, c := range []struct{ what, says, is string }{
		{"issuer", strings.TrimSuffix(l.Claim.Issuer, "/"), strings.TrimSuffix(p.Issuer, "/")},
		{"client", l.Claim.Client, p.ClientID},
		{"token endpoint", l.Claim.TokenEndpoint, p.RenewalEndpoint()},
	} {
		if c.says != "" && c.says != c.is {
			return fmt.Errorf("%w: its file names another %s than the one of %s", ErrStays, c.what, l.Provider)
		}
	}
	if _, builtin := provider.Builtin().Find(l.Provider); !builtin && l.Claim.Client == "" {
		return fmt.Errorf("%w: its file does not say which client of %s it was made with", ErrStays, l.Provider)
	}
	return nil
}

// appraiseStatic takes a secret as it is, but for one that was handed out by
// whoever renews it.
func (k *Keeper) appraiseStatic(l client.Login) (sink.Credential, error) {
	if !l.Expires.IsZero() && !l.Expires.After(k.now().Wall) {
		return sink.Credential{}, fmt.Errorf("%w: it has expired", ErrStays)
	}
	if p, err := k.oauthProvider(l.Provider); err == nil {
		a, end := oauth.Inspect(oauth.Token{Access: l.Access, ID: l.Access}, p)
		if a.ID != "" || !end.IsZero() {
			return sink.Credential{}, fmt.Errorf("%w: it is an access token, which somebody else renews", ErrStays)
		}
	}
	return staticCredential(l.Kind, l.Provider, l.Access, sink.Life{Expires: l.Expires}), nil
}

// importID is the profile that a login becomes: a profile keeps its id, any other
// login gets the one that it would have if it were made here.
func (k *Keeper) importID(agent string, s client.Source, l client.Login, c sink.Credential) (string, error) {
	ids := []string{l.Provider + ":manual"}
	p, _ := k.Providers.Find(l.Provider)
	switch {
	case s.HasProfileIDs():
		ids = []string{shown(l.Name)}
	case c.Kind == sink.KindToken && p.SetupToken != nil:
		ids = []string{l.Provider + ":default"}
	case c.Kind == sink.KindOAuth:
		ids = k.candidates(LoginRequest{Agent: agent, Provider: l.Provider}, c.Account)
	}
	for _, id := range ids {
		ref := sink.Ref{Agent: agent, ID: id}
		if id == "" || k.Store.Foreign(ref) && !k.isMirror(agent, s) {
			continue
		}
		if p, err := k.Store.Profile(ref); err == nil && p.Account.ID != c.Account.ID {
			continue
		}
		return id, nil
	}
	return "", fmt.Errorf("%w: no profile can be called %q here", ErrStays, ids[0])
}

// refuseSecond refuses the login of an account that has one under another id, or
// of another agent: two copies of one login end each other, and whether these two
// are copies cannot be seen.
func (k *Keeper) refuseSecond(ref sink.Ref, c sink.Credential) error {
	if c.Kind != sink.KindOAuth || c.Account.ID == "" {
		return nil
	}
	for _, agent := range k.Store.Agents() {
		for p, err := range k.Store.Profiles(agent) {
			if err == nil && p.Ref != ref && p.Provider == c.Provider && p.Account.ID == c.Account.ID {
				return fmt.Errorf("%s of agent %s is of the same account: %w", p.ID, agent, sink.ErrExists)
			}
		}
	}
	return nil
}

// refuseTakenOver refuses what an OpenClaw has copied from the legacy file and
// renewed since.
func (k *Keeper) refuseTakenOver(l client.Login) error {
	for _, agent := range k.Store.Agents() {
		logins, err := client.Profiles(k.Store.MirrorPath(agent)).Logins()
		if err != nil {
			continue // it has none that OpenClaw could use
		}
		for _, other := range logins {
			if other.Kind == sink.KindOAuth && other.Provider == l.Provider {
				return fmt.Errorf("%w: OpenClaw has a login of %s that may be its successor", ErrStays, l.Provider)
			}
		}
	}
	return nil
}

// shown is text from a file that will be shown and compared, if it is fit for it.
func shown(s string) string {
	if len(s) > 320 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

// ImportLegacy moves what can be moved of the file in which OpenClaw's oldest
// versions kept their logins, if this root has one. The rest stays there.
func (k *Keeper) ImportLegacy(ctx context.Context, agent string) (moved []sink.Profile, err error) {
	s, ok := client.Legacy(k.Store.Dir(), filepath.Dir(k.Store.MirrorPath(agent)), k.Store.Credentials())
	if !ok {
		return nil, nil
	}
	found, err := k.Look(agent, s)
	for _, f := range found {
		if f.Why != nil {
			continue
		}
		p, importErr := k.Import(ctx, agent, f)
		if importErr == nil {
			moved = append(moved, p)
		}
		err = errors.Join(err, importErr)
	}
	return moved, err
}

// FinishImports finishes or undoes the imports that a process did not live to
// end. Those of which nobody can tell where the login is stay as they are; the
// error says which.
func (k *Keeper) FinishImports(ctx context.Context) error {
	var errs []error
	for _, ref := range k.Store.Importing() {
		if err := k.Store.Restore(ctx, ref); err != nil {
			errs = append(errs, err)
			continue
		}
		_, err := k.Store.Profile(ref)
		k.Log.Info("an interrupted import is over", "profile", ref.ID, "moved", err == nil)
	}
	return errors.Join(errs...)
}
