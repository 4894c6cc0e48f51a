package keeper

import (
	"context"
	"errors"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/sink"
)

// Farewell is what the provider knows of a sign-out.
type Farewell string

// The farewells.
const (
	// Told: the login is over there too.
	Told Farewell = "told"
	// Local: the person wanted the provider not to be told.
	Local Farewell = "local"
	// Mute: the provider has no way to be told; what it issued works on.
	Mute Farewell = "mute"
	// Unheard: it could not be told; what it issued works on.
	Unheard Farewell = "unheard"
)

// errNothingToTell is a login whose secret is gone.
var errNothingToTell = errors.New("nothing is left of the login to tell it by")

// Logout removes a login from this machine. Unless local is set the provider is
// asked, first and for at most 5 s, to end it as well; whatever comes of that, the
// login is gone from here when there is no error. Why is what kept the provider
// from hearing of it.
func (k *Keeper) Logout(ctx context.Context, ref sink.Ref, local bool) (f Farewell, why, err error) {
	if local {
		return Local, nil, k.Store.Remove(ctx, ref, nil)
	}
	f, why = Unheard, errNothingToTell
	err = k.Store.Remove(ctx, ref, func(ctx context.Context, c sink.Credential) {
		f, why = k.revoke(ctx, c)
	})
	return f, why, err
}

// Forsake tells the provider of a sign-out that an earlier process did not live
// to end; it is for [sink.Store.Revoke].
func (k *Keeper) Forsake(ctx context.Context, c sink.Credential) {
	f, why := k.revoke(ctx, c)
	k.Log.Info("finishing a sign-out that was interrupted", "provider", c.Provider, "farewell", f, "err", why)
}

// revoke sends a login's token to where it was pinned at the sign-in, whatever
// the provider's entry says by now.
func (k *Keeper) revoke(ctx context.Context, c sink.Credential) (Farewell, error) {
	if c.Kind != sink.KindOAuth || c.Pin.RevocationEndpoint == "" {
		return Mute, nil
	}
	p, err := k.oauthProvider(c.Provider)
	if err != nil {
		return Unheard, err
	}
	p.Issuer, p.ClientID, p.TokenEndpoint, p.RevocationEndpoint = c.Pin.Issuer, c.Pin.Client, c.Pin.TokenEndpoint, c.Pin.RevocationEndpoint
	client, err := k.clientOf(ctx, p)
	if err != nil {
		return Unheard, err
	}
	if err := client.Revoke(ctx, p, oauth.Token{Access: c.Access, Refresh: c.Refresh}); err != nil {
		return Unheard, err
	}
	return Told, nil
}
