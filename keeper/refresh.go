package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
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
	began := time.Now()
	served := func() bool {
		t, ok := k.served(ctx, ref, d)
		if !ok && time.Since(began) > patience {
			t, ok = k.last(ctx, ref, d)
		}
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
	if got.Access.Empty() || errors.Is(err, sink.ErrAbandoned) {
		return Token{}, err
	}
	if err != nil { // a token is in hand, so this is for the log
		k.Log.Warn("the login works but was not saved as it should be", "profile", ref.ID, "err", err)
	}
	if got.Profile.Generation == 0 {
		got.Profile = sink.Profile{Ref: ref}
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
	t, err := k.Store.Token(ctx, p, k.margin(p.Provider, p.Life, d.ttl))
	if err != nil {
		return Token{}, false
	}
	return Token{p, t, p.Expires}, true
}

// patience is how long a caller waits for somebody else's renewal before it takes
// the old token, if that still lives and nothing more was promised.
const patience = 5 * time.Second

// last is the old token, for a caller to whom it is better than none.
func (k *Keeper) last(ctx context.Context, ref sink.Ref, d demand) (Token, bool) {
	p, err := k.Store.Profile(ref)
	if err != nil || d.ttl > 0 || d.beyond > 0 {
		return Token{}, false
	}
	if p.Left(k.now()) < time.Second {
		return Token{}, false
	}
	t, err := k.Store.Last(ctx, p)
	return Token{p, t, p.Expires}, err == nil
}

// underLock decides, on what is true now, between the stored token and a new
// one.
func (k *Keeper) underLock(ctx context.Context, tx *sink.Tx, ref sink.Ref, d demand) (sink.Credential, error) {
	c, ok := tx.Current()
	if !ok && tx.Moved() {
		return c, &LoginRequiredError{Ref: ref, Reason: movedReason}
	}
	if !ok && tx.Lost() {
		return c, &LoginRequiredError{Ref: ref, Reason: "store_lost"}
	}
	if !ok {
		return c, fmt.Errorf("%s: %w", ref.ID, sink.ErrUnknownProfile)
	}
	now := k.now()
	if tx.Generation() > d.beyond && c.Fresh(now, k.margin(c.Provider, c.Life, d.ttl)) {
		return c, nil
	}
	if c.Kind != sink.KindOAuth {
		return static(c, ref, now, d)
	}
	if whole := c.Whole(); whole > 0 && d.ttl > whole {
		return sink.Credential{}, fmt.Errorf("%w: it lives %s", ErrShortLife, whole.Round(time.Second))
	}
	renewed, err := k.spend(ctx, tx, ref, c, d)
	if err != nil {
		return k.fallback(c, ref, now, d, err)
	}
	if d.ttl > 0 && !renewed.Fresh(k.now(), d.ttl) {
		life := renewed.Whole().Round(time.Second)
		return sink.Credential{}, fmt.Errorf("%w: a new one lives %s", ErrShortLife, life)
	}
	return renewed, nil
}

// static answers for a secret that cannot be renewed.
func static(c sink.Credential, ref sink.Ref, now sink.Moment, d demand) (sink.Credential, error) {
	switch {
	case !c.Fresh(now, 0):
		return sink.Credential{}, &LoginRequiredError{ref, c.Provider, c.Kind, "expired"}
	case d.ttl > 0 && !c.Fresh(now, d.ttl):
		return sink.Credential{}, fmt.Errorf("%w: %s are left and it cannot be renewed", ErrShortLife, c.Left(now).Round(time.Second))
	case d.asked:
		return sink.Credential{}, sink.ErrNoRefresh
	}
	return c, nil
}

// fallback hands out the old token while it lives, unless more was promised.
func (k *Keeper) fallback(c sink.Credential, ref sink.Ref, now sink.Moment, d demand, err error) (sink.Credential, error) {
	if d.ttl > 0 || d.beyond > 0 || !c.Fresh(now, time.Second) {
		return sink.Credential{}, err
	}
	k.Log.Warn("could not renew; the old token still works", "profile", ref.ID, "left", c.Left(now).Round(time.Second), "err", err)
	return c, nil
}

// spend renews c by its refresh token, if that may be sent now.
func (k *Keeper) spend(ctx context.Context, tx *sink.Tx, ref sink.Ref, c sink.Credential, d demand) (sink.Credential, error) {
	p, err := k.oauthProvider(c.Provider)
	if err != nil {
		return c, err
	}
	if err := k.permitted(ctx, tx, ref, c, p, d); err != nil {
		return c, err
	}
	renewed, err := k.send(ctx, tx, ref, c, p)
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || (e.Class != oauth.Permanent && e.Class != oauth.Contended) {
		return renewed, err
	}
	// Perhaps somebody replaced the login without taking our lock.
	changed, reloadErr := tx.Reload(ctx)
	if reloadErr != nil {
		return c, reloadErr
	}
	if e.Class == oauth.Contended {
		<-time.After(leastPause) // the server asks for another try
	} else if !changed {
		return c, err
	}
	c, _ = tx.Current()
	return k.send(ctx, tx, ref, c, p)
}

// permitted answers whether the refresh token may be sent: to this server, in
// its state, at this time.
func (k *Keeper) permitted(ctx context.Context, tx *sink.Tx, ref sink.Ref, c sink.Credential, p provider.OAuth, d demand) error {
	if p.RenewalEndpoint() != c.Pin.TokenEndpoint || p.ClientID != c.Pin.Client {
		return fmt.Errorf("%s: %w", ref.ID, ErrPinned)
	}
	if state, reason := tx.Standing(); state == sink.StateNeedsLogin {
		return &LoginRequiredError{ref, c.Provider, c.Kind, reason}
	}
	now := k.now()
	in, _ := tx.Intent()
	left := c.Left(now)
	if c.Access.Empty() { // nothing to be lost with it
		left = 0
	}
	switch resend(p.Policy, in, now.Wall, left, d.asked) {
	case wait:
		return fmt.Errorf("renewing %s: %w: an earlier request got no answer", ref.ID, ErrLater)
	case giveUp:
		tx.Mark(sink.StateNeedsLogin, "lost_response", time.Time{})
		return &LoginRequiredError{ref, c.Provider, c.Kind, "lost_response"}
	case send:
	}
	usable := d.ttl == 0 && c.Fresh(now, time.Second)
	until, yes := early(tx.Pace(), c, now, usable, d.asked)
	if !yes {
		return context.Cause(ctx)
	}
	pause := until.Sub(now.Wall)
	if pause > leastPause {
		return fmt.Errorf("renewing %s: %w: the next try is at %s", ref.ID, ErrLater, until.Local().Format(time.TimeOnly))
	}
	select {
	case <-time.After(pause):
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send sends the refresh token, once, and hands the answer to tx before it
// looks at it.
func (k *Keeper) send(ctx context.Context, tx *sink.Tx, ref sink.Ref, c sink.Credential, p provider.OAuth) (sink.Credential, error) {
	client, err := k.clientOf(ctx, p)
	if err != nil {
		return c, fmt.Errorf("renewing %s: %w", ref.ID, err)
	}
	if err := k.step(ref, StepSending); err != nil {
		return c, err
	}
	before, _ := tx.Intent()
	if err := tx.Sending(); err != nil {
		return c, err
	}
	minted := k.now()
	// From here on the answer matters more than the caller: the client's own
	// limit of 30 s applies.
	t, err := client.Refresh(context.WithoutCancel(ctx), p, c.Refresh)
	if err == nil || !t.Refresh.Empty() {
		return k.received(tx, ref, c, t, minted, err)
	}
	return c, k.refused(tx, ref, c, err, before)
}

// received saves an answer, and only then judges it.
func (k *Keeper) received(tx *sink.Tx, ref sink.Ref, old sink.Credential, t oauth.Token, minted sink.Moment, tokenErr error) (sink.Credential, error) {
	c := merge(old, t, k.life(t, minted))
	if err := tx.Received(c); err != nil {
		return old, err
	}
	if tx.Journalled() {
		_ = k.step(ref, StepJournalled)
	}
	if tokenErr != nil {
		return old, fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrLater, tokenErr)
	}
	if id := t.Account.ID; id != "" && old.Account.ID != "" && id != old.Account.ID {
		tx.Mark(sink.StateNeedsLogin, "account_changed", time.Time{})
		return old, &LoginRequiredError{ref, old.Provider, old.Kind, "account_changed"}
	}
	return c, nil
}

// merge is old renewed by t: what the server left out stays as it was.
func merge(old sink.Credential, t oauth.Token, life sink.Life) sink.Credential {
	c := old
	c.Access, c.Life = t.Access, life
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

// life is that of a token just received. The protocol counts by the system's
// clock, which in a simulation is another one than ours.
func (k *Keeper) life(t oauth.Token, minted sink.Moment) sink.Life {
	if t.Expiry.IsZero() {
		return sink.Life{Minted: minted}
	}
	return sink.Life{Minted: minted, Expires: t.Expiry.Add(time.Until(k.now().Wall))}
}

// refused declares what an error means for the refresh token that was sent, and
// when to try again. The error it returns still tells its class.
func (k *Keeper) refused(tx *sink.Tx, ref sink.Ref, c sink.Credential, err error, before sink.Intent) error {
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		e = &oauth.Error{Class: oauth.Ambiguous}
	}
	now, pace := k.now().Wall, tx.Pace()
	pace.Last = now
	if e.Class == oauth.Doubtful && !pace.Doubt.IsZero() && now.Sub(pace.Doubt) >= secondStrike {
		e.Class = oauth.Permanent
	}
	switch e.Class {
	case oauth.NotSent:
		tx.Outcome(sink.NotSent)
	case oauth.Ambiguous:
		tx.Outcome(sink.Ambiguous)
	case oauth.Permanent:
		tx.Outcome(sink.Dead)
	default:
		tx.Outcome(sink.Rejected)
	}
	switch e.Class {
	case oauth.Permanent:
		return k.dead(tx, ref, c, e, err, before)
	case oauth.Misconfigured:
		tx.Mark(sink.StateMisconfigured, word(e.Code), time.Time{})
		return fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrMisconfigured, err)
	case oauth.Doubtful:
		if pace.Doubt.IsZero() {
			pace.Doubt = now
		}
	}
	pace.Next = now.Add(max(retry(pace.Failures, now), e.RetryAfter))
	pace.Failures++
	tx.Mark(sink.StateRetrying, e.Class.String(), pace.Next)
	if paceErr := tx.SetPace(pace); paceErr != nil {
		k.Log.Debug("the pause before the next try is not remembered", "profile", ref.ID, "err", paceErr)
	}
	return fmt.Errorf("renewing %s: %w: %w", ref.ID, ErrLater, err)
}

// dead marks a refresh token that the server will never take again. That it was
// used by another program is said only when no answer of our own got lost.
func (k *Keeper) dead(tx *sink.Tx, ref sink.Ref, c sink.Credential, e *oauth.Error, err error, before sink.Intent) error {
	reason := word(e.Code)
	switch {
	case before.Attempt > 0:
		reason = "lost_response"
	case e.Code == "refresh_token_reused":
		reason = "used_elsewhere"
	}
	tx.Mark(sink.StateNeedsLogin, reason, time.Time{})
	return errors.Join(&LoginRequiredError{ref, c.Provider, c.Kind, reason}, err)
}

// word is a server's code, or ours where it gave none.
func word(code string) string { return cmp.Or(code, "refused") }

// newCredential is a first login.
func newCredential(providerID string, pin sink.Pin, t oauth.Token, life sink.Life) sink.Credential {
	return sink.Credential{
		Kind: sink.KindOAuth, Provider: providerID,
		Access: t.Access, Refresh: t.Refresh, Life: life, Scope: t.Scope,
		Account: sink.Account(t.Account), Pin: pin,
	}
}

// staticCredential is a secret that somebody pasted.
func staticCredential(kind sink.Kind, providerID string, s secret.Text, life sink.Life) sink.Credential {
	return sink.Credential{Kind: kind, Provider: providerID, Access: s, Life: life}
}
