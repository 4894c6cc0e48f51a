package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"time"

	jose "github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
)

// orySigner names the key that signs ID tokens.
const orySigner = "rig-1"

// oryServer is a server made of ory/fosite with its memory for a database. A second
// use of a refresh token or code revokes the login; two refreshes at once are told
// to come again.
type oryServer struct {
	issuer string
	key    *rsa.PrivateKey
	fosite.OAuth2Provider
}

func ory(issuer string, l *ledger) (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	config := &fosite.Config{
		IDTokenIssuer: issuer, AccessTokenIssuer: issuer, EnforcePKCE: true, EnforcePKCEForPublicClients: true,
		GlobalSecret: []byte("of no worth, and 32 bytes long ."), AccessTokenLifespan: time.Hour, TokenURL: issuer + "/oauth2/token",
	}
	memory := storage.NewMemoryStore()
	memory.Clients[client] = &fosite.DefaultClient{
		ID: client, Public: true, RedirectURIs: []string{redirect}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "offline_access", "email"},
	}
	keys := func(context.Context) (any, error) {
		return &jose.JSONWebKey{Key: key, KeyID: orySigner, Algorithm: "RS256", Use: "sig"}, nil
	}
	s := &oryServer{issuer: issuer, key: key, OAuth2Provider: compose.Compose(
		config, &contended{memory, l}, &compose.CommonStrategy{
			CoreStrategy:               compose.NewOAuth2HMACStrategy(config),
			OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(keys, config),
			Signer:                     &jwt.DefaultSigner{GetPrivateKey: keys},
		},
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory, compose.OpenIDConnectExplicitFactory,
		compose.OpenIDConnectRefreshFactory, compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory, compose.OAuth2PKCEFactory,
	)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.metadata)
	mux.HandleFunc("GET /jwks.json", s.jwks)
	mux.HandleFunc("/oauth2/auth", s.authorize)
	mux.HandleFunc("POST /oauth2/token", s.token)
	mux.HandleFunc("POST /oauth2/revoke", s.revoke)
	mux.HandleFunc("GET /userinfo", s.userinfo)
	return mux, nil
}

// contended is the memory as a database under load has it: of two who rotate one
// token, one fails and changes nothing.
type contended struct {
	*storage.MemoryStore
	ledger *ledger
}

func (c *contended) RotateRefreshToken(ctx context.Context, requestID, signature string) error {
	if c.ledger.contend() {
		return fosite.ErrSerializationFailure
	}
	if _, err := c.GetRefreshTokenSession(ctx, signature, nil); errors.Is(err, fosite.ErrInactiveToken) {
		return fosite.ErrSerializationFailure
	}
	return c.MemoryStore.RotateRefreshToken(ctx, requestID, signature)
}

func (s *oryServer) metadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{
		"issuer":                                s.issuer,
		"authorization_endpoint":                s.issuer + "/oauth2/auth",
		"token_endpoint":                        s.issuer + "/oauth2/token",
		"revocation_endpoint":                   s.issuer + "/oauth2/revoke",
		"userinfo_endpoint":                     s.issuer + "/userinfo",
		"jwks_uri":                              s.issuer + "/jwks.json",
		"response_types_supported":              []string{"code"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "offline_access", "email"},
	})
}

func (s *oryServer) jwks(w http.ResponseWriter, _ *http.Request) {
	reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, KeyID: orySigner, Algorithm: "RS256", Use: "sig"}}})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authorize shows a form, whose answer signs in.
func (s *oryServer) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	ar, err := s.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	user := r.PostFormValue("login")
	if user == "" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<form method="post" action="%s"><input name="login"></form>`, html.EscapeString(r.URL.RequestURI()))
		return
	}
	for _, scope := range ar.GetRequestedScopes() {
		ar.GrantScope(scope)
	}
	answer, err := s.NewAuthorizeResponse(ctx, ar, session(user))
	if err != nil {
		s.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	s.WriteAuthorizeResponse(ctx, w, ar, answer)
}

func session(user string) *openid.DefaultSession {
	now := time.Now()
	return &openid.DefaultSession{
		Subject: user, Username: user, Headers: &jwt.Headers{Extra: map[string]any{"kid": orySigner}},
		Claims: &jwt.IDTokenClaims{Subject: user, RequestedAt: now, AuthTime: now, Extra: map[string]any{"email": user + "@example.org"}},
	}
}

func (s *oryServer) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, err := s.NewAccessRequest(ctx, r, session(""))
	if err != nil {
		s.WriteAccessError(ctx, w, req, err)
		return
	}
	answer, err := s.NewAccessResponse(ctx, req)
	if err != nil {
		s.WriteAccessError(ctx, w, req, err)
		return
	}
	s.WriteAccessResponse(ctx, w, req, answer)
}

func (s *oryServer) revoke(w http.ResponseWriter, r *http.Request) {
	s.WriteRevocationResponse(r.Context(), w, s.NewRevocationRequest(r.Context(), r))
}

func (s *oryServer) userinfo(w http.ResponseWriter, r *http.Request) {
	_, req, err := s.IntrospectToken(r.Context(), fosite.AccessTokenFromRequest(r), fosite.AccessToken, session(""))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	user := req.GetSession().GetSubject()
	reply(w, map[string]string{"sub": user, "email": user + "@example.org"})
}
