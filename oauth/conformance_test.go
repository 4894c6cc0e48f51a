package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// TestConformanceResponses are the client tests of the OpenID Foundation's
// conformance suite that are about authorization and token responses, by their
// names; those about ID tokens, userinfo and discovery are beside what they test.
func TestConformanceResponses(t *testing.T) {
	for _, tt := range []struct {
		name string
		// answer spoils the authorization response, token the token response.
		answer func(url.Values)
		token  func(map[string]any)
		accept bool
	}{
		{name: "oidcc-client-test", accept: true},
		{name: "ensure-authorization-response-with-invalid-state-fails", answer: func(q url.Values) { q.Set("state", q.Get("state")+"x") }},
		{name: "ensure-authorization-response-with-invalid-missing-state-fails", answer: func(q url.Values) { q.Del("state") }},
		{name: "invalid-authorization-response-iss", answer: func(q url.Values) { q.Set("iss", "https://as.test/other") }},
		{name: "invalid-authorization-response-iss, a slash more", answer: func(q url.Values) { q.Set("iss", "https://as.test/") }},
		{name: "invalid-authorization-response-iss, another case", answer: func(q url.Values) { q.Set("iss", "https://AS.test") }},
		{name: "invalid-authorization-response-iss, twice", answer: func(q url.Values) { q.Add("iss", "https://as.test") }},
		{name: "remove-authorization-response-iss", answer: func(q url.Values) { q.Del("iss") }},
		{name: "token-type-case-insensitivity", token: func(m map[string]any) { m["token_type"] = "bEaReR" }, accept: true},
		{name: "token-endpoint-response-without-expires_in", token: func(m map[string]any) { delete(m, "expires_in") }, accept: true},
		{name: "no-scope-in-token-endpoint-response", token: func(m map[string]any) { delete(m, "scope") }, accept: true},
		{name: "happy-path-no-dpop-nonce (we send no proof)", token: func(m map[string]any) { m["token_type"] = "DPoP" }},
		{name: "rs-dpop-auth-scheme-case-insensitivity (nor any other case)", token: func(m map[string]any) { m["token_type"] = "dpop" }},
		{name: "a code and an error", answer: func(q url.Values) { q.Set("error", "access_denied") }},
		{name: "two codes", answer: func(q url.Values) { q.Add("code", "c2") }},
		{name: "an implicit response", answer: func(q url.Values) { q.Del("code"); q.Set("access_token", "a") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var exchanges atomic.Int32
			as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				exchanges.Add(1)
				m := map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r", "scope": "openid"}
				if tt.token != nil {
					tt.token(m)
				}
				_ = json.NewEncoder(w).Encode(m)
			}))
			defer as.Close()
			p := *oauthtest.New(oauthtest.Options{}).Provider().OAuth
			p.Issuer, p.AuthorizationEndpoint, p.RevocationEndpoint, p.TokenEndpoint = "https://as.test", "https://as.test/a", "", as.URL
			p.Identity.Required, p.Probe = false, nil
			l, err := new(oauth.Client).StartLogin(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(l.URL)
			if err != nil {
				t.Fatal(err)
			}
			q := url.Values{"code": {"c"}, "state": {u.Query().Get("state")}, "iss": {"https://as.test"}}
			if tt.answer != nil {
				tt.answer(q)
			}
			got := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				_, err := l.Wait(ctx)
				l.Close(err)
				got <- err
			}()
			client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			res, err := client.Get(u.Query().Get("redirect_uri") + "?" + q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if tt.answer != nil { // the wait goes on
				if res.StatusCode < 400 || exchanges.Load() != 0 {
					t.Errorf("status %d with %d exchanges, want a refusal", res.StatusCode, exchanges.Load())
				}
				cancel()
			}
			err = <-got
			cancel()
			if _, refused := errors.AsType[*oauth.Error](err); (err == nil) != tt.accept || tt.token != nil && !tt.accept && !refused {
				t.Errorf("Wait = %v, want accepted: %t", err, tt.accept)
			}
		})
	}
}
