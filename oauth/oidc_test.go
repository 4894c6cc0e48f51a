package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// oidc is a server whose token and userinfo endpoints answer what a test says.
type oidc struct {
	token, userinfo string
	short           string      // the answer to an exchange; a refusal if it is empty
	traded          http.Header // at an exchange
	asked           url.Values  // at the token endpoint
	header          http.Header // at userinfo
	calls           int         // there
}

func (o *oidc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/token":
		_ = r.ParseForm()
		o.asked = r.PostForm
		_, _ = io.WriteString(w, o.token)
	case "/me":
		o.calls++
		o.header = r.Header
		if o.userinfo == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, o.userinfo)
	case "/short":
		o.traded = r.Header
		if o.short == "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message":"Bad credentials gho_SECRET"}`)
			return
		}
		_, _ = io.WriteString(w, o.short)
	default:
		_, _ = io.WriteString(w, `{"keys":[]}`)
	}
}

func idToken(claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(b) + ".AA"
}

// signInAt goes through a sign-in with a pasted code. It returns what the browser
// was asked to open.
func signInAt(t *testing.T, o *oidc, change func(*provider.OAuth)) (oauth.Token, url.Values, error) {
	t.Helper()
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	p := *oauthtest.New(oauthtest.Options{}).Provider().OAuth
	p.Issuer, p.AuthorizationEndpoint, p.TokenEndpoint, p.RevocationEndpoint = srv.URL, srv.URL+"/a", srv.URL+"/token", ""
	p.UserinfoEndpoint = srv.URL + "/me"
	p.Identity = provider.Identity{Required: true}
	change(&p)
	l, err := new(oauth.Client).StartLogin(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Paste("code-1"); err != nil {
		t.Fatal(err)
	}
	token, err := l.Wait(t.Context())
	l.Close(err)
	return token, u.Query(), err
}

func tokenAnswer(id string) string {
	return `{"access_token":"at","token_type":"Bearer","refresh_token":"rt","id_token":"` + id + `"}`
}

// TestConformanceUserinfo are the modules of the OpenID Foundation's client suite
// that are about userinfo.
func TestConformanceUserinfo(t *testing.T) {
	sub := idToken(map[string]any{"sub": "ada"})
	for _, tt := range []struct {
		module, id, userinfo string
		want                 oauth.Account
		err                  error
	}{
		{"oidcc-client-test-userinfo-bearer-header", sub, `{"sub":"ada","email":"a@b.test"}`, oauth.Account{ID: "ada", Email: "a@b.test"}, nil},
		{"oidcc-client-test-scope-userinfo-claims", sub, `{"sub":"ada","email":"a@b.test","name":"x"}`, oauth.Account{ID: "ada", Email: "a@b.test"}, nil},
		{"oidcc-client-test-userinfo-invalid-sub", sub, `{"sub":"eve","email":"a@b.test"}`, oauth.Account{ID: "ada"}, oauth.ErrUserinfo},
		{"userinfo without sub", sub, `{"email":"a@b.test"}`, oauth.Account{ID: "ada"}, oauth.ErrUserinfo},
		{"userinfo refuses", sub, ``, oauth.Account{ID: "ada"}, nil},
		{"userinfo is a page", sub, `<html>`, oauth.Account{ID: "ada"}, nil},
		{"no ID token", "", `{"sub":"ada"}`, oauth.Account{ID: "ada"}, nil},
		{"neither", "", ``, oauth.Account{}, oauth.ErrNoAccount},
		{"the ID token is enough", idToken(map[string]any{"sub": "ada", "email": "a@b.test"}), `{"sub":"eve"}`, oauth.Account{ID: "ada", Email: "a@b.test"}, nil},
	} {
		t.Run(tt.module, func(t *testing.T) {
			o := &oidc{token: tokenAnswer(tt.id), userinfo: tt.userinfo}
			token, _, err := signInAt(t, o, func(*provider.OAuth) {})
			if !errors.Is(err, tt.err) || token.Account != tt.want || token.Refresh.Empty() {
				t.Errorf("account %+v, %v, want %+v, %v", token.Account, err, tt.want, tt.err)
			}
			if o.calls > 0 && o.header.Get("Authorization") != "Bearer at" {
				t.Errorf("header %v", o.header)
			}
		})
	}
}

// TestAccountOfANumber: GitHub's accounts are numbers, and it has no ID tokens.
func TestAccountOfANumber(t *testing.T) {
	o := &oidc{token: `{"access_token":"at","token_type":"bearer"}`, userinfo: `{"id":583231,"login":"octocat"}`}
	token, _, err := signInAt(t, o, func(p *provider.OAuth) {
		p.Identity = provider.Identity{Account: []string{"id"}, Email: []string{"login"}, Required: true}
	})
	if want := (oauth.Account{ID: "583231", Email: "octocat"}); err != nil || token.Account != want {
		t.Errorf("account %+v, %v, want %+v", token.Account, err, want)
	}
}

// TestAnUnsignedIDTokenEndsTheSignIn where the server's keys are known; the
// request had a nonce then.
func TestAnUnsignedIDTokenEndsTheSignIn(t *testing.T) {
	o := &oidc{token: tokenAnswer("")}
	var issuer string
	keys := func(p *provider.OAuth) { p.JWKSURI, issuer = p.Issuer+"/jwks", p.Issuer }
	token, asked, err := signInAt(t, o, keys)
	if !errors.Is(err, idtoken.ErrInvalid) || token.Refresh.Empty() || len(asked.Get("nonce")) < 22 {
		t.Errorf("no ID token: %v, nonce %q", err, asked.Get("nonce"))
	}
	o.token = tokenAnswer(idToken(map[string]any{"iss": issuer, "sub": "ada"}))
	if _, _, err := signInAt(t, o, keys); !errors.Is(err, idtoken.ErrInvalid) {
		t.Errorf("one that nobody signed: %v", err)
	}
	if _, asked, err := signInAt(t, o, func(*provider.OAuth) {}); err != nil || asked.Has("nonce") {
		t.Errorf("without keys: %v, nonce %q", err, asked.Get("nonce"))
	}
}

// TestARenewedIDToken of another server or client makes the answer useless, but
// for the refresh token in it (OpenID Connect Core §12.2).
func TestARenewedIDToken(t *testing.T) {
	now := time.Now().Unix()
	good := map[string]any{"iss": "https://as.test", "aud": oauthtest.ClientID, "sub": "ada", "iat": now, "exp": now + 60}
	for name, value := range map[string]any{"iss": "https://evil.test", "aud": "you", "sub": "", "": nil} {
		claims := map[string]any{name: value}
		for k, v := range good {
			if k != name {
				claims[k] = v
			}
		}
		o := &oidc{token: tokenAnswer(idToken(claims))}
		srv := httptest.NewServer(o)
		p := at(srv.URL + "/token")
		p.JWKSURI = srv.URL + "/jwks"
		token, err := refresh(t, p)
		srv.Close()
		if name == "" {
			if err != nil || token.Access.Empty() {
				t.Errorf("good: %v", err)
			}
			continue
		}
		e := wantClass(t, err, oauth.Transient)
		if !errors.Is(e, idtoken.ErrInvalid) || token.Refresh.Empty() || !token.Access.Empty() {
			t.Errorf("%s: %v, token %v", name, err, token)
		}
	}
}

// TestTokensBoundToAKeyAreRefused clearly: nobody here could use them.
func TestTokensBoundToAKeyAreRefused(t *testing.T) {
	o := &oidc{token: `{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}`}
	token, _, err := signInAt(t, o, func(*provider.OAuth) {})
	if err == nil || !strings.Contains(err.Error(), "DPoP") || token.Refresh.Empty() || !token.Access.Empty() {
		t.Errorf("%v, %v", token, err)
	}
	for _, code := range []string{"use_dpop_nonce", "invalid_dpop_proof"} {
		c := &oauth.Client{Transport: &script{answers: []says{{400, `{"error":"` + code + `"}`}}}}
		if _, err := c.Refresh(t.Context(), at("https://as.test/token"), secret.New("rt")); err == nil || !strings.Contains(err.Error(), "cannot use") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestCodeAsJSON(t *testing.T) {
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }))
	defer srv.Close()
	_, _, _ = signInAt(t, &oidc{}, func(p *provider.OAuth) { p.TokenEndpoint, p.CodeJSON = srv.URL, true })
	var sent map[string]string
	if err := json.Unmarshal(body, &sent); err != nil || sent["code"] != "code-1" || sent["client_id"] != oauthtest.ClientID || sent["code_verifier"] == "" {
		t.Errorf("sent %s: %v", body, err)
	}
}

// TestExchange: the token of a sign-in stays here and is traded for another, again
// at each renewal.
func TestExchange(t *testing.T) {
	end := time.Now().Add(25 * time.Minute).Truncate(time.Second)
	short := func(token string) string {
		return fmt.Sprintf(`{"token":%q,"expires_at":%d,"refresh_in":1500}`, token, end.Unix())
	}
	o := &oidc{token: `{"access_token":"gho_SECRET","token_type":"bearer","scope":""}`, userinfo: `{"id":7}`, short: short("tid=1;exp=2")}
	var p provider.OAuth
	trading := func(q *provider.OAuth) {
		q.Identity = provider.Identity{Account: []string{"id"}, Required: true}
		q.Exchange = &provider.Exchange{Endpoint: q.Issuer + "/short", Headers: map[string]string{"User-Agent": "editor/1", "X-Editor": "e"}, Token: "token", Expires: "expires_at"}
		p = *q
	}
	token, _, err := signInAt(t, o, trading)
	if err != nil || token.Access.Reveal() != "tid=1;exp=2" || token.Refresh.Reveal() != "gho_SECRET" || !token.Expiry.Equal(end) || token.Account.ID != "7" {
		t.Fatalf("signed in: %+v, %v", token, err)
	}
	if h := o.traded; h.Get("Authorization") != "Bearer gho_SECRET" || h.Get("X-Editor") != "e" || h.Get("User-Agent") != "editor/1" {
		t.Errorf("header %v", h)
	}
	o.short = short("tid=2")
	again, err := new(oauth.Client).Refresh(t.Context(), p, token.Refresh)
	if err != nil || again.Access.Reveal() != "tid=2" || !again.Refresh.Empty() || !again.Expiry.Equal(end) {
		t.Errorf("renewed: %+v, %v", again, err)
	}
	for answer, class := range map[string]oauth.Class{"": oauth.Doubtful, `{"expires_at":1}`: oauth.Transient, `{"token":"a\u000ab","expires_at":1}`: oauth.Transient, `{"token":"a"}`: oauth.Transient, `<html>`: oauth.Transient} {
		o.short = answer
		_, err := new(oauth.Client).Refresh(t.Context(), p, token.Refresh)
		if e := wantClass(t, err, class); strings.Contains(e.Error(), "SECRET") {
			t.Errorf("the error shows the token: %v", e)
		}
	}
	p.Exchange.Endpoint = "http://127.0.0.1:1/"
	_, err = new(oauth.Client).Refresh(t.Context(), p, token.Refresh)
	wantClass(t, err, oauth.Transient)
}

// TestATradeSpendsNothing: a server that fails leaves no doubt about the token that
// is traded, which would end the login when it fails a few times.
func TestATradeSpendsNothing(t *testing.T) {
	p := at("https://as.test/token")
	p.Exchange = &provider.Exchange{Endpoint: "https://as.test/short", Token: "token", Expires: "expires_at"}
	for _, code := range []int{500, 502, 504, 520} {
		c := &oauth.Client{Transport: &script{answers: []says{{code, "<html>"}}}}
		_, err := c.Refresh(t.Context(), p, secret.New("gho_SECRET"))
		wantClass(t, err, oauth.Transient)
	}
}
