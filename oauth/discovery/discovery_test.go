package discovery_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth/discovery"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
)

func TestPlaces(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://as.test": {
			"https://as.test/.well-known/openid-configuration",
			"https://as.test/.well-known/oauth-authorization-server",
		},
		"https://as.test/": {
			"https://as.test/.well-known/openid-configuration",
			"https://as.test/.well-known/oauth-authorization-server",
		},
		"https://as.test:8443/tenant/1": {
			"https://as.test:8443/tenant/1/.well-known/openid-configuration",
			"https://as.test:8443/.well-known/oauth-authorization-server/tenant/1",
			"https://as.test:8443/.well-known/openid-configuration/tenant/1",
		},
		"http://127.0.0.1:9":    nil, // not without being allowed
		"http://as.test":        nil,
		"https://as.test?x=1":   nil,
		"https://as.test#x":     nil,
		"https://me:pw@as.test": nil,
		"https:as.test":         nil,
		"as.test":               nil,
		"file:///etc/passwd":    nil,
		"":                      nil,
	} {
		got, err := discovery.Places(issuer, false)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("Places(%q) = %q, %v, want %q", issuer, got, err, want)
		}
	}
	if got, err := discovery.Places("http://[::1]:9/x", true); err != nil || len(got) != 3 {
		t.Errorf("a loopback address that is allowed: %q, %v", got, err)
	}
	if _, err := discovery.Places("http://10.0.0.1", true); !errors.Is(err, discovery.ErrIssuer) {
		t.Errorf("http to another machine: %v, want ErrIssuer", err)
	}
}

// good is the metadata of a server with everything.
func good(issuer string) map[string]any {
	return map[string]any{
		"issuer":                 issuer,
		"authorization_endpoint": issuer + "/auth",
		"token_endpoint":         issuer + "/token",
		"revocation_endpoint":    issuer + "/revoke",

		"device_authorization_endpoint": issuer + "/device",
		"userinfo_endpoint":             issuer + "/me",
		"jwks_uri":                      issuer + "/jwks",
		"scopes_supported":              []string{"openid", "email", "offline_access", "admin"},

		"response_types_supported":                       []string{"code", "id_token"},
		"code_challenge_methods_supported":               []string{"plain", "S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_post", "none"},
		"id_token_signing_alg_values_supported":          []string{"HS256", "EdDSA", "RS256", "none"},
		"authorization_response_iss_parameter_supported": true,
	}
}

// serve answers at one path with what reply makes of the issuer.
func serve(t *testing.T, place string, reply func(issuer string) map[string]any) (issuer string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		if r.URL.Path != place {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(reply(issuer))
	}))
	t.Cleanup(srv.Close)
	issuer = srv.URL + "/tenant"
	return issuer, asked
}

func TestFindInEachPlace(t *testing.T) {
	for i, place := range []string{
		"/tenant/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/tenant",
		"/.well-known/openid-configuration/tenant",
	} {
		issuer, asked := serve(t, place, good)
		m, err := discovery.Find(t.Context(), wire.Client{}, issuer, true)
		if err != nil || len(*asked) != i+1 {
			t.Fatalf("%s: %v after asking %q", place, err, *asked)
		}
		p, err := m.Provider("acme", "Acme", "me", true)
		if err != nil {
			t.Fatal(err)
		}
		o := p.OAuth
		if o.Issuer != issuer || o.TokenEndpoint != issuer+"/token" || o.JWKSURI != issuer+"/jwks" || !o.IssParameter {
			t.Errorf("entry %+v", o)
		}
		if !slices.Equal(o.Scopes, []string{"openid", "email", "offline_access"}) || !slices.Equal(o.IDTokenAlgs, []string{"RS256", "EdDSA"}) {
			t.Errorf("scopes %q, algorithms %q", o.Scopes, o.IDTokenAlgs)
		}
		if !m.ConfirmsPKCE() || m.Takes(provider.SecretBasic) || !m.Takes(provider.Public) {
			t.Errorf("PKCE %v, auth %q", m.ConfirmsPKCE(), m.AuthMethods)
		}
	}
}

