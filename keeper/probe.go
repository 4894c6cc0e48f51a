package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// ErrNoProbe means that a provider's entry names no cheap request.
var ErrNoProbe = errors.New("no request is known that would show it")

// Probe asks p's provider whether the login works, for at most limit. A token that
// is due is renewed first, as for anybody else; none is renewed for the sake of
// this. The error says why the verdict is another than ok.
func (k *Keeper) Probe(ctx context.Context, p sink.Profile, limit time.Duration) (oauth.Verdict, error) {
	request, header := k.probeOf(p)
	if request == nil {
		return oauth.Unknown, ErrNoProbe
	}
	t, err := k.Token(ctx, p, 0)
	if _, gone := errors.AsType[*LoginRequiredError](err); gone {
		return oauth.Unwanted, err
	}
	if err != nil {
		return oauth.Unknown, err
	}
	return k.Client.Probe(ctx, *request, header, t.Access, limit)
}

// probeOf is the request for logins of p's kind, and the header that takes the
// secret.
func (k *Keeper) probeOf(p sink.Profile) (request *provider.Probe, header string) {
	entry, _ := k.Providers.Find(p.Provider)
	if p.Kind == sink.KindOAuth {
		if entry.OAuth == nil {
			return nil, ""
		}
		if o := entry.OAuth; o.Probe == nil && o.UserinfoEndpoint != "" && o.Exchange == nil { // which wants the other token
			return &provider.Probe{Endpoint: entry.OAuth.UserinfoEndpoint}, ""
		}
		return entry.OAuth.Probe, ""
	}
	kinds := []*provider.Static{entry.SetupToken, entry.Token}
	if p.Kind == sink.KindAPIKey {
		kinds = []*provider.Static{entry.APIKey}
	}
	for _, s := range kinds {
		if s != nil && s.Probe != nil {
			return s.Probe, s.Header
		}
	}
	return nil, ""
}
