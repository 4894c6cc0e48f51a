// Package keeper keeps logins usable: it signs in and out, renews and hands out
// access tokens. It is the only place where protocol (package oauth) meets state
// (package sink), and knows the rules between them: when a token is due, when a
// refresh token may be sent, and what an error means for a login.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

var (
	// ErrUnknownProvider means that no provider of that id is known.
	ErrUnknownProvider = errors.New("no such provider")
	// ErrNoBrowserLogin means that a provider has secrets to be pasted, and no more.
	ErrNoBrowserLogin = errors.New("no sign-in through the browser is known")
	// ErrNoDeviceLogin means that nobody can sign in to a provider with a code.
	ErrNoDeviceLogin = errors.New("no sign-in with a code is known")
	// ErrLater means that trying again later is right; nothing was lost.
	ErrLater = errors.New("not possible right now")
	// ErrShortLife means that no token of this login ever lives as long as asked.
	ErrShortLife = errors.New("tokens of this login do not live that long")
	// ErrUnrenewed means that a token is over and was not to be renewed.
	ErrUnrenewed = errors.New("the token is over, and was not to be renewed")
	// ErrMisconfigured means that the provider's entry, not the login, is wrong.
	ErrMisconfigured = errors.New("the provider refuses this client")
	// ErrPinned means that the provider's entry now names another server than
	// the one the login was made with. Its refresh token is not sent there.
	ErrPinned = errors.New("the provider's endpoints have changed since the login")
)

// LoginRequiredError means that only a new sign-in helps.
type LoginRequiredError struct {
	Ref      sink.Ref
	Provider string
	// Kind is empty where it is not known.
	Kind sink.Kind
	// Reason is one word: the server's code, or ours (expired, store_lost,
	// lost_response, account_changed).
	Reason string
}

func (e *LoginRequiredError) Error() string {
	return fmt.Sprintf("%s needs a new sign-in (%s)", e.Ref.ID, e.Reason)
}

// Keeper works on one store. Its zero value is not usable; all fields but Clock
// and Observe are required. It is safe for concurrent use.
type Keeper struct {
	Store     *sink.Store
	Client    *oauth.Client
	Providers provider.Catalog
	Log       *slog.Logger
	// Clock tells the time; nil means sink.Now. Simulation sets it.
	Clock func() sink.Moment
	// Observe is told of the steps of renewals and sign-ins, in their goroutine.
	// An error of it at StepSending keeps a refresh token unsent.
	Observe func(sink.Ref, Step) error
}

func (k *Keeper) now() sink.Moment {
	if k.Clock != nil {
		return k.Clock()
	}
	return sink.Now()
}

// Token is an access token that was handed out.
type Token struct {
	Profile sink.Profile
	Access  secret.Text
	// Expires is zero when nobody knows.
	Expires time.Time
}

// Token hands out an access token of p. With ttl zero it renews one that is due
// and, should that fail, hands out the old one for as long as it lives. A ttl
// above zero is a promise: the token lives that long, or there is an error
// (ErrLater, ErrShortLife).
//
// A cancelled ctx ends it only where nothing is at stake: once the refresh
// token has been sent, Token stays until the answer is saved.
func (k *Keeper) Token(ctx context.Context, p sink.Profile, ttl time.Duration) (Token, error) {
	t, err := k.stored(ctx, p, ttl)
	if !errors.Is(err, sink.ErrStale) {
		return t, err
	}
	return k.renew(ctx, p.Ref, demand{ttl: ttl})
}

// Stored hands out p's access token as it is, or answers ErrStale (package sink)
// if a renewal is due: for a process that may be killed at any time and must not
// renew anything.
func (k *Keeper) Stored(ctx context.Context, p sink.Profile) (Token, error) {
	return k.stored(ctx, p, 0)
}

// Kept hands out p's access token as it is, if it lives for ttl more and for a
// second at least. It renews nothing and waits for nobody. The error says what
// would help: ErrUnrenewed a renewal, a [*LoginRequiredError] a person,
// ErrShortLife a shorter ttl.
func (k *Keeper) Kept(ctx context.Context, p sink.Profile, ttl time.Duration) (Token, error) {
	ttl = max(ttl, time.Second)
	t, err := k.Store.Token(ctx, p, ttl)
	if errors.Is(err, sink.ErrStale) && p.Left(k.now()) >= ttl { // something is under way
		t, err = k.Store.Last(ctx, p)
	}
	if errors.Is(err, sink.ErrStale) {
		return Token{}, k.unkept(p)
	}
	if err != nil {
		return Token{}, err
	}
	return Token{p, t, p.Expires}, nil
}

