//go:build linux

package e2e

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// login signs in as that person without a browser: keytray prints the URL, the
// person's HTTP client goes through the pages, and the redirect comes back to
// the loopback listener. It returns the profile's id.
func (r *rig) login(person string) string {
	r.t.Helper()
	return r.loginBy(person, func(redirect string, _ io.Writer) {
		res, err := http.Get(redirect)
		if err != nil {
			r.t.Fatal("coming back to keytray failed") // the error has the code in it
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			r.t.Errorf("keytray's page: %s", res.Status)
		}
	})
}

// loginByPaste is login where the person pastes the redirect URL, as on a
// machine whose browser is elsewhere.
func (r *rig) loginByPaste(person string, args ...string) string {
	r.t.Helper()
	return r.loginBy(person, func(redirect string, stdin io.Writer) {
		if _, err := io.WriteString(stdin, redirect+"\n"); err != nil {
			r.t.Fatal(err)
		}
	}, args...)
}

func (r *rig) loginBy(person string, finish func(redirect string, stdin io.Writer), args ...string) string {
	r.t.Helper()
	return r.loginAt("rig", person, finish, args...)
}

// loginAt is loginBy at another provider of the same server.
func (r *rig) loginAt(provider, person string, finish func(redirect string, stdin io.Writer), args ...string) string {
	r.t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	p := r.start(in, append([]string{"login", provider, "--no-browser"}, args...)...)
	in.Close()
	authorize := regexp.MustCompile(regexp.QuoteMeta(r.srv.issuer+r.srv.auth) + `\?\S+`)
	var url string
	eventually(r.t, "the URL of the login", func() bool {
		url = authorize.FindString(p.stderr())
		return url != ""
	})
	finish(r.srv.signIn(person, url), out)
	got := p.wait()
	if got.code != 0 {
		r.t.Fatalf("keytray login: exit %d, want 0\n%s", got.code, got.stderr)
	}
	return strings.TrimSpace(got.stdout)
}

// profile is an entry of auth-profiles.json, as far as others read it, and the
// generation that Keytray has beside it.
type profile struct {
	Type, Provider, Email, AccountID string
	Expires                          int64 // Unix milliseconds
	Keytray                          struct{ Generation uint64 }
}

// profiles reads an agent's auth-profiles.json.
func (r *rig) profiles(agent string) map[string]profile {
	r.t.Helper()
	b, err := os.ReadFile(r.mirror(agent))
	if err != nil {
		r.t.Fatal(err)
	}
	var m struct{ Profiles map[string]profile }
	if err := json.Unmarshal(b, &m); err != nil {
		r.t.Fatal(err)
	}
	return m.Profiles
}

// TestLoginThroughTheBrowser is the main story: keytray opens the desktop's
// browser, a person signs in there, the token comes out of the keychain,
// expires, is refreshed and logged out; and no secret is anywhere else.
func TestLoginThroughTheBrowser(t *testing.T) {
	r := newRig(t)
	r.installBrowser("alice")
	r.srv.life(3 * time.Second)
	stop := watch(r.seen)
	began := time.Now()
	got := r.must("login", "rig")
	id := strings.TrimSpace(got.stdout)
	t.Logf("signed in through Chromium in %v", got.took.Round(time.Millisecond))

	page := r.browsed()
	if page.Start != r.srv.issuer+"/auth" || len(page.Steps) != 2 {
		t.Errorf("the browser began at %s and went through %q; want the login and consent pages of the server", page.Start, page.Steps)
	}
	for _, want := range []string{"code_challenge", "code_challenge_method", "state"} {
		if !slices.Contains(page.Asked, want) {
			t.Errorf("the authorization request has no %s", want)
		}
	}
	if len(page.Console) > 0 {
		t.Errorf("our page made the browser complain: %q", page.Console)
	}
	if slices.Contains(page.Query, "code") {
		t.Errorf("the code is still in the address bar: %q", page.Query)
	}
	if !strings.Contains(strings.ToLower(page.Title+page.Text), "signed in") {
		t.Errorf("our page says %q, %q; want it to say signed in", page.Title, page.Text)
	}

	r.checkMirror(id, "alice", began, 3*time.Second)
	r.checkModes()

	first := r.token()
	before := len(r.srv.ledger().Refreshes)
	pass(t, time.Until(time.UnixMilli(r.profiles("")[id].Expires))+200*time.Millisecond)
	r.srv.life(time.Hour)
	second := r.token()
	if first == second {
		t.Error("an expired token was handed out again")
	}
	if third := r.token(); third != second {
		t.Error("a token with an hour to live was not handed out as it is")
	}
	r.checkMirror(id, "alice", time.Now(), time.Hour)
	l := r.srv.ledger()
	r.checkRotation(l, before+1)
	if l.Exchanges != 1 {
		t.Errorf("the server exchanged %d codes, want 1", l.Exchanges)
	}

	for _, format := range []string{"env", "json"} {
		if out := r.must("export", "--format", format).stdout; !strings.Contains(out, second) {
			t.Errorf("export --format %s does not contain the access token", format)
		}
	}
	if out := r.must("status").stdout; !strings.Contains(out, id) || !strings.Contains(out, "alice@example.org") {
		t.Errorf("status does not show the login:\n%s", out)
	}
	for range 10 { // under load the watch looks less often than a process lives
		r.token()
	}
	stop()
	for _, want := range []string{"keytray\x00login\x00rig", "keytray\x00token\x00rig", "drive.mjs", "chromium\x00", "KEYTRAY_STATE_DIR=" + r.root} {
		if !r.saw(want) {
			t.Errorf("the watch of processes has not seen %q, so it proves little", want)
		}
	}
	r.noSecretsAnywhere()

	r.must("logout", id)
	if got := r.run("token", "rig"); got.code != 4 || got.stdout != "" {
		t.Errorf("token after logout: exit %d with %d bytes on stdout, want 4 and none\n%s", got.code, len(got.stdout), got.stderr)
	}
	if _, ok := r.profiles("")[id]; ok {
		t.Error("the profile is in the mirror after logout")
	}
}

