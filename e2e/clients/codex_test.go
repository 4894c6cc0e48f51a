//go:build linux

package clients

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// newCodex is a shop with Codex CLI and a ChatGPT login, made through the browser
// with keytray's own entry of it.
func newCodex(t *testing.T) *shop {
	t.Helper()
	arch, vendor := "x64", "x86_64-unknown-linux-musl"
	if runtime.GOARCH == "arm64" {
		arch, vendor = "arm64", "aarch64-unknown-linux-musl"
	}
	r := newShop(t, filepath.Join(need(t, "codex-0.169.0"), "@openai", "codex-linux-"+arch, "vendor", vendor, "bin", "codex"))
	r.openAI()
	return r
}

// codexHome makes a CODEX_HOME with that config.toml.
func (r *shop) codexHome(name, config string) (home string) {
	home = filepath.Join(r.dir, name)
	r.write(filepath.Join(home, "config.toml"), config)
	return home
}

// exec asks Codex something, in that CODEX_HOME.
func (r *shop) exec(home string, env ...string) said {
	r.t.Helper()
	return r.with(append(env, "CODEX_HOME="+home), r.program, "exec", "--skip-git-repo-check", "-C", filepath.Join(r.dir, "work"), "hi")
}

// responses is where Codex asks.
const responses = "/responses"

// TestCodexByFile hands Codex the file that export writes.
func TestCodexByFile(t *testing.T) {
	r := newCodex(t)
	home := r.codexHome("codex", "")
	r.export("openai-codex", "codex", filepath.Join(home, "auth.json"))
	token := r.token("openai-codex")
	r.answered(r.exec(home))
	if got := r.with([]string{"CODEX_HOME=" + home}, r.program, "login", "status"); got.code != 0 || !strings.Contains(got.stderr, "ChatGPT") {
		t.Errorf("codex login status: exit %d: %s", got.code, got.stderr)
	}
	r.asked(responses, 1, token)
	if got := r.with([]string{"CODEX_HOME=" + home}, r.program, "logout"); got.code != 0 {
		t.Errorf("codex logout: exit %d: %s", got.code, got.stderr)
	}
	r.asked(responses, 1, token) // nothing was revoked
	r.must(keytray, "refresh", "openai-codex")
}

// TestCodexByCommand has Codex run keytray for the token, again after a 401, with
// the configuration that keytray prints.
func TestCodexByCommand(t *testing.T) {
	r := newCodex(t)
	home := r.codexHome("codex", r.must(keytray, "helper", "codex", "openai-codex", "--setup"))
	token := r.token("openai-codex")
	r.set(func() { r.refuse = 1 })
	r.answered(r.exec(home))
	r.asked(responses, 1, token)
}

// TestCodexByKey hands Codex an API key.
func TestCodexByKey(t *testing.T) {
	r := newCodex(t)
	const key = "sk-of-this-test-only-0123456789abcdefghijkl"
	r.know(key)
	if got := r.run(key+"\n", keytray, "models", "auth", "paste-api-key", "--provider", "openai"); got.code != 0 {
		t.Fatalf("paste-api-key: exit %d: %s", got.code, got.stderr)
	}
	home := r.codexHome("codex", "")
	r.answered(r.exec(home, "CODEX_API_KEY="+r.token("openai")))
	r.export("openai", "codex", filepath.Join(home, "auth.json"))
	r.answered(r.exec(home))
	r.asked(responses, 1, key)
}

// shortLife is that of access tokens which are seen to expire. Codex renews what it
// can from five minutes before the end.
const shortLife = 10 * time.Second

// TestCodexAtExpiry has four processes in two homes start when the token that the
// homes were given has expired. Their files are kept current, so it is not theirs.
func TestCodexAtExpiry(t *testing.T) {
	r := newCodex(t)
	r.set(func() { r.lifetime = shortLife })
	r.must(keytray, "refresh", "openai-codex")
	homes := []string{r.codexHome("one", ""), r.codexHome("two", "")}
	for _, home := range homes {
		r.must(keytray, "sync", "add", "--format", "codex", "--out", filepath.Join(home, "auth.json"), "openai-codex")
	}
	first := r.token("openai-codex")
	r.set(func() { r.lifetime = time.Hour })
	r.must(keytray, "refresh", "openai-codex") // as a tray does ahead of time, where there is a network
	r.expired(first)
	second := r.token("openai-codex")
	for _, got := range r.four(homes) {
		r.answered(got)
	}
	r.asked(responses, 3, second)
}

