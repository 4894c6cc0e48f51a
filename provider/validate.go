package provider

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// FieldError says what is wrong with one field of a provider.
type FieldError struct {
	// Field is the path of JSON names, as in "oauth.token_endpoint".
	Field   string
	Problem string
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	pathPattern   = regexp.MustCompile(`^/[A-Za-z0-9/_.~-]*$`)
	clientPattern = regexp.MustCompile(`^[\x20-\x7e]+$`)
	// scopePattern is scope-token of RFC 6749 §3.3.
	scopePattern = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)
)

// reserved are the parameters of an authorization request that belong to the
// protocol: neither an endpoint's query nor authorization_params may set them.
var reserved = []string{
	"client_id", "code_challenge", "code_challenge_method", "nonce",
	"redirect_uri", "request", "request_uri", "response_mode", "response_type",
	"scope", "state",
}

// Validate reports the first field that cannot be used, as a [*FieldError].
func (p Provider) Validate() error {
	if p.ID == "" {
		return invalid("id", "is missing")
	}
	if !idPattern.MatchString(p.ID) {
		return invalid("id", "%q is not lower-case letters, digits and dashes", p.ID)
	}
	if p.Name == "" {
		return invalid("name", "is missing")
	}
	if len(p.Name) > 64 || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalid("name", "is not a short printable name")
	}
	if p.OAuth == nil {
		return invalid("oauth", "is missing")
	}
	err := p.OAuth.Validate()
	if fe, ok := err.(*FieldError); ok { //nolint:errorlint // made in this package, never wrapped
		return &FieldError{Field: "oauth." + fe.Field, Problem: fe.Problem}
	}
	return err
}

// Validate reports the first field that cannot be used, as a [*FieldError]
// whose path begins below "oauth".
func (o OAuth) Validate() error {
	checks := []func() error{o.checkEndpoints, o.checkRequest, o.Redirect.check, o.Identity.check}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	if o.Policy != "" && o.Policy != Strict && o.Policy != Graceful {
		return invalid("policy", "%q is neither %q nor %q", o.Policy, Strict, Graceful)
	}
	return nil
}

func (o OAuth) checkEndpoints() error {
	for _, e := range []struct {
		field, value string
		optional     bool
	}{
		{"issuer", o.Issuer, false},
		{"authorization_endpoint", o.AuthorizationEndpoint, false},
		{"token_endpoint", o.TokenEndpoint, false},
		{"revocation_endpoint", o.RevocationEndpoint, true},
	} {
		if e.value == "" && e.optional {
			continue
		}
		if problem := o.endpointProblem(e.value); problem != "" {
			return invalid(e.field, "%s", problem)
		}
	}
	if strings.Contains(o.Issuer, "?") {
		return invalid("issuer", "must not have a query") // RFC 8414 §2
	}
	return o.checkAuthorizationQuery()
}

// endpointProblem applies RFC 6749 §3.1 and §3.2: TLS, no fragment. It does not
// repeat the value, which may hold a password that someone put there.
func (o OAuth) endpointProblem(value string) string {
	if value == "" {
		return "is missing"
	}
	u, err := url.Parse(value)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return "is not a URL with a host"
	}
	if u.User != nil {
		return "must not have a user name or password"
	}
	if strings.Contains(value, "#") {
		return "must not have a fragment"
	}
	if u.Scheme == "https" {
		return ""
	}
	if u.Scheme != "http" {
		return "must be an https URL"
	}
	if !o.AllowHTTP {
		return "must be https (http is for a server on this machine, with allow_http_loopback)"
	}
	if !isLoopback(u.Hostname()) {
		return "must be https: http is allowed for a loopback address only"
	}
	return ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// checkAuthorizationQuery keeps an endpoint's own query (RFC 6749 §3.1 demands
// that) from setting a parameter that the protocol sets.
func (o OAuth) checkAuthorizationQuery() error {
	u, err := url.Parse(o.AuthorizationEndpoint)
	if err != nil {
		return invalid("authorization_endpoint", "is not a URL")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("authorization_endpoint", "has a malformed query")
	}
	for name, values := range q {
		if len(values) > 1 || slices.Contains(reserved, name) {
			return invalid("authorization_endpoint", "must not set %q in its query", name)
		}
	}
	return nil
}

func (o OAuth) checkRequest() error {
	if o.ClientID == "" {
		return invalid("client_id", "is missing")
	}
	if !clientPattern.MatchString(o.ClientID) {
		return invalid("client_id", "is not printable ASCII")
	}
	for _, s := range o.Scopes {
		if !scopePattern.MatchString(s) {
			return invalid("scopes", "%q is not a scope (RFC 6749 §3.3)", s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.AuthorizationParams)) {
		if name == "" || slices.Contains(reserved, name) {
			return invalid("authorization_params", "must not set %q", name)
		}
	}
	return nil
}

func (r Redirect) check() error {
	if r.Host != "" && r.Host != "127.0.0.1" && r.Host != "[::1]" && r.Host != "localhost" {
		return invalid("redirect.host", "%q is not 127.0.0.1, [::1] or localhost", r.Host)
	}
	if r.Path == "" {
		return invalid("redirect.path", "is missing")
	}
	if !pathPattern.MatchString(r.Path) || strings.Contains(r.Path, "..") {
		return invalid("redirect.path", "%q is not a plain absolute path", r.Path)
	}
	if r.Path == "/done" || r.Path == "/failed" {
		return invalid("redirect.path", "%q is where the answer page lives", r.Path)
	}
	if len(r.Ports) > 16 {
		return invalid("redirect.ports", "has more than 16 ports")
	}
	for _, port := range r.Ports {
		if port < 1024 || port > 65535 {
			return invalid("redirect.ports", "%d is not between 1024 and 65535", port)
		}
	}
	return nil
}

func (i Identity) check() error {
	if i.Token != "" && i.Token != "id_token" && i.Token != "access_token" {
		return invalid("identity.token", "%q is neither id_token nor access_token", i.Token)
	}
	return nil
}
