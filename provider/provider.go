// Package provider is the catalog of services that one can sign in to: data,
// and the loader of a user's own entries.
//
// A quirk of a service is a field here, never an if on its id elsewhere. The
// package does no I/O but for [Load] and [FileOf], holds no state, and knows nothing of
// protocols: package oauth reads these values.
package provider

import (
	"slices"
	"strings"
	"time"
)

// Provider is one service.
type Provider struct {
	// ID is what people type and what profile ids begin with: [a-z0-9][a-z0-9-]*.
	ID string `json:"id"`
	// Name is for people.
	Name string `json:"name"`
	// Page is where the facts of a built-in entry come from.
	Page string `json:"page,omitempty"`
	// Vendor is set where logins other than API keys are those of a plan that was
	// bought from it, for its own programs: the tools of others get them only if the
	// person says so.
	Vendor string `json:"vendor,omitempty"`
	// OAuth is set for a service that one signs in to, through a browser here
	// ([Provider.Browser]) or with a code in one elsewhere ([Provider.Device]).
	OAuth *OAuth `json:"oauth,omitempty"`
	// SetupToken, Token and APIKey are set where the service issues such a secret:
	// a token made to be pasted, any other bearer token, and a key.
	SetupToken *Static `json:"setup_token,omitempty"`
	Token      *Static `json:"token,omitempty"`
	APIKey     *Static `json:"api_key,omitempty"`
	// Hosts take its tokens in place of a password, each as [ParseHost] reads it.
	Hosts []string `json:"hosts,omitempty"`
	// API is where its tokens are of use to programs that can be told.
	API *API `json:"api,omitempty"`
}

// API is a service in the form of OpenAI's.
type API struct {
	// URL is what clients call the base URL.
	URL string `json:"url"`
	// AccountHeader is the header in which it wants the account's id, if any.
	AccountHeader string `json:"account_header,omitempty"`
}

// Browser reports whether one can sign in through a browser on this machine.
func (p Provider) Browser() bool { return p.OAuth != nil && p.OAuth.AuthorizationEndpoint != "" }

// Device reports whether one can sign in with a code, in a browser anywhere.
func (p Provider) Device() bool { return p.OAuth != nil && p.OAuth.DeviceAuthorizationEndpoint != "" }

// Ways are the kinds of sign-in, by the names that commands have for them.
func (p Provider) Ways() []string {
	var ways []string
	for _, w := range []struct {
		name string
		has  bool
	}{
		{"browser", p.Browser()},
		{"code", p.Device()},
		{"setup-token", p.SetupToken != nil},
		{"token", p.Token != nil},
		{"api-key", p.APIKey != nil},
	} {
		if w.has {
			ways = append(ways, w.name)
		}
	}
	return ways
}

// Static is a secret that a person pastes and that nothing renews. Its zero
// value says that there is one, and no more.
type Static struct {
	// Command prints one, Page shows one or lets a person make one. Both are for
	// people.
	Command string `json:"command,omitempty"`
	Page    string `json:"page,omitempty"`
	// Prefix is how each of them begins, MinLength how many bytes it has at least.
	Prefix    string `json:"prefix,omitempty"`
	MinLength int    `json:"min_length,omitempty"`
	// Days is how long one lives, 0 where that is not known.
	Days int `json:"days,omitempty"`
	// Header is the HTTP header that has it as it is; without one it goes as a
	// bearer token.
	Header string `json:"header,omitempty"`
	// Env is the environment variable in which programs look for one.
	Env string `json:"env,omitempty"`
	// Probe shows whether one works.
	Probe *Probe `json:"probe,omitempty"`
}

// OAuth describes an authorization server and our registration with it. Names
// are those of RFC 8414 where it has one.
type OAuth struct {
	Issuer string `json:"issuer"`
	// AuthorizationEndpoint is empty where there is no browser login; Redirect is
	// then not used. There is a device login at least.
	AuthorizationEndpoint string `json:"authorization_endpoint,omitempty"`
	// DeviceAuthorizationEndpoint is where a device login begins (RFC 8628 §3.1),
	// empty where there is none. DeviceExchange is set where it goes on otherwise.
	DeviceAuthorizationEndpoint string          `json:"device_authorization_endpoint,omitempty"`
	DeviceExchange              *DeviceExchange `json:"device_exchange,omitempty"`

	TokenEndpoint      string    `json:"token_endpoint"`
	RevocationEndpoint string    `json:"revocation_endpoint,omitempty"`
	Exchange           *Exchange `json:"exchange,omitempty"`
	// UserinfoEndpoint is asked, after a sign-in, for what of [Identity] the token
	// does not hold.
	UserinfoEndpoint string `json:"userinfo_endpoint,omitempty"`
	// JWKSURI is where the keys are that sign ID tokens. With it a sign-in sends a
	// nonce, and an ID token that does not prove itself ends it; without it nothing
	// of a token is verified.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// IDTokenAlgs are those of [Algorithms] that the server signs with; none means
	// RS256 (OpenID Connect Core §2).
	IDTokenAlgs []string `json:"id_token_signing_alg_values_supported,omitempty"`
	// IssParameter says that every authorization response carries iss
	// (RFC 9207), so that one without it is refused.
	IssParameter bool `json:"authorization_response_iss_parameter_supported,omitempty"`

	ClientID string `json:"client_id"`
	// ClientAuth is how the client proves itself at the token endpoint. What it
	// proves itself with is in the keychain.
	ClientAuth ClientAuth `json:"token_endpoint_auth_method,omitempty"`
	Scopes     []string   `json:"scopes,omitempty"`
	// AuthorizationParams are sent along with the authorization request.
	AuthorizationParams map[string]string `json:"authorization_params,omitempty"`
	Redirect            Redirect          `json:"redirect,omitzero"`
	// Env is the environment variable in which programs look for an access token.
	Env string `json:"env,omitempty"`
	// Probe shows whether an access token works; without one userinfo does.
	Probe *Probe `json:"probe,omitempty"`
	// CodeJSON and RefreshJSON send the code and the refresh token as JSON instead
	// of a form.
	CodeJSON    bool `json:"code_json,omitempty"`
	RefreshJSON bool `json:"refresh_json,omitempty"`
	// RevocationJSON does so with the request that ends a login.
	RevocationJSON bool `json:"revocation_json,omitempty"`
	// Identity says where in the token response the account is found.
	Identity Identity `json:"identity,omitzero"`
	// Policy is what to do when a refresh was sent and no answer came.
	Policy Policy `json:"policy,omitempty"`
	// LeadSeconds is how long before expiry a token is renewed; zero means
	// [DefaultLead].
	LeadSeconds int `json:"lead_seconds,omitempty"`
	// AllowHTTP permits http endpoints on a loopback address: a server on this
	// machine, for development.
	AllowHTTP bool `json:"allow_http_loopback,omitempty"`
}

