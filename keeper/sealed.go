package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/sink"
)

// lendFor is how long a sealed file can be opened if nobody knows when its tokens
// end.
const lendFor = 24 * time.Hour

// ErrOwn means that a login of our own is in the place of one that is lent.
var ErrOwn = errors.New("there is a login of that name which is not lent")

// Seal is who seals for whom.
type Seal struct {
	// From is this machine, in words.
	From string
	To   sealed.Address
}

func (k *Keeper) bundle(by Seal) sealed.Bundle {
	return sealed.Bundle{ID: rand.Text(), From: by.From, Made: k.now().Wall}
}

// Lend seals an access token, or the key, of each of the logins: nothing that could
// renew them. The file can be opened for life, or if that is zero until the first
// of the tokens ends. A login that has no token keeps no other from it: there are
// bytes and an error then.
func (k *Keeper) Lend(ctx context.Context, profiles []sink.Profile, by Seal, life time.Duration) (text []byte, err error) {
	b := k.bundle(by)
	var first time.Time
	for _, p := range profiles {
		t, tokenErr := k.Token(ctx, p, 0)
		if tokenErr != nil {
			err = errors.Join(err, tokenErr)
			continue
		}
		p = t.Profile
		kind := sink.KindToken
		if p.Kind == sink.KindAPIKey {
			kind = sink.KindAPIKey
		}
		b.Logins = append(b.Logins, sealed.Login{
			Profile: p.ID, Provider: p.Provider, Kind: string(kind), Access: t.Access, Minted: p.Minted.Wall, Expires: t.Expires,
			Account: p.Account.ID, Email: p.Account.Email, Plan: p.Account.Plan,
		})
		if !t.Expires.IsZero() && (first.IsZero() || t.Expires.Before(first)) {
			first = t.Expires
		}
	}
	switch {
	case len(b.Logins) == 0:
		return nil, err
	case life > 0:
		b.NotAfter = b.Made.Add(life)
	case first.IsZero():
		b.NotAfter = b.Made.Add(lendFor)
	default:
		b.NotAfter = first
	}
	text, sealErr := b.Seal(by.To)
	return text, errors.Join(err, sealErr)
}

// HandOver moves a login wholly into a sealed file: see [sink.Store.HandOver].
func (k *Keeper) HandOver(ctx context.Context, p sink.Profile, by Seal, file string) error {
	err := k.Store.HandOver(ctx, p.Ref, sink.Departure{File: file, To: by.To.String(), Seal: func(c sink.Credential) ([]byte, error) {
		b := k.bundle(by)
		b.Move = true
		b.Logins = []sealed.Login{{
			Profile: p.ID, Provider: c.Provider, Kind: string(c.Kind), Access: c.Access, Refresh: c.Refresh, Minted: c.Minted.Wall, Expires: c.Expires,
			Scope: c.Scope, Account: c.Account.ID, Email: c.Account.Email, Plan: c.Account.Plan,
			Issuer: c.Pin.Issuer, Client: c.Pin.Client, TokenEndpoint: c.Pin.TokenEndpoint, RevocationEndpoint: c.Pin.RevocationEndpoint,
		}}
		return b.Seal(by.To)
	}})
	if m, ok := errors.AsType[*sink.MirrorError](err); ok {
		k.Log.Warn("moved, but the profile file could not be written", "profile", p.ID, "err", m)
		return nil
	}
	return err
}

// Receive takes over what was sealed for us. A login that was moved is renewed at
// once, which makes the file worthless; the others are kept for as long as their
// tokens live. One that cannot be taken keeps no other from it.
func (k *Keeper) Receive(ctx context.Context, agent string, b sealed.Bundle) (got []sink.Profile, err error) {
	if err := k.Store.Ready(ctx); err != nil {
		return nil, err
	}
	for _, l := range b.Logins {
		take := k.borrow
		if b.Move {
			take = k.adopt
		}
		p, takeErr := take(ctx, sink.Ref{Agent: agent, ID: l.Profile}, b, l)
		if takeErr != nil {
			err = errors.Join(err, takeErr)
			continue
		}
		got = append(got, p)
	}
	return got, err
}

