//go:build linux

package clients

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shop is a rig among vendors.
type shop struct {
	*rig
	*vendors
	program string // the client
}

func newShop(t *testing.T, program string) *shop {
	t.Helper()
	r := &shop{rig: newRig(t), program: program}
	r.vendors = startVendors(t, r.dir)
	r.env = append(r.env, "SSL_CERT_FILE="+r.ca, "CODEX_CA_CERTIFICATE="+r.ca, "NODE_EXTRA_CA_CERTS="+r.ca)
	if err := os.Mkdir(filepath.Join(r.dir, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tokens := r.refreshTokens() // of a plan that is pasted there are none
		if len(tokens) == 0 {
			return
		}
		if files := r.in(tokens); len(files) > 0 {
			t.Errorf("a refresh token is in clear in %q", files)
		}
	})
	return r
}

// openAI signs in to ChatGPT.
func (r *shop) openAI() {
	r.t.Helper()
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	r.signIn("openai-codex", func(ctx context.Context, url string) error {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := browser.Do(q)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
}

// token is what keytray hands out.
func (r *shop) token(provider string) string {
	r.t.Helper()
	return strings.TrimSpace(r.must(keytray, "token", provider))
}

// export writes a file of that format.
func (r *shop) export(provider, format, file string) {
	r.t.Helper()
	r.must(keytray, "export", provider, "--format", format, "--out", file)
}

// with runs a program with more in its environment.
func (r *shop) with(env []string, program string, args ...string) said {
	r.t.Helper()
	more := *r.rig
	more.env = slices.Concat(r.env, env)
	return more.run("", program, args...)
}

// answered expects an answer.
func (r *shop) answered(got said) {
	r.t.Helper()
	if got.code != 0 || !strings.Contains(got.stdout, vendorSays) {
		r.t.Errorf("exit %d and not the answer of the model:\n%s\n%s", got.code, got.stdout, got.stderr)
	}
}

// asked expects that the models were asked with these secrets only, and that
// nobody but keytray was at the token endpoint, that many times in all.
func (r *shop) asked(suffix string, tokenPosts int, secrets ...string) {
	r.t.Helper()
	got := map[string]bool{}
	for _, q := range r.requests(suffix) {
		if q.Method == http.MethodPost {
			got[q.Secret] = true
		}
	}
	for _, secret := range secrets {
		if !got[secret] {
			r.t.Errorf("no question came with the secret that was handed out (%d bytes)", len(secret))
		}
		delete(got, secret)
	}
	if len(got) > 0 {
		r.t.Errorf("%d other secrets came with questions", len(got))
	}
	posts := r.requests("/oauth/token")
	for _, q := range posts {
		if q.Agent != "keytray" {
			r.t.Errorf("%s was at the token endpoint", q.Agent)
		}
	}
	if len(posts) != tokenPosts {
		r.t.Errorf("%d requests to the token endpoint, want %d", len(posts), tokenPosts)
	}
	if n := len(r.requests("/oauth/revoke")); n > 0 {
		r.t.Errorf("%d requests to revoke something", n)
	}
}

// expired waits until the models no longer take a token.
func (r *shop) expired(token string) {
	r.t.Helper()
	var until time.Time
	r.set(func() { until = r.bearers[token] })
	r.eventually("the end of an access token", func() bool { return time.Now().After(until) })
}
