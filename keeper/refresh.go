package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// demand is what a caller wants of a renewal.
type demand struct {
	// ttl is the life the token must have; zero means the usual margin, and
	// that an older token is better than none.
	ttl time.Duration
	// beyond is a generation that is not good enough any more.
	beyond uint64
	// asked says that a person asked for it.
	asked bool
}

// renew gets a token under the profile's lock.
func (k *Keeper) renew(ctx context.Context, ref sink.Ref, d demand) (Token, error) {
	var got Token
	served := func() bool {
		t, ok := k.served(ctx, ref, d)
		got = t
		return ok
	}
	err := k.Store.UpdateUnless(ctx, ref, served, func(tx *sink.Tx) error {
		c, err := k.underLock(ctx, tx, ref, d)
		if err == nil {
			got = Token{Access: c.Access, Expires: c.Expires}
		}
		return err
	})
	if got.Access.Empty() {
		return Token{}, err
	}
	if err != nil { // a token is in hand, so this is for the log
		k.Log.Warn("the login works but was not saved as it should be", "profile", ref.ID, "err", err)
	}
	if got.Profile.Generation == 0 {
		got.Profile = sink.Profile{Ref: ref, Expires: got.Expires}
		if p, err := k.Store.Profile(ref); err == nil {
			got.Profile = p
		}
	}
	return got, nil
}

// served looks whether somebody else's renewal has what the caller wants.
func (k *Keeper) served(ctx context.Context, ref sink.Ref, d demand) (Token, bool) {
	p, err := k.Store.Profile(ref)
	if err != nil || p.Generation <= d.beyond {
		return Token{}, false
	}
	t, err := k.Store.Token(ctx, p, k.margin(p.Provider, p.Minted, p.Expires, d.ttl))
	if err != nil {
		return Token{}, false
	}
	return Token{p, t, p.Expires}, true
}

// underLock decides, on what is true now, between the stored token and a new
// one.
func (k *Keeper) underLock(ctx context.Context, tx *sink.Tx, ref sink.Ref, d demand) (sink.Credential, error) {
	c, ok := tx.Current()
	if !ok && tx.Lost() {
		return c, &LoginRequiredError{ref, "", "store_lost"}
	}
	if !ok {
		return c, fmt.Errorf("%s: %w", ref.ID, sink.ErrUnknownProfile)
	}
	now := k.now()
	if tx.Generation() > d.beyond && c.Fresh(now, k.margin(c.Provider, c.Minted, c.Expires, d.ttl)) {
		return c, nil
	}
	if c.Kind != sink.KindOAuth {
		return static(c, ref, now, d)
	}
	renewed, err := k.spend(ctx, tx, ref, c, d)
	if err != nil {
		return k.fallback(c, ref, now, d, err)
	}
	if d.ttl > 0 && !renewed.Fresh(k.now(), d.ttl) {
		life := renewed.Expires.Sub(renewed.Minted).Round(time.Second)
		return sink.Credential{}, fmt.Errorf("%w: a new one lives %s", ErrShortLife, life)
	}
	return renewed, nil
}

// static answers for a secret that cannot be renewed.
func static(c sink.Credential, ref sink.Ref, now time.Time, d demand) (sink.Credential, error) {
	switch {
	case !c.Fresh(now, 0):
		return sink.Credential{}, &LoginRequiredError{ref, c.Provider, "expired"}
	case d.ttl > 0 && !c.Fresh(now, d.ttl):
		return sink.Credential{}, fmt.Errorf("%w: %s are left and it cannot be renewed", ErrShortLife, c.Expires.Sub(now).Round(time.Second))
	case d.asked:
		return sink.Credential{}, sink.ErrNoRefresh
	}
	return c, nil
}

// fallback hands out the old token while it lives, unless more was promised.
func (k *Keeper) fallback(c sink.Credential, ref sink.Ref, now time.Time, d demand, err error) (sink.Credential, error) {
	if d.ttl > 0 || d.beyond > 0 || !c.Fresh(now, time.Second) {
		return sink.Credential{}, err
	}
	k.Log.Warn("could not renew; the old token still works", "profile", ref.ID, "left", c.Expires.Sub(now).Round(time.Second), "err", err)
	return c, nil
}