// TestConformanceDiscovery are the modules of the OpenID Foundation's suite that
// are about discovery, and what the RFCs refuse besides.
func TestConformanceDiscovery(t *testing.T) {
	other := func(name string, value any) func(string) map[string]any {
		return func(issuer string) map[string]any {
			m := good(issuer)
			if m[name] = value; value == nil {
				delete(m, name)
			}
			return m
		}
	}
	for _, tt := range []struct {
		module string
		reply  func(string) map[string]any
		want   error // nil: accept
	}{
		{"oidcc-client-test", good, nil},
		{"oidcc-client-test-discovery-issuer-mismatch", other("issuer", "https://other.test"), discovery.ErrOtherIssuer},
		{"issuer with a slash", func(i string) map[string]any { return good(i + "/") }, discovery.ErrOtherIssuer},
		{"issuer in capitals", func(i string) map[string]any { return good(strings.ToUpper(i)) }, discovery.ErrOtherIssuer},
		{"no issuer", other("issuer", nil), discovery.ErrOtherIssuer},
		{"pushed requests", other("require_pushed_authorization_requests", true), discovery.ErrUnusable},
		{"signed requests", other("require_signed_request_object", true), discovery.ErrUnusable},
		{"plain PKCE only", other("code_challenge_methods_supported", []string{"plain"}), discovery.ErrUnusable},
		{"PKCE not mentioned", other("code_challenge_methods_supported", nil), nil},
		{"no code flow", other("response_types_supported", []string{"id_token"}), discovery.ErrUnusable},
		{"unsigned ID tokens only", other("id_token_signing_alg_values_supported", []string{"none", "HS256"}), discovery.ErrUnusable},
	} {
		t.Run(tt.module, func(t *testing.T) {
			issuer, _ := serve(t, "/tenant/.well-known/openid-configuration", tt.reply)
			if _, err := discovery.Find(t.Context(), wire.Client{}, issuer, true); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestFindBesideAPage: a server with a page for every address has its metadata in
// another place, or none.
func TestFindBesideAPage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.Handle("/", page)
	if _, err := discovery.Find(t.Context(), wire.Client{}, srv.URL, true); !errors.Is(err, discovery.ErrNotFound) {
		t.Errorf("pages only: %v, want ErrNotFound", err)
	}
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(good(srv.URL))
	})
	if _, err := discovery.Find(t.Context(), wire.Client{}, srv.URL, true); err != nil {
		t.Errorf("with metadata besides: %v", err)
	}
}

func TestFindFollowsNoRedirect(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer srv.Close()
	_, err := discovery.Find(t.Context(), wire.Client{}, srv.URL, true)
	host := strings.TrimPrefix(other.URL, "http://")
	if !errors.Is(err, discovery.ErrNotFound) || !strings.Contains(err.Error(), host) || asked {
		t.Errorf("err = %v, other host asked: %v", err, asked)
	}
}

func TestFindIsBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 300<<10) + `"}`))
	}))
	defer srv.Close()
	if _, err := discovery.Find(t.Context(), wire.Client{}, srv.URL, true); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("err = %v, want ErrTooLong", err)
	}
}

// TestEndpointsAreChecked: what a server says of itself goes through the same
// gate as what a person writes.
func TestEndpointsAreChecked(t *testing.T) {
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "revocation_endpoint", "device_authorization_endpoint", "userinfo_endpoint", "jwks_uri"} {
		for _, bad := range []string{"http://as.test/x", "https://a:b@as.test/x", "https://as.test/x#f", "javascript:x", "file:///x"} {
			m := good("https://as.test")
			m[name] = bad
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			meta, err := discovery.Read(b, "https://as.test")
			if err != nil {
				t.Fatal(err)
			}
			_, err = meta.Provider("acme", "Acme", "me", false)
			if fe, ok := errors.AsType[*provider.FieldError](err); !ok || fe.Field != "oauth."+name {
				t.Errorf("%s %s: %v", name, bad, err)
			}
		}
	}
}

func FuzzDiscovery(f *testing.F) {
	const issuer = "https://as.test/tenant"
	add := func(change map[string]any) {
		m := good(issuer)
		maps.Copy(m, change)
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(nil)
	add(map[string]any{"issuer": "https://evil.test"})
	add(map[string]any{"token_endpoint": "http://127.0.0.1/"})
	add(map[string]any{"authorization_endpoint": "https://as.test/?state=1&x"})
	add(map[string]any{"scopes_supported": nil, "jwks_uri": nil})
	f.Add([]byte(`{"issuer":"https://as.test/tenant","ISSUER":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := discovery.Read(b, issuer)
		if err != nil {
			return
		}
		p, err := m.Provider("acme", "Acme", "me", false)
		if err != nil {
			return
		}
		o := p.OAuth
		if o.Issuer != issuer {
			t.Fatalf("accepted the issuer %q", o.Issuer)
		}
		for _, e := range []string{o.AuthorizationEndpoint, o.TokenEndpoint, o.RevocationEndpoint, o.DeviceAuthorizationEndpoint, o.UserinfoEndpoint, o.JWKSURI} {
			u, err := url.Parse(e)
			if e != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "") {
				t.Fatalf("accepted the endpoint %q", e)
			}
		}
		if o.AuthorizationEndpoint+o.DeviceAuthorizationEndpoint == "" || o.TokenEndpoint == "" {
			t.Fatal("accepted without an endpoint")
		}
	})
}