// borrow keeps an access token of another machine's login.
func (k *Keeper) borrow(ctx context.Context, ref sink.Ref, b sealed.Bundle, l sealed.Login) (sink.Profile, error) {
	if err := k.nameable(ref, l); err != nil {
		return sink.Profile{}, err
	}
	if !l.Expires.IsZero() && !l.Expires.After(k.now().Wall) {
		return sink.Profile{}, fmt.Errorf("the token of %s: %w", ref.ID, sealed.ErrExpired)
	}
	c := staticCredential(sink.Kind(l.Kind), l.Provider, l.Access, sink.Life{Minted: k.now(), Expires: l.Expires})
	c.Account, c.Lender = sink.Account{ID: l.Account, Email: l.Email, Plan: l.Plan}, b.From
	err := k.Store.Update(ctx, ref, func(tx *sink.Tx) error {
		now, there := tx.Current()
		switch {
		case there && (now.Lender == "" || now.Provider != c.Provider || now.Kind != c.Kind):
			return fmt.Errorf("%s: %w", ref.ID, ErrOwn)
		case there && !c.Expires.IsZero() && now.Expires.After(c.Expires):
			return nil // an older file than the one before
		}
		return tx.Received(c)
	})
	if err != nil {
		return sink.Profile{}, err
	}
	return k.Store.Profile(ref)
}

// adopt takes over a login that was moved. Where it is renewed the catalog says,
// and not the file, which anybody can have sealed.
func (k *Keeper) adopt(ctx context.Context, ref sink.Ref, b sealed.Bundle, l sealed.Login) (sink.Profile, error) {
	if err := k.nameable(ref, l); err != nil {
		return sink.Profile{}, err
	}
	p, err := k.oauthProvider(l.Provider)
	if err != nil {
		return sink.Profile{}, err
	}
	if p.TokenEndpoint != l.TokenEndpoint || p.ClientID != l.Client {
		return sink.Profile{}, fmt.Errorf("%s: %w", ref.ID, ErrPinned)
	}
	c := sink.Credential{
		Kind: sink.KindOAuth, Provider: l.Provider, Access: l.Access, Refresh: l.Refresh, Scope: l.Scope,
		Life:    sink.Life{Minted: sink.Moment{Wall: l.Minted}, Expires: l.Expires},
		Account: sink.Account{ID: l.Account, Email: l.Email, Plan: l.Plan}, Pin: pinOf(p),
	}
	if err := k.refuseSecond(ref, c); err != nil {
		return sink.Profile{}, err
	}
	err = k.Store.Receive(ctx, ref, sink.Parcel{ID: b.ID, Login: c})
	if m, ok := errors.AsType[*sink.MirrorError](err); ok {
		k.Log.Warn("moved here, but the profile file could not be written", "profile", ref.ID, "err", m)
		return sink.Profile{Ref: ref, Provider: c.Provider, Kind: c.Kind, Account: c.Account, Life: c.Life}, nil
	}
	if err != nil {
		return sink.Profile{}, err
	}
	profile, err := k.Store.Profile(ref)
	if err != nil {
		return profile, err
	}
	t, err := k.Refresh(ctx, profile)
	if err != nil {
		k.Log.Warn("moved here, but not renewed yet; until then the sealed file would work too, so delete it", "profile", ref.ID, "err", err)
		return profile, nil
	}
	return t.Profile, nil
}

// nameable refuses names that cannot be a login's here.
func (k *Keeper) nameable(ref sink.Ref, l sealed.Login) error {
	if err := provider.CheckID(l.Provider); err != nil {
		return fmt.Errorf("%w: its provider is %.60q", sealed.ErrForeign, l.Provider)
	}
	if shown(ref.ID) != ref.ID {
		return fmt.Errorf("%w: its name is too long", sealed.ErrForeign)
	}
	if k.Store.Foreign(ref) {
		return fmt.Errorf("%s: %w by another program's login", ref.ID, ErrTaken)
	}
	return nil
}
