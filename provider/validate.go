package provider

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// These are compiled by their first user, and say nothing of lengths: to compile
// {0,63} takes 0.2 ms.
var (
	idPattern     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`) })
	pathPattern   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/[A-Za-z0-9/_.~-]*$`) })
	clientPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\x20-\x7e]+$`) })
	headerPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`) })
	envPattern    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) })
	// scopePattern is scope-token of RFC 6749 §3.3.
	scopePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`) })
)

// longestName of a provider, a header or a variable.
const longestName = 64

func isName(pattern func() *regexp.Regexp, s string) bool {
	return len(s) <= longestName && pattern().MatchString(s)
}

// reserved are the parameters of an authorization request that belong to the
// protocol: neither an endpoint's query nor authorization_params may set them.
var reserved = []string{
	"client_id", "code_challenge", "code_challenge_method", "nonce",
	"redirect_uri", "request", "request_uri", "response_mode", "response_type",
	"scope", "state",
}

// CheckID reports whether id can be that of a provider, as a [*FieldError].
func CheckID(id string) error {
	if id == "" {
		return invalid("id", "is missing")
	}
	if !isName(idPattern, id) {
		return invalid("id", "%q is not lower-case letters, digits and dashes", id)
	}
	return nil
}

// Validate reports the first field that cannot be used, as a [*FieldError].
func (p Provider) Validate() error {
	if err := CheckID(p.ID); err != nil {
		return err
	}
	if p.Name == "" {
		return invalid("name", "is missing")
	}
	if len(p.Name) > 64 || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalid("name", "is not a short printable name")
	}
	if p.Vendor != "" && !isName(idPattern, p.Vendor) {
		return invalid("vendor", "is not lower-case letters, digits and dashes")
	}
	if p.OAuth == nil && p.SetupToken == nil && p.Token == nil && p.APIKey == nil {
		return invalid("oauth", "is missing, and so are setup_token, token and api_key")
	}
	for _, x := range []struct {
		field  string
		static *Static
	}{{"setup_token", p.SetupToken}, {"token", p.Token}, {"api_key", p.APIKey}} {
		if x.static == nil {
			continue
		}
		if err := below(x.field, x.static.check()); err != nil {
			return err
		}
	}
	if err := p.checkPlaces(); err != nil || p.OAuth == nil {
		return err
	}
	return below("oauth", p.OAuth.Validate())
}

// maxHosts is how many hosts a provider may have.
const maxHosts = 64

func (p Provider) checkPlaces() error {
	if len(p.Hosts) > maxHosts {
		return invalid("hosts", "has more than %d hosts", maxHosts)
	}
	for _, s := range p.Hosts {
		if _, problem := parseHost(s); problem != "" {
			return invalid("hosts", "%s", problem)
		}
	}
	if p.API == nil {
		return nil
	}
	if problem := (OAuth{AllowHTTP: true}).endpointProblem(p.API.URL); problem != "" {
		return invalid("api.url", "%s", problem)
	}
	if p.API.AccountHeader != "" && !isName(headerPattern, p.API.AccountHeader) {
		return invalid("api.account_header", "is not the name of a header")
	}
	return nil
}

// below puts a FieldError under a field.
func below(field string, err error) error {
	if fe, ok := err.(*FieldError); ok { //nolint:errorlint // made in this package, never wrapped
		return &FieldError{Field: field + "." + fe.Field, Problem: fe.Problem}
	}
	return err
}

const maxDays = 36500

func (s Static) check() error {
	if len(s.Command) > 100 || strings.ContainsFunc(s.Command, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return invalid("command", "is not a short printable command")
	}
	if s.Page != "" {
		if problem := (OAuth{}).endpointProblem(s.Page); problem != "" {
			return invalid("page", "%s", problem)
		}
	}
	if len(s.Prefix) > 64 || s.Prefix != "" && !scopePattern().MatchString(s.Prefix) {
		return invalid("prefix", "is not a short beginning of a token")
	}
	if s.MinLength < 0 || s.MinLength > 1000 {
		return invalid("min_length", "%d is not between 0 and 1000", s.MinLength)
	}
	if s.Days < 0 || s.Days > maxDays {
		return invalid("days", "%d is not between 0 and %d", s.Days, maxDays)
	}
	if s.Header != "" && !isName(headerPattern, s.Header) {
		return invalid("header", "is not the name of an HTTP header")
	}
	if err := s.Probe.check(false, s.Header); err != nil {
		return err
	}
	return checkEnv(s.Env)
}

func checkEnv(name string) error {
	if name != "" && !isName(envPattern, name) {
		return invalid("env", "is not a variable of capital letters, digits and underscores")
	}
	return nil
}

// Validate reports the first field that cannot be used, as a [*FieldError]
// whose path begins below "oauth".
func (o OAuth) Validate() error {
	checks := []func() error{o.checkEndpoints, o.checkRequest, o.checkClientAuth, o.checkAlgorithms, o.Identity.check}
	if o.AuthorizationEndpoint != "" {
		checks = append(checks, o.Redirect.check)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	if err := o.Probe.check(o.AllowHTTP, ""); err != nil {
		return err
	}
	if o.Policy != "" && o.Policy != Strict && o.Policy != Graceful {
		return invalid("policy", "%q is neither %q nor %q", o.Policy, Strict, Graceful)
	}
	if o.LeadSeconds < 0 || o.LeadSeconds > maxLead {
		return invalid("lead_seconds", "%d is not between 0 and %d", o.LeadSeconds, maxLead)
	}
	return nil
}

// maxLead is a day; half of a token's life is the most that is ever used.
const maxLead = 86400

func (o OAuth) checkClientAuth() error {
	known := []ClientAuth{"", Public, SecretBasic, SecretPost, KeyJWT}
	if !slices.Contains(known, o.ClientAuth) {
		return invalid("token_endpoint_auth_method", "%q is not one of %q", o.ClientAuth, known[1:])
	}
	if asJSON := o.CodeJSON || o.RefreshJSON; asJSON && o.ClientAuth == KeyJWT {
		return invalid("token_endpoint_auth_method", "%q goes with forms only (RFC 7521)", o.ClientAuth)
	}
	return nil
}

func (o OAuth) checkAlgorithms() error {
	for _, alg := range o.IDTokenAlgs {
		if !slices.Contains(Algorithms(), alg) {
			return invalid("id_token_signing_alg_values_supported", "%q is not one of %q", alg, Algorithms())
		}
	}
	if o.JWKSURI != "" && !slices.Contains(o.Scopes, "openid") {
		return invalid("jwks_uri", "is for ID tokens, and scopes does not have \"openid\"")
	}
	return nil
}

func (o OAuth) checkEndpoints() error {
	for _, e := range []struct {
		field, value string
		optional     bool
	}{
		{"issuer", o.Issuer, false},
		{"authorization_endpoint", o.AuthorizationEndpoint, o.DeviceAuthorizationEndpoint != ""},
		{"device_authorization_endpoint", o.DeviceAuthorizationEndpoint, true},
		{"token_endpoint", o.TokenEndpoint, false},
		{"revocation_endpoint", o.RevocationEndpoint, true},
		{"userinfo_endpoint", o.UserinfoEndpoint, true},
		{"jwks_uri", o.JWKSURI, true},
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
	if err := o.checkDeviceExchange(); err != nil {
		return err
	}
	if err := o.checkExchange(); err != nil {
		return err
	}
	return o.checkAuthorizationQuery()
}

func (o OAuth) checkExchange() error {
	x := o.Exchange
	if x == nil {
		return nil
	}
	if problem := o.endpointProblem(x.Endpoint); problem != "" {
		return invalid("exchange.endpoint", "%s", problem)
	}
	for _, e := range []struct{ field, value string }{{"token", x.Token}, {"expires", x.Expires}} {
		if e.value == "" {
			return invalid("exchange."+e.field, "is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(x.Headers)) {
		if !isHeader(name) && !strings.EqualFold(name, "User-Agent") { // which some want to be an editor's
			return invalid("exchange.headers", "must not set %q", name)
		}
		if value := x.Headers[name]; len(value) > 200 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return invalid("exchange.headers", "%q is not short printable ASCII", name)
		}
	}
	return nil
}

func (o OAuth) checkDeviceExchange() error {
	x := o.DeviceExchange
	if x == nil {
		return nil
	}
	if o.DeviceAuthorizationEndpoint == "" {
		return invalid("device_authorization_endpoint", "is missing, and device_exchange is there")
	}
	for _, e := range []struct{ field, value string }{
		{"poll_endpoint", x.PollEndpoint}, {"verification_uri", x.VerificationURI}, {"redirect_uri", x.RedirectURI},
	} {
		if problem := o.endpointProblem(e.value); problem != "" {
			return invalid("device_exchange."+e.field, "%s", problem)
		}
	}
	return nil
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
	if !clientPattern().MatchString(o.ClientID) {
		return invalid("client_id", "is not printable ASCII")
	}
	for _, s := range o.Scopes {
		if !scopePattern().MatchString(s) {
			return invalid("scopes", "%q is not a scope (RFC 6749 §3.3)", s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.AuthorizationParams)) {
		if name == "" || slices.Contains(reserved, name) {
			return invalid("authorization_params", "must not set %q", name)
		}
	}
	return checkEnv(o.Env)
}

func (r Redirect) check() error {
	if r.Host != "" && r.Host != "127.0.0.1" && r.Host != "[::1]" && r.Host != "localhost" {
		return invalid("redirect.host", "%q is not 127.0.0.1, [::1] or localhost", r.Host)
	}
	if r.Path == "" {
		return invalid("redirect.path", "is missing")
	}
	if !pathPattern().MatchString(r.Path) || strings.Contains(r.Path, "..") {
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
