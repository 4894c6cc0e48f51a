//go:build linux

package e2e

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// buildServers makes the servers in Go, once, and where it cannot says why.
var buildServers = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "servers")
	out, err := exec.Command("go", "build", "-C", "servers", "-trimpath", "-o", path, ".").CombinedOutput()
	return string(out), err
})

// rigAt is a rig with a server of that kind.
func rigAt(t *testing.T, k kind) *rig {
	t.Helper()
	if k.name == oidcProvider.name {
		return newRig(t)
	}
	need(t, "dbus-daemon", "gnome-keyring-daemon")
	if out, err := buildServers(); err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("building the servers: %v\n%s", err, out)
	} else if err != nil {
		t.Skipf("missing: the modules of e2e/servers: %v\n%s", err, out)
	}
	return newRigAt(t, serve(t, k, exec.Command(filepath.Join(filepath.Dir(binary), "servers"), k.name)))
}

// TestIndependentServers: three servers that others wrote, each with its own idea
// of what a second use of a refresh token means.
func TestIndependentServers(t *testing.T) {
	for _, k := range []kind{oidcProvider, zitadel, fosite} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := rigAt(t, k)
			if k.name != oidcProvider.name { // which TestAProviderThatDescribesItself has
				if err := os.Remove(filepath.Join(r.root, "providers/rig.json")); err != nil {
					t.Fatal(err)
				}
				r.must("providers", "add", "--issuer", r.srv.issuer, "--client-id", "rig", "--id", "rig", "--redirect-path", "/cb", "--allow-http-loopback")
			}
			who := cmp.Or(k.person, "alice")
			id := r.login(who)
			first := r.token()
			r.accepts(first, true)
			if l := r.srv.ledger(); l.Exchanges != 1 || len(l.Verifiers) != 1 || len(l.Verifiers[0]) < 43 {
				t.Errorf("the login made %d exchanges with %d verifiers", l.Exchanges, len(l.Verifiers))
			}

			r.must("refresh", id)
			second := r.token()
			if second == first {
				t.Error("the renewed token is the old one")
			}
			r.accepts(second, true)
			r.checkRotation(r.srv.ledger(), 1)

			r.reuse(id)
			r.must("logout", "--local", r.login(who))

			if k.device != "" { // zitadel's example forgets whose such a login is, so that it cannot be renewed
				got := r.loginByCode(who, "--device")
				if got.code != 0 {
					t.Fatalf("signing in with a code: exit %d\n%s", got.code, got.stderr)
				}
				r.accepts(r.token(), true)
				r.must("logout", "--local", strings.TrimSpace(got.stdout))
			}

			id = r.login(who)
			last, access := r.newestRefresh(), r.token()
			if got := r.must("logout", id); !strings.Contains(got.stderr, "has ended the login too") {
				t.Errorf("logout says %q, want that the server was told", got.stderr)
			}
			if status, code := r.spend(last); status != http.StatusBadRequest || code != "invalid_grant" {
				t.Errorf("the refresh token after the logout: %d %s, want it dead", status, code)
			}
			r.accepts(access, false)
			if l := r.srv.ledger(); k.name != oidcProvider.name && !slices.Contains(l.Revocations, last) {
				t.Error("the refresh token was not what was revoked")
			}
		})
	}
}

// reuse has a thief send the refresh token that was spent. A strict server ends
// the login, of which keytray then tells; another one only refuses the thief.
func (r *rig) reuse(id string) {
	r.t.Helper()
	l := r.srv.ledger()
	if status, code := r.spend(l.Refreshes[0].Sent); status != http.StatusBadRequest || code != "invalid_grant" {
		r.t.Errorf("the spent token: %d %s, want invalid_grant", status, code)
	}
	got, want := r.run("refresh", id), 0
	if r.srv.strict {
		want = 4
	}
	if got.code != want {
		r.t.Errorf("a renewal after the reuse: exit %d, want %d\n%s", got.code, want, got.stderr)
	}
	if again := r.run("token", id); r.srv.strict && again.code != 4 && again.stdout == "" {
		r.t.Errorf("and again: exit %d\n%s", again.code, again.stderr)
	}
	if n := len(r.srv.ledger().Refreshes); n != 3 {
		r.t.Errorf("the server saw %d renewals, want ours, the thief's, and ours", n)
	}
}

// spend sends a refresh token as anybody could.
func (r *rig) spend(refresh string) (status int, code string) {
	r.t.Helper()
	res, err := http.PostForm(r.srv.issuer+r.srv.kind.token, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"rig"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Error string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, answer.Error
}

// accepts checks what the server says of an access token.
func (r *rig) accepts(access string, want bool) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.srv.issuer+r.srv.info, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	if got := res.StatusCode == http.StatusOK; got != want {
		r.t.Errorf("the server answers %s to an access token, want accepted: %v", res.Status, want)
	}
}

func (r *rig) newestRefresh() string {
	l := r.srv.ledger()
	return l.Refresh[len(l.Refresh)-1]
}

// TestContendedRefresh: ory/fosite tells one of two who come at once to come
// again, as an invalid_request, and has spent nothing.
func TestContendedRefresh(t *testing.T) {
	t.Parallel()
	r := rigAt(t, fosite)
	id := r.login("alice")
	r.srv.control(http.MethodPost, "contend?count=1", nil)
	r.must("refresh", id)
	l := r.srv.ledger()
	if n := len(l.Refreshes); n != 2 {
		t.Fatalf("the server saw %d renewals, want 2", n)
	}
	lost, won := l.Refreshes[0], l.Refreshes[1]
	if lost.Error != "invalid_request" || won.Error != "" || won.Sent != lost.Sent {
		t.Errorf("the server saw %q and then %q, want invalid_request and a success with the same token", lost.Error, won.Error)
	}
	if won.At-lost.At < 2000 {
		t.Errorf("it was tried again after %d ms, want 2 s", won.At-lost.At)
	}
	r.accepts(r.token(), true)
}
