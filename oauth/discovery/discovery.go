// Package discovery finds out what an authorization server says of itself (RFC
// 8414, OpenID Connect Discovery 1.0) and makes a provider's entry of it. It is
// for a person who adds a provider, once: what is found is written down, and
// nobody asks again, so that a server cannot send an existing login elsewhere.
package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
)

var (
	// ErrIssuer means that the address is no issuer.
	ErrIssuer = errors.New("not an issuer: an https address without query and fragment")
	// ErrNotFound means that the server has no metadata in any of the usual places.
	ErrNotFound = errors.New("the server does not describe itself")
	// ErrOtherIssuer means that the metadata is that of somebody else.
	ErrOtherIssuer = errors.New("the metadata names another issuer")
	// ErrUnusable means that the server wants what Keytray does not do.
	ErrUnusable = errors.New("the server wants what Keytray cannot do")

	errUnreadable = errors.New("the metadata cannot be read")
)

// Metadata is what RFC 8414 §2 and OpenID Connect Discovery §3 define, as far as
// it matters here.
type Metadata struct {
	Issuer                      string   `json:"issuer"`
	AuthorizationEndpoint       string   `json:"authorization_endpoint"`
	TokenEndpoint               string   `json:"token_endpoint"`
	RevocationEndpoint          string   `json:"revocation_endpoint"`
	DeviceAuthorizationEndpoint string   `json:"device_authorization_endpoint"`
	UserinfoEndpoint            string   `json:"userinfo_endpoint"`
	JWKSURI                     string   `json:"jwks_uri"`
	Scopes                      []string `json:"scopes_supported"`
	ResponseTypes               []string `json:"response_types_supported"`
	ChallengeMethods            []string `json:"code_challenge_methods_supported"`
	AuthMethods                 []string `json:"token_endpoint_auth_methods_supported"`
	IDTokenAlgs                 []string `json:"id_token_signing_alg_values_supported"`
	IssParameter                bool     `json:"authorization_response_iss_parameter_supported"`
	PushedAuthorizationRequired bool     `json:"require_pushed_authorization_requests"`
	SignedRequestRequired       bool     `json:"require_signed_request_object"`
}

// Find asks the issuer for its metadata, in each of the three places where it
// may be. It follows no redirect, and takes http only from a loopback address,
// and only if that is allowed.
func Find(ctx context.Context, net wire.Client, issuer string, allowHTTP bool) (Metadata, error) {
	places, err := Places(issuer, allowHTTP)
	if err != nil {
		return Metadata{}, err
	}
	var last error
	for _, place := range places {
		answer, err := net.Get(ctx, place, nil)
		if err != nil {
			return Metadata{}, fmt.Errorf("asking %s: %w", place, err)
		}
		if !answer.OK() {
			last = refused(place, answer)
			continue
		}
		m, err := Read(answer.Body, issuer)
		if errors.Is(err, errUnreadable) { // a page that is there for every address
			last = fmt.Errorf("%s: %w", place, err)
			continue
		}
		if err != nil {
			return Metadata{}, fmt.Errorf("%s: %w", place, err)
		}
		return m, nil
	}
	return Metadata{}, fmt.Errorf("%s: %w: %w", issuer, ErrNotFound, last)
}

func refused(place string, a wire.Answer) error {
	if to, err := url.Parse(a.Header.Get("Location")); err == nil && a.Status/100 == 3 && to.Host != "" {
		return fmt.Errorf("%s leads to another address, on %q", place, to.Host)
	}
	return fmt.Errorf("%s answered with status %d", place, a.Status)
}

// Places are where the metadata of an issuer may be, in the order of asking: where
// OpenID Connect puts it, where RFC 8414 §3.1 does, and where §5 of that allows
// it for both.
func Places(issuer string, allowHTTP bool) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(issuer, "?#") {
		return nil, ErrIssuer
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP || !loopback(u.Hostname())) {
		return nil, ErrIssuer
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	const openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	places := []string{origin + path + openid, origin + oauth + path, origin + openid + path}
	if path == "" { // the first is the last
		places = places[:2]
	}
	return places, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Read decodes metadata, which must be that of the issuer, letter by letter (RFC
// 8414 §3.3).
func Read(body []byte, issuer string) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return Metadata{}, errUnreadable // its own text may quote a value
	}
	if m.Issuer != issuer {
		return Metadata{}, fmt.Errorf("%w, %.100q", ErrOtherIssuer, m.Issuer)
	}
	return m, m.check()
}

