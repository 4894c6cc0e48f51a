package oauthtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	callback = "http://127.0.0.1:5/callback"
)

func start(t *testing.T, opts oauthtest.Options) *oauthtest.Server {
	t.Helper()
	s := oauthtest.New(opts)
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// request is a good authorization request.
func request() url.Values {
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{
		"client_id": {oauthtest.ClientID}, "response_type": {"code"}, "redirect_uri": {callback}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
}

// authorize returns where the server sends the browser, nil if nowhere.
func authorize(t *testing.T, s *oauthtest.Server, q url.Values) url.Values {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get(s.URL + "/authorize?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	to, err := r.Location()
	if err != nil {
		return nil
	}
	if !strings.HasPrefix(to.String(), callback+"?") || to.Query().Get("iss") != s.URL || to.Query().Get("state") != "s" {
		t.Errorf("sent to %s", to)
	}
	return to.Query()
}

func post(t *testing.T, endpoint string, form url.Values) (int, map[string]any) {
	t.Helper()
	r, err := http.PostForm(endpoint, form)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body map[string]any
	b, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(b, &body)
	return r.StatusCode, body
}

func exchange(t *testing.T, s *oauthtest.Server, code string, change func(url.Values)) (int, map[string]any) {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {oauthtest.ClientID}, "code": {code},
		"code_verifier": {verifier}, "redirect_uri": {callback},
	}
	change(form)
	return post(t, s.URL+"/token", form)
}

func refresh(t *testing.T, s *oauthtest.Server, token any) (int, map[string]any) {
	t.Helper()
	return post(t, s.URL+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {oauthtest.ClientID}, "refresh_token": {token.(string)}})
}

func same(url.Values) {}

func TestAuthorizeRefuses(t *testing.T) {
	s := start(t, oauthtest.Options{Approve: "ada"})
	tests := []struct {
		name   string
		change func(url.Values)
		error  string // "" if the browser must stay
	}{
		{"unknown client", func(q url.Values) { q.Set("client_id", "x") }, ""},
		{"another path", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:5/x") }, ""},
		{"another host", func(q url.Values) { q.Set("redirect_uri", "http://evil.test:5/callback") }, ""},
		{"localhost for a literal", func(q url.Values) { q.Set("redirect_uri", "http://localhost:5/callback") }, ""},
		{"https", func(q url.Values) { q.Set("redirect_uri", "https://127.0.0.1:5/callback") }, ""},
		{"no port", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1/callback") }, ""},
		{"query", func(q url.Values) { q.Set("redirect_uri", callback+"?a=b") }, ""},
		{"user", func(q url.Values) { q.Set("redirect_uri", "http://evil@127.0.0.1:5/callback") }, ""},
		{"token", func(q url.Values) { q.Set("response_type", "token") }, "invalid_request"},
		{"plain", func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"no challenge", func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		{"repeated", func(q url.Values) { q.Add("scope", "a"); q.Add("scope", "b") }, "invalid_request"},
	}
	for _, tt := range tests {
		q := request()
		tt.change(q)
		if got := authorize(t, s, q); got.Get("error") != tt.error || got.Has("code") {
			t.Errorf("%s: sent back with %v, want error %q", tt.name, got, tt.error)
		}
	}
}

func TestExchangeRefuses(t *testing.T) {
	s := start(t, oauthtest.Options{Approve: "ada"})
	tests := []struct {
		name   string
		change func(url.Values)
		error  string
	}{
		{"no verifier", func(f url.Values) { f.Del("code_verifier") }, "invalid_grant"},
		{"another verifier", func(f url.Values) { f.Set("code_verifier", verifier+"x") }, "invalid_grant"},
		{"another port", func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:6/callback") }, "invalid_grant"},
		{"unknown code", func(f url.Values) { f.Set("code", "x") }, "invalid_grant"},
		{"another client", func(f url.Values) { f.Set("client_id", "x") }, "invalid_client"},
		{"repeated", func(f url.Values) { f.Add("code", "x") }, "invalid_request"},
		{"password", func(f url.Values) { f.Set("grant_type", "password") }, "unsupported_grant_type"},
	}
	for _, tt := range tests {
		status, body := exchange(t, s, authorize(t, s, request()).Get("code"), tt.change)
		if status < 400 || body["error"] != tt.error {
			t.Errorf("%s: %d %v, want %s", tt.name, status, body["error"], tt.error)
		}
	}
	if got := s.Stats().Logins; got != 0 {
		t.Errorf("%d logins", got)
	}
}

// TestReuseRevokesTheFamily: of codes and of refresh tokens.
func TestReuseRevokesTheFamily(t *testing.T) {
	s := start(t, oauthtest.Options{Approve: "ada"})
	code := authorize(t, s, request()).Get("code")
	_, first := exchange(t, s, code, same)
	if status, _ := exchange(t, s, code, same); status != 400 {
		t.Errorf("a code was accepted twice: %d", status)
	}
	if status, _ := refresh(t, s, first["refresh_token"]); status != 400 {
		t.Errorf("a refresh token outlived the reuse of its code: %d", status)
	}

	_, first = exchange(t, s, authorize(t, s, request()).Get("code"), same)
	_, second := refresh(t, s, first["refresh_token"])
	_, other := exchange(t, s, authorize(t, s, request()).Get("code"), same)
	if status, body := refresh(t, s, first["refresh_token"]); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("a spent token was accepted: %d %v", status, body)
	}
	if status, _ := refresh(t, s, second["refresh_token"]); status != 400 {
		t.Errorf("the newest token outlived the reuse: %d", status)
	}
	if status, _ := refresh(t, s, other["refresh_token"]); status != 200 {
		t.Errorf("another login was revoked: %d", status)
	}
	if got := s.Stats(); got.Reuses != 2 || got.Refreshes != 2 {
		t.Errorf("stats = %+v, want 2 reuses and 2 refreshes", got)
	}
}

func TestRotationModes(t *testing.T) {
	tests := []struct {
		mode    oauthtest.Rotation
		rotates bool
		again   int
		policy  provider.Policy
	}{
		{"", true, 400, provider.Strict},
		{oauthtest.Rotate, true, 400, provider.Strict},
		{oauthtest.Grace, true, 200, provider.Graceful},
		{oauthtest.Keep, false, 200, provider.Graceful},
	}
	for _, tt := range tests {
		s := start(t, oauthtest.Options{Approve: "ada", Rotation: tt.mode})
		_, first := exchange(t, s, authorize(t, s, request()).Get("code"), same)
		_, second := refresh(t, s, first["refresh_token"])
		if got := second["refresh_token"] != nil; got != tt.rotates {
			t.Errorf("%q: rotates = %t, want %t", tt.mode, got, tt.rotates)
		}
		if status, _ := refresh(t, s, first["refresh_token"]); status != tt.again {
			t.Errorf("%q: the old token again: %d, want %d", tt.mode, status, tt.again)
		}
		if got := s.Provider().OAuth.Policy; got != tt.policy {
			t.Errorf("%q: policy = %s, want %s", tt.mode, got, tt.policy)
		}
	}
}

func TestRevoke(t *testing.T) {
	s := start(t, oauthtest.Options{Approve: "ada"})
	for _, which := range []string{"refresh_token", "access_token"} {
		_, tokens := exchange(t, s, authorize(t, s, request()).Get("code"), same)
		form := url.Values{"client_id": {oauthtest.ClientID}, "token": {tokens[which].(string)}}
		if status, _ := post(t, s.URL+"/revoke", form); status != 200 {
			t.Errorf("revoking the %s: %d", which, status)
		}
		if status, _ := refresh(t, s, tokens["refresh_token"]); status != 400 {
			t.Errorf("the refresh token outlived the revocation of the %s", which)
		}
		if status := userinfo(t, s, tokens["access_token"]); status != 401 {
			t.Errorf("the access token outlived the revocation of the %s", which)
		}
	}
	if status, _ := post(t, s.URL+"/revoke", url.Values{"client_id": {oauthtest.ClientID}, "token": {"x"}}); status != 200 {
		t.Errorf("revoking an unknown token: %d, want 200 (RFC 7009 §2.2)", status)
	}
}

func userinfo(t *testing.T, s *oauthtest.Server, token any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/userinfo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.(string))
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

func TestAccessTokensExpire(t *testing.T) {
	s := start(t, oauthtest.Options{Approve: "ada", Lifetime: time.Hour})
	_, tokens := exchange(t, s, authorize(t, s, request()).Get("code"), same)
	if status := userinfo(t, s, tokens["access_token"]); status != 200 || tokens["expires_in"] != 3600.0 {
		t.Errorf("a new token: %d, expires_in %v", status, tokens["expires_in"])
	}
	s.SetLifetime(-time.Second)
	_, tokens = refresh(t, s, tokens["refresh_token"])
	if status := userinfo(t, s, tokens["access_token"]); status != 401 {
		t.Errorf("an expired token: %d, want 401", status)
	}
}

func TestDiscovery(t *testing.T) {
	s := start(t, oauthtest.Options{})
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		err = json.NewDecoder(r.Body).Decode(&doc)
		_ = r.Body.Close()
		p := s.Provider().OAuth
		if err != nil || doc["issuer"] != p.Issuer || doc["token_endpoint"] != p.TokenEndpoint || doc["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("%s = %v, %v", path, doc, err)
		}
	}
}

// TestPages do not let a request write into them.
func TestPages(t *testing.T) {
	s := start(t, oauthtest.Options{Device: true})
	const script = `"><script>alert(1)</script>`
	q := request()
	q.Set("scope", script)
	for _, page := range []string{"/authorize?" + q.Encode(), "/device?" + url.Values{"user_code": {script}}.Encode()} {
		r, err := http.Get(s.URL + page)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || !strings.Contains(string(b), `name="user"`) || !strings.Contains(string(b), "alert(1)") || strings.Contains(string(b), "<script") {
			t.Errorf("%s: %d: %s", page, r.StatusCode, b)
		}
	}
}
