// Package oauthtest is an authorization server for demonstrations and tests: it
// rotates refresh tokens, revokes the whole login when a spent one comes again,
// demands PKCE, and fails on request. It signs nothing and remembers nothing;
// never use it for anything real.
package oauthtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/keytray/keytray/provider"
)

// ClientID is the one client that the server knows. It has no secret.
const ClientID = "keytray-demo"

// Rotation is what a refresh does to the refresh token.
type Rotation string

// The zero value of Options.Rotation means Rotate.
const (
	// Rotate issues a new one, and revokes the login when the old one comes again.
	Rotate Rotation = "rotate"
	// Grace is Rotate, but accepts the old one for another 10 s.
	Grace Rotation = "grace"
	// Keep issues no new one.
	Keep Rotation = "keep"
)

const graceWindow = 10 * time.Second

// Options configures a [Server]; the zero value is useful.
type Options struct {
	// Lifetime of access tokens, 1 h if zero.
	Lifetime time.Duration
	Rotation Rotation
	// Approve signs this user in without showing the login page.
	Approve string
	// Redirect is what the client registered; any port is accepted. The zero
	// value is a free port and the path /callback.
	Redirect provider.Redirect
	// Device offers signing in with a code as well, polled once a second.
	Device bool
	// Size is the least length of access and ID tokens in bytes, for real sizes.
	Size int
	// Skew is how far the server's clock is ahead of ours, in what it says of
	// the time: claims and the Date header. It may be negative.
	Skew time.Duration
	// ClientSecret makes the client a confidential one that proves itself with it,
	// by either way of RFC 6749 §2.3.1.
	ClientSecret string
}

// Server is the authorization server. Make one with [New].
type Server struct {
	// URL is the issuer. Start sets it; who serves the handler some other way
	// sets it before the first request.
	URL string

	opts   Options
	mux    *http.ServeMux
	http   *http.Server
	served sync.WaitGroup
	quit   chan struct{} // closed by Close; ends what hangs

	mu        sync.Mutex // guards all below
	lifetime  time.Duration
	codes     map[string]*code
	refresh   map[string]*refreshToken
	access    map[string]*accessToken
	devices   map[string]*device // by device code
	verifiers []string
	families  int
	faults    []Fault
	events    []Event
}

// New returns a server that is not listening yet.
func New(opts Options) *Server {
	if opts.Lifetime == 0 {
		opts.Lifetime = time.Hour
	}
	if opts.Rotation == "" {
		opts.Rotation = Rotate
	}
	if opts.Redirect.Path == "" {
		opts.Redirect.Path = "/callback"
	}
	s := &Server{
		opts:     opts,
		mux:      http.NewServeMux(),
		quit:     make(chan struct{}),
		lifetime: opts.Lifetime,
		codes:    make(map[string]*code),
		refresh:  make(map[string]*refreshToken),
		access:   make(map[string]*accessToken),
		devices:  make(map[string]*device),
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	s.mux.HandleFunc("GET /authorize", s.authorize)
	s.mux.HandleFunc("POST /authorize", s.decide)
	s.mux.HandleFunc("POST /token", s.faulty(s.token))
	s.mux.HandleFunc("POST /revoke", s.faulty(s.revoke))
	if opts.Device {
		s.mux.HandleFunc("POST /device_authorization", s.authorizeDevice)
		s.mux.HandleFunc("GET /device", s.enterCode)
		s.mux.HandleFunc("POST /device", s.takeCode)
	}
	s.mux.HandleFunc("GET /userinfo", s.faulty(s.userinfo))
	s.mux.HandleFunc("GET /.well-known/openid-configuration", s.metadata)
	s.mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.metadata)
	s.mux.HandleFunc("GET /test/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Stats()) })
	s.mux.HandleFunc("GET /test/events", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Events()) })
	s.mux.HandleFunc("POST /test/faults", s.addFaults)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(s.opts.Skew).UTC().Format(http.TimeFormat))
	s.mux.ServeHTTP(w, r)
}

// Start listens on address, "127.0.0.1:0" for a free port, and sets URL. Close
// ends it.
func (s *Server) Start(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s.URL = "http://" + l.Addr().String()
	s.served.Go(func() { _ = s.http.Serve(l) })
	return nil
}

// Close ends Start's listener and all requests.
func (s *Server) Close() error {
	close(s.quit)
	err := s.http.Close()
	s.served.Wait()
	return err
}

// Provider returns the entry that reaches this server, which must have its URL.
func (s *Server) Provider() provider.Provider {
	o := &provider.OAuth{
		Issuer:                s.URL,
		AuthorizationEndpoint: s.URL + "/authorize",
		TokenEndpoint:         s.URL + "/token",
		RevocationEndpoint:    s.URL + "/revoke",
		IssParameter:          true,
		ClientID:              ClientID,
		Scopes:                []string{"openid", "email", "offline_access"},
		Redirect:              s.opts.Redirect,
		Identity: provider.Identity{
			Token:    "access_token",
			Account:  []string{"https://keytray.example/auth", "account_id"},
			Email:    []string{"email"},
			Plan:     []string{"https://keytray.example/auth", "plan"},
			Required: true,
		},
		Policy:    provider.Strict,
		AllowHTTP: true,
	}
	if s.opts.Device {
		o.DeviceAuthorizationEndpoint = s.URL + "/device_authorization"
	}
	if s.URL != "" {
		o.Probe = &provider.Probe{Endpoint: s.URL + "/userinfo"}
	}
	if s.opts.Rotation != Rotate {
		o.Policy = provider.Graceful
	}
	if s.opts.ClientSecret != "" {
		o.ClientAuth = provider.SecretBasic
	}
	return provider.Provider{ID: "demo", Name: "Demo server", OAuth: o}
}

// WriteProvider writes Provider as a provider file.
func (s *Server) WriteProvider(w io.Writer) error {
	b, err := json.MarshalIndent(s.Provider(), "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "// A demo authorization server on this machine.\n%s\n", b)
	return err
}

// SetLifetime changes the life of the access tokens issued from now on.
func (s *Server) SetLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         s.URL,
		"authorization_endpoint":                         s.URL + "/authorize",
		"token_endpoint":                                 s.URL + "/token",
		"revocation_endpoint":                            s.URL + "/revoke",
		"userinfo_endpoint":                              s.URL + "/userinfo",
		"response_types_supported":                       []string{"code"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"none"},
		"scopes_supported":                               []string{"openid", "email", "offline_access"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}