// DefaultLead is the margin before expiry at which a token is renewed, at
// most half of its life.
const DefaultLead = 5 * time.Minute

// Lead is how long before expiry a token is renewed.
func (o OAuth) Lead() time.Duration {
	if o.LeadSeconds > 0 {
		return time.Duration(o.LeadSeconds) * time.Second
	}
	return DefaultLead
}

// ClientAuth is a method of RFC 7591 §2, token_endpoint_auth_method.
type ClientAuth string

// The methods. The zero value means Public.
const (
	// Public clients have nothing to prove themselves with: native apps.
	Public ClientAuth = "none"
	// SecretBasic and SecretPost send a secret, in a header or in the request.
	SecretBasic ClientAuth = "client_secret_basic"
	SecretPost  ClientAuth = "client_secret_post"
	// KeyJWT signs with a private key (RFC 7523).
	KeyJWT ClientAuth = "private_key_jwt"
)

// Confidential reports whether the client has something to prove itself with.
func (a ClientAuth) Confidential() bool { return a != "" && a != Public }

// Algorithms are the signatures of ID tokens that can be verified.
func Algorithms() []string { return []string{"RS256", "PS256", "ES256", "EdDSA"} }

// Redirect is the loopback redirect URI of RFC 8252 §7.3.
type Redirect struct {
	// Host is what stands in redirect_uri: "127.0.0.1" (the default), "[::1]"
	// or, where the registration demands it, "localhost". The listener binds
	// loopback addresses only, whatever it says.
	Host string `json:"host,omitempty"`
	Path string `json:"path"`
	// Ports are tried in this order; none means any free port.
	Ports []int `json:"ports,omitempty"`
}

// RenewalEndpoint is where what renews a login is sent.
func (o OAuth) RenewalEndpoint() string {
	if o.Exchange != nil {
		return o.Exchange.Endpoint
	}
	return o.TokenEndpoint
}

// Exchange is set where the token of a sign-in is of use only to get others with
// it, which live for minutes: the first is then kept as what renews, and is not
// spent by that. Token and Expires name members of the answer to a GET; the second
// is in Unix seconds.
type Exchange struct {
	Endpoint string            `json:"endpoint"`
	Headers  map[string]string `json:"headers,omitempty"`
	Token    string            `json:"token"`
	Expires  string            `json:"expires"`
}

// DeviceExchange is the device login of auth.openai.com, which is older than RFC
// 8628 there: the device authorization endpoint takes JSON, and its answer names
// a device_auth_id; the person's yes is an authorization code, which the server
// itself made the verifier for. Everything is required.
type DeviceExchange struct {
	// PollEndpoint answers with 403 or 404 until there is that code.
	PollEndpoint string `json:"poll_endpoint"`
	// VerificationURI is the page on which the person enters the code.
	VerificationURI string `json:"verification_uri"`
	// RedirectURI is what the exchange at the token endpoint has to name.
	RedirectURI string `json:"redirect_uri"`
}

// Identity gives the claims that name an account. Each path is a list of
// member names, because claim names may contain dots and slashes.
type Identity struct {
	// Token is the JWT that is read: "id_token" (the default) or "access_token".
	Token string `json:"token,omitempty"`
	// Account identifies the account for good; a login without it fails when
	// Required is set.
	Account  []string `json:"account,omitempty"`
	Email    []string `json:"email,omitempty"`
	Plan     []string `json:"plan,omitempty"`
	Required bool     `json:"required,omitempty"`
}

// Policy is how a refresh of unknown outcome is treated.
type Policy string

// The policies. The zero value means Strict.
const (
	// Strict servers may revoke the login when a spent refresh token comes again.
	Strict Policy = "strict"
	// Graceful servers document that a spent token is accepted for a while
	// (at least 10 s), or do not rotate refresh tokens.
	Graceful Policy = "graceful"
)

// Catalog is a set of providers, sorted by id.
type Catalog []Provider

// Find returns the provider with that id.
func (c Catalog) Find(id string) (Provider, bool) {
	i, ok := slices.BinarySearchFunc(c, id, func(p Provider, id string) int { return strings.Compare(p.ID, id) })
	if !ok {
		return Provider{}, false
	}
	return c[i], true
}