// spend sends the refresh token, at most once, and hands the answer to tx
// before it looks at it.
func (k *Keeper) spend(ctx context.Context, tx *sink.Tx, ref sink.Ref, c sink.Credential, d demand) (sink.Credential, error) {
	p, err := k.oauthProvider(c.Provider)
	if err != nil {
		return c, err
	}
	if p.TokenEndpoint != c.Pin.TokenEndpoint || p.ClientID != c.Pin.Client {
		return c, fmt.Errorf("%s: %w", ref.ID, ErrPinned)
	}
	if state, reason := tx.Standing(); state == sink.StateNeedsLogin {
		return c, &LoginRequiredError{ref, c.Provider, reason}
	}
	in, _ := tx.Intent()
	switch resend(p.Policy, in, k.now(), c.Expires.Sub(k.now()), d.asked) {
	case wait:
		return c, fmt.Errorf("renewing %s: %w: an earlier request got no answer", ref.ID, ErrLater)
	case giveUp:
		tx.Mark(sink.StateNeedsLogin, "lost_response")
		return c, &LoginRequiredError{ref, c.Provider, "lost_response"}
	case send:
	}
	if err := context.Cause(ctx); err != nil {
		return c, err
	}
	if err := tx.Sending(); err != nil {
		return c, err
	}
	minted := k.now()
	// From here on the answer matters more than the caller: the client's own
	// limit of 30 s applies.
	t, err := k.Client.Refresh(context.WithoutCancel(ctx), p, c.Refresh)
	if err == nil || !t.Refresh.Empty() {
		return k.received(tx, ref, c, t, minted, err)
	}
	return c, k.refused(tx, ref, c, err, in)
}

// received saves an answer, and only then judges it.
func (k *Keeper) received(tx *sink.Tx, ref sink.Ref, old sink.Credential, t oauth.Token, minted time.Time, tokenErr error) (sink.Credential, error) {
	c := merge(old, t, minted)
	if err := tx.Received(c); err != nil {
		return old, err
	}
	if tokenErr != nil {
		return old, fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrLater, tokenErr)
	}
	if id := t.Account.ID; id != "" && old.Account.ID != "" && id != old.Account.ID {
		tx.Mark(sink.StateNeedsLogin, "account_changed")
		return old, &LoginRequiredError{ref, old.Provider, "account_changed"}
	}
	return c, nil
}

// merge is old renewed by t: what the server left out stays as it was.
func merge(old sink.Credential, t oauth.Token, minted time.Time) sink.Credential {
	c := old
	c.Access, c.Minted, c.Expires = t.Access, minted, t.Expiry
	if !t.Refresh.Empty() {
		c.Refresh = t.Refresh
	}
	if t.Scope != "" {
		c.Scope = t.Scope
	}
	if t.Account.Email != "" {
		c.Account.Email = t.Account.Email
	}
	if t.Account.Plan != "" {
		c.Account.Plan = t.Account.Plan
	}
	return c
}

// refused declares what an error means for the refresh token that was sent.
func (k *Keeper) refused(tx *sink.Tx, ref sink.Ref, c sink.Credential, err error, before sink.Intent) error {
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Class == oauth.Ambiguous {
		tx.Outcome(sink.Ambiguous)
		return fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrLater, err)
	}
	switch e.Class {
	case oauth.NotSent:
		tx.Outcome(sink.NotSent)
	case oauth.Permanent:
		tx.Outcome(sink.Rejected)
		reason := e.Code
		if before.Attempt > 0 {
			reason = "lost_response"
		}
		tx.Mark(sink.StateNeedsLogin, reason)
		return &LoginRequiredError{ref, c.Provider, reason}
	case oauth.Misconfigured:
		tx.Outcome(sink.Rejected)
		return fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrMisconfigured, err)
	default:
		tx.Outcome(sink.Rejected)
	}
	return fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrLater, err)
}

// newCredential is a first login.
func newCredential(providerID string, pin sink.Pin, t oauth.Token, minted time.Time) sink.Credential {
	return sink.Credential{
		Kind: sink.KindOAuth, Provider: providerID,
		Access: t.Access, Refresh: t.Refresh, Minted: minted, Expires: t.Expiry, Scope: t.Scope,
		Account: sink.Account(t.Account), Pin: pin,
	}
}

// staticCredential is a secret that somebody pasted.
func staticCredential(kind sink.Kind, providerID string, s secret.Text, now, expires time.Time) sink.Credential {
	return sink.Credential{Kind: kind, Provider: providerID, Access: s, Minted: now, Expires: expires}
}