// unkept is why there is no token of p without a renewal.
func (k *Keeper) unkept(p sink.Profile) error {
	left := p.Left(k.now())
	switch {
	case p.State == sink.StateNeedsLogin:
		return &LoginRequiredError{p.Ref, p.Provider, p.Kind, p.Reason}
	case p.Kind == sink.KindOAuth:
		return fmt.Errorf("%s: %w", p.ID, ErrUnrenewed)
	case left >= time.Second:
		return fmt.Errorf("%s: %w: %s are left and it cannot be renewed", p.ID, ErrShortLife, left.Round(time.Second))
	default:
		return &LoginRequiredError{p.Ref, p.Provider, p.Kind, "expired"}
	}
}

// RipeIn says in how long Stored will answer ErrStale because of p's age; 0 or less
// is now.
func (k *Keeper) RipeIn(p sink.Profile) time.Duration {
	return p.Left(k.now()) - k.margin(p.Provider, p.Life, 0)
}

func (k *Keeper) stored(ctx context.Context, p sink.Profile, ttl time.Duration) (Token, error) {
	t, err := k.Store.Token(ctx, p, k.margin(p.Provider, p.Life, ttl))
	if err != nil {
		return Token{}, err
	}
	return Token{p, t, p.Expires}, nil
}

// Refresh renews p's token now, whatever is left of its life. Callers who ask
// at the same time share one renewal, in this process and across processes.
func (k *Keeper) Refresh(ctx context.Context, p sink.Profile) (Token, error) {
	return k.renew(ctx, p.Ref, demand{beyond: p.Generation, asked: true})
}

// margin is how much life a token must have left.
func (k *Keeper) margin(providerID string, life sink.Life, ttl time.Duration) time.Duration {
	if ttl > 0 {
		return ttl
	}
	return life.Margin(k.lead(providerID))
}

func (k *Keeper) lead(providerID string) time.Duration {
	if p, err := k.oauthProvider(providerID); err == nil {
		return p.Lead()
	}
	return provider.DefaultLead
}

// clientOf is the client for p's server: one that can prove itself, where p says
// that it has to.
func (k *Keeper) clientOf(ctx context.Context, p provider.OAuth) (*oauth.Client, error) {
	if !p.ClientAuth.Confidential() {
		return k.Client, nil
	}
	key, err := k.Store.ClientKey(ctx, pinOf(p))
	if err != nil {
		return nil, err
	}
	return &oauth.Client{Transport: k.Client.Transport, Key: key}, nil
}

// KeepClient keeps in the keychain what p's client proves itself with.
func (k *Keeper) KeepClient(ctx context.Context, p provider.OAuth, text secret.Text) error {
	key, err := clientauth.Clean(p, text)
	if err != nil {
		return err
	}
	return k.Store.SetClientKey(ctx, pinOf(p), key)
}

// ForgetClient removes from the keychain what p's client proves itself with, unless
// another provider has the same client.
func (k *Keeper) ForgetClient(ctx context.Context, p provider.Provider) error {
	if p.OAuth == nil || !p.OAuth.ClientAuth.Confidential() {
		return nil
	}
	pin := pinOf(*p.OAuth)
	for _, q := range k.Providers {
		if q.ID == p.ID || q.OAuth == nil || !q.OAuth.ClientAuth.Confidential() {
			continue
		}
		if other := pinOf(*q.OAuth); other.Issuer == pin.Issuer && other.Client == pin.Client && other.TokenEndpoint == pin.TokenEndpoint {
			return nil
		}
	}
	return k.Store.DropClientKey(ctx, pin)
}

func (k *Keeper) oauthProvider(id string) (provider.OAuth, error) {
	p, ok := k.Providers.Find(id)
	if !ok {
		return provider.OAuth{}, fmt.Errorf("%s: %w", id, ErrUnknownProvider)
	}
	if p.OAuth == nil {
		return provider.OAuth{}, fmt.Errorf("%s: %w", id, ErrNoBrowserLogin)
	}
	return *p.OAuth, nil
}