// checkMirror compares what the mirror says of a login with what the server
// knows of it.
func (r *rig) checkMirror(id, person string, issued time.Time, life time.Duration) {
	r.t.Helper()
	p, ok := r.profiles("")[id]
	if !ok {
		r.t.Fatalf("no profile %q in the mirror, only %q", id, sorted(r.profiles("")))
	}
	if p.Provider != "rig" || p.Email != person+"@example.org" || p.AccountID != person {
		r.t.Errorf("the mirror says provider %q, e-mail %q, account %q; want rig, %s@example.org, %s", p.Provider, p.Email, p.AccountID, person, person)
	}
	expires := time.UnixMilli(p.Expires)
	if d := expires.Sub(issued.Add(life)).Abs(); d > 20*time.Second {
		r.t.Errorf("the mirror says that the token expires at %v; want about %v", expires, issued.Add(life))
	}
}

// checkModes: nobody else can read what keytray has written.
func (r *rig) checkModes() {
	r.t.Helper()
	for _, root := range []string{filepath.Join(r.root, "agents"), r.place()} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			if d.IsDir() {
				want = 0o700
			}
			if got := info.Mode().Perm(); got != want {
				r.t.Errorf("%s has mode %v, want %v", path, got, want)
			}
			return nil
		})
		if err != nil {
			r.t.Error(err)
		}
	}
}

// checkRotation: that many refreshes, each with the token that the one before
// had issued, none refused, and no token sent a second time.
func (r *rig) checkRotation(l ledger, refreshes int) {
	r.t.Helper()
	if len(l.Refreshes) != refreshes {
		r.t.Errorf("the server saw %d refreshes, want %d", len(l.Refreshes), refreshes)
	}
	spent := map[string]bool{}
	for i, got := range l.Refreshes {
		if got.Error != "" {
			r.t.Errorf("refresh %d was refused: %s", i+1, got.Error)
		}
		if spent[got.Sent] {
			r.t.Errorf("refresh %d sent a refresh token that had been spent", i+1)
		}
		if got.Error == "" && got.Issued == got.Sent {
			r.t.Errorf("refresh %d did not rotate", i+1)
		}
		spent[got.Sent] = true
	}
}

// TestLoginByPaste: a machine whose browser is elsewhere. Login and renewal are
// run under strace: what was written to a file and deleted again counts too.
func TestLoginByPaste(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.life(2 * time.Second)
	var id string
	login := r.traced(func() { id = r.loginByPaste("alice", "--profile-id", "rig:paste") })
	if id != "rig:paste" {
		t.Errorf("login printed %q, want the profile id that was asked for", id)
	}
	pass(t, 2200*time.Millisecond)
	var got result
	renewal := r.traced(func() { got = r.run("token", "rig:paste") })
	l := r.srv.ledger()
	if want := l.Access[len(l.Access)-1] + "\n"; got.code != 0 || got.stdout != want {
		t.Fatalf("token under strace: exit %d, the server's newest token: %v\n%s", got.code, got.stdout == want, got.stderr)
	}
	r.checkRotation(l, 1)
	c := l.secrets()
	for _, f := range append(c.inTrace(login), c.inTrace(renewal)...) {
		t.Error(f)
	}
	if !strings.Contains(login, "auth-profiles.json") || !strings.Contains(renewal, ".journal") {
		t.Error("the traces show no mirror or no journal: they would not show a leak either")
	}
}
