package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// family is one login with all the tokens that come from it.
type family struct {
	number  int
	user    string
	nonce   string
	revoked bool
	issued  int // refresh tokens so far
}

type refreshToken struct {
	family     *family
	generation int
	spent      time.Time // zero while it is good
}

type accessToken struct {
	family  *family
	expires time.Time
}

// refusal is an error response of RFC 6749 §5.2.
type refusal struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func invalidGrant(why string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_grant", why}
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	params, err := parameters(w, r)
	if err != nil {
		answer(w, http.StatusBadRequest, refusal{Code: "invalid_request"})
		return
	}
	body, refused := s.authenticated(r, params)
	if refused != nil {
		answer(w, refused.status, refused)
		return
	}
	answer(w, http.StatusOK, body)
}

// parameters reads a form, or the JSON object that some clients send.
func parameters(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	params := make(map[string]string)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		err := json.NewDecoder(r.Body).Decode(&params)
		return params, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, fmt.Errorf("repeated parameter %q", name) // RFC 6749 §3.2
		}
		params[name] = values[0]
	}
	return params, nil
}

// authenticated is grant for a client that has proved itself, if it has to.
func (s *Server) authenticated(r *http.Request, params map[string]string) (map[string]any, *refusal) {
	if s.opts.ClientSecret != "" {
		id, secret, ok := r.BasicAuth()
		if ok {
			params["client_id"] = id
		} else {
			secret = params["client_secret"]
		}
		if unescaped, err := url.QueryUnescape(secret); ok && err == nil {
			secret = unescaped
		}
		if secret != s.opts.ClientSecret {
			return nil, &refusal{http.StatusUnauthorized, "invalid_client", ""}
		}
	}
	return s.grant(params)
}

func (s *Server) grant(params map[string]string) (map[string]any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if params["client_id"] != ClientID {
		return nil, &refusal{http.StatusUnauthorized, "invalid_client", ""}
	}
	switch params["grant_type"] {
	case "authorization_code":
		return s.exchange(params)
	case "urn:ietf:params:oauth:grant-type:device_code":
		return s.polled(params["device_code"])
	case "refresh_token":
		return s.refreshed(params["refresh_token"])
	}
	return nil, &refusal{http.StatusBadRequest, "unsupported_grant_type", ""}
}

func (s *Server) exchange(params map[string]string) (map[string]any, *refusal) {
	s.verifiers = append(s.verifiers, params["code_verifier"])
	c, ok := s.codes[params["code"]]
	if !ok || time.Now().After(c.expires) {
		return nil, invalidGrant("unknown or expired code")
	}
	if c.family != nil {
		c.family.revoked = true // RFC 6749 §4.1.2
		s.log(Event{Kind: CodeReused, User: c.user, Login: c.family.number})
		return nil, invalidGrant("code used twice")
	}
	sum := sha256.Sum256([]byte(params["code_verifier"]))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge || len(params["code_verifier"]) < 43 {
		return nil, invalidGrant("code_verifier does not fit")
	}
	if params["redirect_uri"] != c.redirect {
		return nil, invalidGrant("redirect_uri is not the same")
	}
	c.family = s.signIn(c.user, c.nonce)
	return s.issue(c.family, true), nil
}

// signIn is a new login.
func (s *Server) signIn(user, nonce string) *family {
	s.families++
	s.log(Event{Kind: Exchanged, User: user, Login: s.families, Generation: 1})
	return &family{number: s.families, user: user, nonce: nonce}
}

func (s *Server) refreshed(sent string) (map[string]any, *refusal) {
	t, ok := s.refresh[sent]
	if !ok {
		s.log(Event{Kind: Refused, Detail: "unknown refresh token"})
		return nil, invalidGrant("unknown refresh token")
	}
	f := t.family
	event := Event{User: f.user, Login: f.number, Generation: t.generation}
	inGrace := s.opts.Rotation == Grace && time.Since(t.spent) < graceWindow
	if !t.spent.IsZero() && !inGrace {
		f.revoked = true // RFC 9700 §4.14.2
		event.Kind = Reused
		s.log(event)
		return nil, invalidGrant("refresh token used twice")
	}
	if f.revoked {
		event.Kind, event.Detail = Refused, "revoked"
		s.log(event)
		return nil, invalidGrant("revoked")
	}
	if s.opts.Rotation != Keep && t.spent.IsZero() {
		t.spent = time.Now()
	}
	event.Kind = Refreshed
	s.log(event)
	return s.issue(f, s.opts.Rotation != Keep), nil
}

func (s *Server) issue(f *family, withRefresh bool) map[string]any {
	now := time.Now()
	said := now.Add(s.opts.Skew)
	claims := map[string]any{
		"iss": s.URL, "aud": ClientID, "sub": "user-" + f.user,
		"iat": said.Unix(), "exp": said.Add(s.lifetime).Unix(), "jti": rand.Text(),
		"email":                        f.user + "@example.test",
		"https://keytray.example/auth": map[string]string{"account_id": "acct-" + f.user, "plan": "demo"},
	}
	access := s.jwt(claims)
	s.access[access] = &accessToken{family: f, expires: now.Add(s.lifetime)}
	if f.nonce != "" {
		claims["nonce"] = f.nonce
	}
	body := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(s.lifetime.Seconds()),
		"id_token": s.jwt(claims), "scope": "openid email offline_access",
	}
	if withRefresh {
		f.issued++
		refresh := "rt_" + rand.Text() + rand.Text()
		s.refresh[refresh] = &refreshToken{family: f, generation: f.issued}
		body["refresh_token"] = refresh
	}
	return body
}

// jwt makes a token that nobody signed (RFC 7519 §6).
func (s *Server) jwt(claims map[string]any) string {
	const header = `{"alg":"none","typ":"JWT"}`
	encode := base64.RawURLEncoding.EncodeToString
	b, err := json.Marshal(claims)
	if err != nil {
		panic("oauthtest: " + err.Error())
	}
	if missing := s.opts.Size*3/4 - len(b); missing > 0 {
		b = append(b[:len(b)-1], `,"pad":"`+strings.Repeat("x", missing)+`"}`...)
	}
	return encode([]byte(header)) + "." + encode(b) + "."
}

// revoke ends the login that a token belongs to (RFC 7009).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	params, err := parameters(w, r)
	if err != nil || params["client_id"] != ClientID {
		answer(w, http.StatusUnauthorized, refusal{Code: "invalid_client"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var f *family
	if t, ok := s.refresh[params["token"]]; ok {
		f = t.family
	} else if t, ok := s.access[params["token"]]; ok {
		f = t.family
	}
	if f != nil { // an unknown token is no error, §2.2
		f.revoked = true
		s.log(Event{Kind: Revoked, User: f.user, Login: f.number})
	}
	w.WriteHeader(http.StatusOK)
}

// userinfo shows that an access token works.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.valid(token)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, refusal{Code: "invalid_token"})
		return
	}
	s.log(Event{Kind: Asked, User: t.family.user, Login: t.family.number})
	answer(w, http.StatusOK, map[string]string{"sub": "user-" + t.family.user, "email": t.family.user + "@example.test"})
}