// TestCodexRun lends Codex a token for as long as it runs, which is renewed in the
// middle.
func TestCodexRun(t *testing.T) {
	r := newCodex(t)
	if err := os.Symlink(r.program, filepath.Join(r.dir, "bin", "codex")); err != nil {
		t.Fatal(err)
	}
	first := r.token("openai-codex")
	r.outdate(first, func() {
		r.must(keytray, "refresh", "openai-codex")
		second := r.token("openai-codex")
		r.eventually("a private home with the new token", func() bool { return len(r.in([]string{second})) > 0 })
	})
	r.answered(r.run("", keytray, "run", "--", "codex", "exec", "--skip-git-repo-check", "-C", filepath.Join(r.dir, "work"), "hi"))
	second := r.token("openai-codex")
	r.asked(responses, 2, first, second)
	if left := r.in([]string{first, second}); len(left) > 0 {
		t.Errorf("after keytray run an access token is in %q", left)
	}
	if sessions, _ := filepath.Glob(filepath.Join(r.home, ".codex", "sessions", "*")); len(sessions) == 0 {
		t.Error("what Codex wrote of the session is not in its own home")
	}

	// Codex noted where the session is, and finds it there from its own home (ADR 14).
	r.must(keytray, "export", "openai-codex", "--format", "codex", "--out", filepath.Join(r.home, ".codex", "auth.json"))
	r.answered(r.run("", filepath.Join(r.dir, "bin", "codex"), "exec", "resume", "--last", "--skip-git-repo-check", "again"))
}

// TestCodexCopies shows what the others prevent: with copies of one login in two
// homes, as a person makes them, it ends at the first expiry, for all at the second.
func TestCodexCopies(t *testing.T) {
	r := newCodex(t)
	login := &grant{}
	var tokens map[string]any
	var access string
	r.set(func() {
		r.lifetime = shortLife
		tokens = r.issue(login)
	})
	auth, err := json.Marshal(map[string]any{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil, "last_refresh": time.Now().UTC().Format(time.RFC3339),
		"tokens": map[string]any{"id_token": tokens["id_token"], "access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"], "account_id": "acct-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	homes := []string{r.codexHome("one", ""), r.codexHome("two", "")}
	for _, home := range homes {
		r.write(filepath.Join(home, "auth.json"), string(auth))
	}
	for i, least := range []int{1, len(homes) * 2} {
		r.set(func() { access = login.access })
		r.expired(access)
		lost := 0
		for _, got := range r.four(homes) {
			if got.code == 1 && strings.Contains(got.stderr, "Please log out and sign in again") {
				lost++
			}
		}
		if lost < least {
			t.Errorf("at expiry %d Codex was logged out in %d of 4 processes, want %d: this server, or this Codex, is too kind to prove anything", i+1, lost, least)
		}
		t.Logf("copies of a login, at expiry %d: %d of 4 processes say that a person has to sign in", i+1, lost)
	}
	sent := map[int]int{}
	for _, q := range r.requests("/oauth/token") {
		if q.Agent != "keytray" {
			sent[q.Status]++
		}
	}
	t.Logf("Codex sent %d refresh tokens that were good, and %d that were not", sent[http.StatusOK], sent[http.StatusUnauthorized])
	for _, home := range homes { // they hold what is looked for at the end
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	}
}

// four starts four in turn in the homes, at once.
func (r *shop) four(homes []string) []said {
	r.t.Helper()
	all := make([]said, 4)
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() { all[i] = r.exec(homes[i%len(homes)]) })
	}
	wait.Wait()
	return all
}

// TestCodexSync has a token die while Codex uses it: the sink renews, which writes
// the file, and Codex reads it again.
func TestCodexSync(t *testing.T) {
	r := newCodex(t)
	home := r.codexHome("codex", "")
	file := filepath.Join(home, "auth.json")
	r.must(keytray, "sync", "add", "--format", "codex", "--out", file, "openai-codex")
	first := r.token("openai-codex")
	r.outdate(first, func() { r.must(keytray, "refresh", "openai-codex") })
	r.answered(r.exec(home))
	second := r.token("openai-codex")
	if second == first {
		t.Fatal("nothing was renewed")
	}
	r.asked(responses, 2, first, second)
	r.must(keytray, "sync", "remove", file)
	if left := r.in([]string{first, second}); len(left) > 0 {
		t.Errorf("after sync remove an access token is in %q", left)
	}
}
