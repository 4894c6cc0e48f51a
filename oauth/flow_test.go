package oauth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
)

func startServer(t *testing.T, opts oauthtest.Options) *oauthtest.Server {
	t.Helper()
	s := oauthtest.New(opts)
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// signIn logs in through a scripted browser and returns the token and the page
// that the browser ended at.
func signIn(t *testing.T, s *oauthtest.Server, b oauthtest.Browser) (oauth.Token, oauthtest.Page, error) {
	t.Helper()
	l, err := new(oauth.Client).StartLogin(t.Context(), *s.Provider().OAuth)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Listening(); err != nil {
		t.Fatal(err)
	}
	pages := make(chan oauthtest.Page, 1)
	go func() {
		p, err := b.Open(t.Context(), l.URL)
		if err != nil {
			t.Errorf("browser: %v", err)
		}
		pages <- p
	}()
	token, err := l.Wait(t.Context())
	l.Close(err)
	return token, <-pages, err
}

func TestLoginAndRefresh(t *testing.T) {
	s := startServer(t, oauthtest.Options{Lifetime: 20 * time.Second, Size: 4096})
	before := time.Now()
	token, page, err := signIn(t, s, oauthtest.Browser{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if page.Status != 200 || page.URL[len(page.URL)-5:] != "/done" {
		t.Errorf("the browser ended at %s with %d, want /done with 200", page.URL, page.Status)
	}
	want := oauth.Account{ID: "acct-ada", Email: "ada@example.test", Plan: "demo"}
	if token.Account != want {
		t.Errorf("account = %+v, want %+v", token.Account, want)
	}
	if life := token.Expiry.Sub(before); life < 19*time.Second || life > 21*time.Second {
		t.Errorf("life = %v, want about 20 s", life)
	}
	if len(token.Access.Reveal()) < 4096 {
		t.Errorf("access token has %d bytes, want 4096", len(token.Access.Reveal()))
	}

	next, err := new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if next.Refresh.Empty() || next.Refresh.Equal(token.Refresh) || next.Access.Equal(token.Access) {
		t.Error("the refresh did not rotate")
	}
	if got := s.Stats(); got.Logins != 1 || got.Refreshes != 1 || got.Reuses != 0 {
		t.Errorf("the server saw %+v", got)
	}
}

// TestLoginNeedsAnAccount where the provider says so; the token is not lost.
func TestLoginNeedsAnAccount(t *testing.T) {
	s := startServer(t, oauthtest.Options{Approve: "ada"})
	for _, required := range []bool{true, false} {
		p := *s.Provider().OAuth
		p.Identity.Account, p.Identity.Required = []string{"nowhere"}, required
		l, err := new(oauth.Client).StartLogin(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = oauthtest.Browser{}.Open(t.Context(), l.URL) }()
		token, err := l.Wait(t.Context())
		l.Close(err)
		if errors.Is(err, oauth.ErrNoAccount) != required || token.Access.Empty() || token.Refresh.Empty() {
			t.Errorf("required %t: %v, token whole %t", required, err, !token.Refresh.Empty())
		}
		if token.Scope != "openid email offline_access" || token.Account.Email != "ada@example.test" {
			t.Errorf("scope %q, account %+v", token.Scope, token.Account)
		}
	}
}

// TestScopeDefaultsToWhatWasAsked (RFC 6749 §5.1).
func TestScopeDefaultsToWhatWasAsked(t *testing.T) {
	s := startServer(t, oauthtest.Options{Approve: "ada"})
	s.Fail(oauthtest.Fault{Status: 200, Body: `{"access_token":"a"}`})
	p := *s.Provider().OAuth
	p.Identity.Required = false
	l, err := new(oauth.Client).StartLogin(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = oauthtest.Browser{}.Open(t.Context(), l.URL) }()
	token, err := l.Wait(t.Context())
	l.Close(err)
	if err != nil || token.Scope != "openid email offline_access" {
		t.Errorf("scope = %q, %v", token.Scope, err)
	}
}

func TestDenied(t *testing.T) {
	s := startServer(t, oauthtest.Options{})
	_, page, err := signIn(t, s, oauthtest.Browser{User: "ada", Deny: true})
	if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != "access_denied" || e.Class != oauth.Permanent {
		t.Errorf("err = %v, want access_denied", err)
	}
	if page.URL[len(page.URL)-7:] != "/failed" {
		t.Errorf("the browser ended at %s, want /failed", page.URL)
	}
}
