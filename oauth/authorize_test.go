package oauth

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// TestChallenge is the vector of RFC 7636 Appendix B.
func TestChallenge(t *testing.T) {
	got := challenge(secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
	if want := "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; got != want {
		t.Errorf("challenge = %s, want %s", got, want)
	}
}

func TestCodexURL(t *testing.T) {
	codex, _ := provider.Builtin().Find("openai-codex")
	redirect := redirectURI(codex.OAuth.Redirect, 1455)
	if redirect != "http://localhost:1455/auth/callback" {
		t.Fatalf("redirect_uri = %s", redirect)
	}
	got, err := authorizationURL(*codex.OAuth, redirect, secret.New("STATE"), secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	want := "https://auth.openai.com/oauth/authorize?client_id=app_EMoamEEZ73f0CkXaXp7hrann" +
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&codex_cli_simplified_flow=true" +
		"&id_token_add_organizations=true&originator=keytray&redirect_uri=http%3A%2F%2Flocalhost%3A1455%2Fauth%2Fcallback" +
		"&response_type=code&scope=openid+profile+email+offline_access&state=STATE"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEndpointQueryIsKept(t *testing.T) {
	got, err := authorizationURL(provider.OAuth{AuthorizationEndpoint: "https://as.test/a?t=1", ClientID: "c"}, "http://127.0.0.1:1/cb", secret.New("s"), secret.New("v"), secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range u.Query() {
		if len(values) != 1 {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
	if u.Query().Get("t") != "1" || u.Query().Has("scope") {
		t.Errorf("query = %v", u.Query())
	}
}

// TestAttemptsAreFresh: state and verifier are long, legal and never the same.
func TestAttemptsAreFresh(t *testing.T) {
	seen := make(map[string]bool)
	p := provider.OAuth{
		Issuer: "https://as.test", AuthorizationEndpoint: "https://as.test/a", TokenEndpoint: "https://as.test/t",
		ClientID: "c", Redirect: provider.Redirect{Path: "/cb"},
	}
	for range 200 {
		l, err := new(Client).StartLogin(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		l.Close(nil)
		state, verifier := l.state.Reveal(), l.verifier.Reveal()
		if len(state) < 26 || len(verifier) < 43 || len(verifier) > 128 || strings.Trim(state+verifier, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			t.Fatalf("state of %d, verifier of %d characters", len(state), len(verifier))
		}
		if seen[state] || seen[verifier] || strings.Contains(l.URL, verifier) {
			t.Fatal("a value is not secret, or not fresh")
		}
		seen[state], seen[verifier] = true, true
	}
}

func TestCheckBrowserURL(t *testing.T) {
	tests := []struct {
		url string
		ok  bool
	}{
		{"https://as.test/a?b=c&d=%20e#f", true},
		{"https://as.test", true},
		{"http://127.0.0.1:8080/a", true},
		{"http://[::1]:8080/a", true},
		{"http://localhost/a", true},
		{"http://as.test/a", false},
		{"http://127.0.0.1.evil.test/", false},
		{"http://localhost.evil.test/", false},
		{"file:///etc/passwd", false},
		{"javascript:alert(1)", false},
		{"data:text/html,x", false},
		{"-a Calculator", false},
		{"--help", false},
		{"calc", false},
		{`\\host\share`, false},
		{`https://x"&calc`, false},
		{"https://x'y", false},
		{"https://x/`id`", false},
		{"https://x/ y", false},
		{"https://x/\ny", false},
		{"https://x/\x00", false},
		{"https://x/é", false},
		{"https://x/<y>", false},
		{"https://x/|y", false},
		{"https://x/^y", false},
		{"https://x/%zz", false},
		{"https://user@x/", false},
		{"https://user:pw@x/", false},
		{"https:///x", false},
		{"https://:443/x", false},
		{"https:x", false},
		{"HTTPS://x/", false},
		{" https://x/", false},
		{"", false},
		{"https://x/" + strings.Repeat("a", 8<<10), false},
	}
	for _, tt := range tests {
		err := CheckBrowserURL(tt.url)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrBrowserURL) {
			t.Errorf("CheckBrowserURL(%.40q) = %v, want ok %t", tt.url, err, tt.ok)
		}
	}
}

func FuzzBrowserURL(f *testing.F) {
	f.Add("https://as.test/a?b=c#d")
	f.Add("http://[::1]:8080/%41")
	f.Add("https://x\"&calc")
	f.Fuzz(func(t *testing.T, s string) {
		if CheckBrowserURL(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			t.Fatalf("accepted %q", s)
		}
		if u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "::1" && !strings.HasPrefix(u.Hostname(), "127.") && !strings.Contains(u.Hostname(), ":") {
			t.Fatalf("accepted %q", s)
		}
		if strings.HasPrefix(s, "-") || strings.ContainsAny(s, " \t\r\n\"'`\\<>|^{}\x00") {
			t.Fatalf("accepted %q", s)
		}
	})
}
