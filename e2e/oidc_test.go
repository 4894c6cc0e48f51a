//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAProviderThatDescribesItself is added by its issuer alone, in each of the
// ways that a client can prove itself, and then signs in, renews and signs out.
// Its ID tokens are signed, and verified: the entry has jwks_uri.
func TestAProviderThatDescribesItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var client struct{ Secret, Key string }
	r.srv.control(http.MethodGet, "client", &client)
	for auth, proof := range map[string]string{
		"none": "", "client_secret_basic": client.Secret, "client_secret_post": client.Secret, "private_key_jwt": client.Key,
	} {
		id, name := strings.ReplaceAll(auth, "_", "-"), auth
		if auth == "none" {
			name = "rig"
		}
		r.must("providers", "add", "--issuer", r.srv.issuer, "--client-id", name, "--id", id, "--client-auth", auth,
			"--redirect-path", "/cb", "--allow-http-loopback")
		file := r.root + "/providers/" + id + ".json"
		r.checkEntry(file)

		var args []string
		if proof != "" {
			secret := filepath.Join(r.dir, "secret")
			r.write(secret, proof+"\n")
			args = []string{"--client-secret-file", secret}
		}
		profile := r.loginAt(id, "alice", come, args...)
		if want := id + ":alice@example.org"; profile != want {
			t.Errorf("%s: profile %s, want %s", auth, profile, want)
		}
		if proof != "" {
			if err := os.Remove(filepath.Join(r.dir, "secret")); err != nil {
				t.Fatal(err)
			}
		}
		first := r.must("token", profile).stdout
		r.must("refresh", profile)
		if second := r.must("token", profile).stdout; second == first {
			t.Errorf("%s: the token was not renewed", auth)
		}
		if auth == "private_key_jwt" { // which is in the keychain by now
			r.loginAt(id, "alice", come)
		}
		r.must("logout", profile)
		refreshes := r.srv.ledger().Refreshes
		if last := refreshes[len(refreshes)-1]; last.Error != "" {
			t.Errorf("%s: the server refused: %s", auth, last.Error)
		}
		text, err := os.ReadFile(file)
		if err != nil || proof != "" && strings.Contains(string(text), strings.Split(proof, "\n")[0]) {
			t.Errorf("%s: the file holds the secret, or %v", auth, err)
		}
	}
}

// come is a browser that comes back to keytray.
func come(redirect string, _ io.Writer) {
	if res, err := http.Get(redirect); err == nil {
		res.Body.Close()
	}
}

func (r *rig) fetch(ctx context.Context, url string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// checkEntry checks that a provider file has what a server of OpenID Connect
// says.
func (r *rig) checkEntry(file string) {
	r.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	var entry struct {
		OAuth struct {
			Issuer, JWKSURI, Userinfo string
		}
	}
	text := strings.NewReplacer("jwks_uri", "JWKSURI", "userinfo_endpoint", "Userinfo").Replace(string(b))
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		r.t.Fatal(err)
	}
	if o := entry.OAuth; o.Issuer != r.srv.issuer || o.JWKSURI != r.srv.issuer+"/jwks" || o.Userinfo != r.srv.issuer+"/me" {
		r.t.Errorf("%s says %+v", file, o)
	}
}

// TestAServerWithOtherKeysIsRefused: an ID token that is not signed with the keys
// that the entry names ends the sign-in, and leaves nothing here.
func TestAServerWithOtherKeysIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		keys := r.fetch(req.Context(), r.srv.issuer+"/jwks")
		at := strings.Index(keys, `"n":"`) + 20 // amid the modulus, so that it is another one
		if _, err := io.WriteString(w, keys[:at]+"AAAA"+keys[at+4:]); err != nil {
			t.Error(err)
		}
	}))
	defer other.Close()
	r.must("providers", "add", "--issuer", r.srv.issuer, "--client-id", "rig", "--id", "swapped", "--redirect-path", "/cb", "--allow-http-loopback")
	file := r.root + "/providers/swapped.json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(file, strings.Replace(string(text), r.srv.issuer+"/jwks", other.URL+"/jwks", 1))
	p := r.start(nil, "login", "swapped", "--no-browser")
	var url string
	eventually(t, "the URL of the login", func() bool {
		_, rest, _ := strings.Cut(p.stderr(), r.srv.issuer+"/auth?")
		query, _, done := strings.Cut(rest, "\n")
		url = r.srv.issuer + "/auth?" + strings.TrimSpace(query)
		return done
	})
	come(r.srv.signIn("alice", url), nil)
	if got := p.wait(); got.code != 1 || !strings.Contains(got.stderr, "the ID token is not valid") {
		t.Errorf("exit %d, %s", got.code, got.stderr)
	}
	if got := r.run("token", "swapped"); got.code != 4 || got.took > 20*time.Second {
		t.Errorf("token: exit %d after %v, want 4", got.code, got.took)
	}
}