func (m Metadata) check() error {
	switch {
	case m.PushedAuthorizationRequired:
		return fmt.Errorf("%w: pushed authorization requests (RFC 9126)", ErrUnusable)
	case m.SignedRequestRequired:
		return fmt.Errorf("%w: signed requests (RFC 9101)", ErrUnusable)
	case m.ResponseTypes != nil && !slices.Contains(m.ResponseTypes, "code"):
		return fmt.Errorf("%w: it has no response type %q", ErrUnusable, "code")
	case m.ChallengeMethods != nil && !slices.Contains(m.ChallengeMethods, "S256"):
		return fmt.Errorf("%w: PKCE other than %q", ErrUnusable, "S256")
	case m.JWKSURI != "" && len(m.IDTokenAlgs) > 0 && len(m.algorithms()) == 0:
		return fmt.Errorf("%w: ID tokens signed in another way than %q", ErrUnusable, provider.Algorithms())
	}
	return nil
}

// algorithms are those of the server that can be verified.
func (m Metadata) algorithms() []string {
	var algs []string
	for _, alg := range provider.Algorithms() {
		if slices.Contains(m.IDTokenAlgs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs
}

// ConfirmsPKCE reports whether the server says that it binds a code to its
// request. One that does not say so may ignore the challenge (RFC 9700 §2.1.1).
func (m Metadata) ConfirmsPKCE() bool { return slices.Contains(m.ChallengeMethods, "S256") }

// Takes reports whether clients may prove themselves in that way. A server that
// does not say takes client_secret_basic (RFC 8414 §2).
func (m Metadata) Takes(a provider.ClientAuth) bool {
	if len(m.AuthMethods) == 0 {
		return a == provider.SecretBasic
	}
	return slices.Contains(m.AuthMethods, string(a))
}

// Provider makes the entry of a client that is registered with the server. It is
// valid, or the error says what is not, as a [*provider.FieldError]. What the
// caller wants otherwise it changes, and validates again.
func (m Metadata) Provider(id, name, client string, allowHTTP bool) (provider.Provider, error) {
	o := &provider.OAuth{
		Issuer:                      m.Issuer,
		AuthorizationEndpoint:       m.AuthorizationEndpoint,
		DeviceAuthorizationEndpoint: m.DeviceAuthorizationEndpoint,
		TokenEndpoint:               m.TokenEndpoint,
		RevocationEndpoint:          m.RevocationEndpoint,
		IssParameter:                m.IssParameter,
		ClientID:                    client,
		Scopes:                      m.scopes(),
		Redirect:                    provider.Redirect{Path: "/callback"},
		AllowHTTP:                   allowHTTP,
	}
	if slices.Contains(o.Scopes, "openid") {
		o.UserinfoEndpoint, o.JWKSURI, o.IDTokenAlgs = m.UserinfoEndpoint, m.JWKSURI, m.algorithms()
		o.Identity = provider.Identity{Account: []string{"sub"}, Email: []string{"email"}, Required: true}
	}
	if slices.Contains(o.Scopes, "offline_access") {
		o.AuthorizationParams = map[string]string{"prompt": "consent"} // OpenID Connect Core §11
	}
	p := provider.Provider{ID: id, Name: name, OAuth: o}
	return p, p.Validate()
}

// scopes are what a login needs of those that the server has: who it is, and that
// it can be renewed. A server that does not say has those of OpenID Connect if it
// has its keys.
func (m Metadata) scopes() []string {
	if m.Scopes == nil && m.JWKSURI == "" {
		return nil
	}
	var scopes []string
	for _, s := range []string{"openid", "email", "offline_access"} {
		if m.Scopes == nil || slices.Contains(m.Scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}
