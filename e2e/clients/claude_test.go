//go:build linux

package clients

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// messages is where Claude Code asks.
const messages = "/v1/messages"

// newClaude is a shop with Claude Code.
func newClaude(t *testing.T) *shop {
	t.Helper()
	arch := "x64"
	if runtime.GOARCH == "arm64" {
		arch = "arm64"
	}
	r := newShop(t, filepath.Join(need(t, "claude-2.1.330"), "@anthropic-ai", "claude-code-linux-"+arch, "claude"))
	r.env = append(r.env, "DISABLE_AUTOUPDATER=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1")
	return r
}

// setupToken is a token as claude setup-token makes them.
func setupToken(n int) string {
	return "sk-ant-oat01-" + strconv.Itoa(n) + strings.Repeat("x", 90)
}

// paste hands a secret to keytray, which the models take from now on.
func (r *shop) paste(secret string, how ...string) {
	r.t.Helper()
	r.know(secret)
	if got := r.run(secret+"\n", keytray, append([]string{"models", "auth"}, how...)...); got.code != 0 {
		r.t.Fatalf("%s: exit %d: %s", how[0], got.code, got.stderr)
	}
}

// claudeConfig makes a CLAUDE_CONFIG_DIR with those settings.
func (r *shop) claudeConfig(settings string) (dir string) {
	dir = filepath.Join(r.dir, "claude")
	r.write(filepath.Join(dir, "settings.json"), settings)
	return dir
}

// TestClaudeByHelper has Claude Code run keytray for the key, again after a 401, with
// the settings that keytray prints.
func TestClaudeByHelper(t *testing.T) {
	r := newClaude(t)
	const first, second = "sk-ant-api03-first-of-this-test-only", "sk-ant-api03-second-of-this-test-only"
	r.paste(first, "paste-api-key", "--provider", "anthropic")
	dir := r.claudeConfig(r.must(keytray, "helper", "claude", "anthropic", "--setup"))
	ask := func() { r.answered(r.with([]string{"CLAUDE_CONFIG_DIR=" + dir}, r.program, "-p", "hi")) }
	ask()
	r.asked(messages, 0, first)
	r.outdate(first, func() { r.paste(second, "paste-api-key", "--provider", "anthropic") })
	ask()
	r.asked(messages, 0, first, second)
}

// TestClaudeByVariable hands Claude Code the token of a plan.
func TestClaudeByVariable(t *testing.T) {
	r := newClaude(t)
	r.paste(setupToken(1), "setup-token")
	dir := r.claudeConfig("{}")
	r.answered(r.with([]string{"CLAUDE_CONFIG_DIR=" + dir, "CLAUDE_CODE_OAUTH_TOKEN=" + r.token("anthropic")}, r.program, "-p", "hi"))
	r.asked(messages, 0, setupToken(1))
}

// TestClaudeRun hands it over on a pipe, which no other process can read.
func TestClaudeRun(t *testing.T) {
	r := newClaude(t)
	if err := os.Symlink(r.program, filepath.Join(r.dir, "bin", "claude")); err != nil {
		t.Fatal(err)
	}
	r.paste(setupToken(1), "setup-token")
	dir := r.claudeConfig("{}")
	r.answered(r.with([]string{"CLAUDE_CONFIG_DIR=" + dir}, keytray, "run", "--", "claude", "-p", "hi"))
	r.asked(messages, 0, setupToken(1))
	if left := r.in([]string{setupToken(1)}); len(left) > 0 {
		t.Errorf("after keytray run the token is in %q", left)
	}
}

// TestClaudeByFile has a token replaced while Claude Code uses it: its file is
// written, and read again after a 401.
func TestClaudeByFile(t *testing.T) {
	r := newClaude(t)
	r.paste(setupToken(1), "setup-token")
	dir := r.claudeConfig("{}")
	r.must(keytray, "sync", "add", "--format", "claude", "--out", filepath.Join(dir, ".credentials.json"), "anthropic")
	r.outdate(setupToken(1), func() { r.paste(setupToken(2), "setup-token") })
	r.answered(r.with([]string{"CLAUDE_CONFIG_DIR=" + dir}, r.program, "-p", "hi"))
	r.asked(messages, 0, setupToken(1), setupToken(2))
}
