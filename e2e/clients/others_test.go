//go:build linux

package clients

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// newOther is a shop with a client other than Codex and Claude Code, on the PATH by
// its name.
func newOther(t *testing.T, folder, name string, path ...string) *shop {
	t.Helper()
	if testing.Short() {
		t.Skip("of other clients than Codex and Claude Code are no short tests: they are hundreds of megabytes")
	}
	program := filepath.Join(append([]string{need(t, folder)}, path...)...)
	r := newShop(t, program)
	if err := os.Symlink(program, filepath.Join(r.dir, "bin", name)); err != nil {
		t.Fatal(err)
	}
	return r
}

func newGemini(t *testing.T) *shop {
	t.Helper()
	return newOther(t, "gemini-0.61.0", "gemini", "@google", "gemini-cli", "bundle", "gemini.js")
}

// gemini asks Gemini CLI something, with what keytray lends it. With a model it does
// not ask one which to take.
func (r *shop) gemini() said {
	r.t.Helper()
	return r.run("", keytray, "run", "--", "gemini", "--skip-trust", "-m", "gemini-2.5-flash", "-p", "hi")
}

// TestGeminiByKey lends Gemini CLI an API key.
func TestGeminiByKey(t *testing.T) {
	r := newGemini(t)
	const key = "AIza-of-this-test-only-0123456789abcdefghij"
	r.paste(key, "paste-api-key", "--provider", "google")
	r.answered(r.gemini())
	r.asked(":streamGenerateContent", 0, key)
}

// TestGeminiByToken lends Gemini CLI the access token of a Google account.
func TestGeminiByToken(t *testing.T) {
	r := newGemini(t)
	const token = "ya29.of-this-test-only-0123456789abcdefghij"
	r.paste(token, "paste-token", "--provider", "google")
	r.answered(r.gemini())
	r.asked("/v1internal:streamGenerateContent", 0, token)
}

func newOpencode(t *testing.T) *shop {
	t.Helper()
	arch := "x64"
	if runtime.GOARCH == "arm64" {
		arch = "arm64"
	}
	r := newOther(t, "opencode-1.18.33", "opencode", "opencode-linux-"+arch, "bin", "opencode")
	r.env = append(r.env, "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1")
	return r
}

// anthropicKey is an API key.
const anthropicKey = "sk-ant-api03-of-this-test-only"

// TestOpencodeByKey lends opencode an API key.
func TestOpencodeByKey(t *testing.T) {
	r := newOpencode(t)
	r.paste(anthropicKey, "paste-api-key", "--provider", "anthropic")
	r.answered(r.run("", keytray, "run", "--profile", "anthropic:manual", "--", "opencode", "run", "-m", "anthropic/claude-sonnet-4-5", "hi"))
	r.asked(messages, 0, anthropicKey)
	if left := r.in([]string{anthropicKey}); len(left) > 0 {
		t.Errorf("after keytray run the key is in %q", left)
	}
}

// TestOpencodeByLogin lends it a ChatGPT login, of which it could renew nothing.
func TestOpencodeByLogin(t *testing.T) {
	r := newOpencode(t)
	r.openAI()
	r.answered(r.run("", keytray, "run", "--allow-cross-vendor", "--profile", "openai-codex:alice@example.test", "--", "opencode", "run", "-m", "openai/gpt-5.4", "hi"))
	r.asked(responses, 1, r.token("openai-codex"))
}

func newPi(t *testing.T) *shop {
	t.Helper()
	return newOther(t, "pi-0.73.1", "pi", "@mariozechner", "pi-coding-agent", "dist", "cli.js")
}

// pi asks pi something, with the auth.json that keytray prints.
func (r *shop) pi(model string, helper ...string) said {
	r.t.Helper()
	r.write(filepath.Join(r.home, ".pi", "agent", "auth.json"), r.must(keytray, append([]string{"helper", "pi", "--setup"}, helper...)...))
	return r.run("", filepath.Join(r.dir, "bin", "pi"), "--offline", "--model", model, "-p", "hi")
}

// TestPiByKey has pi run keytray for an API key.
func TestPiByKey(t *testing.T) {
	r := newPi(t)
	r.paste(anthropicKey, "paste-api-key", "--provider", "anthropic")
	r.answered(r.pi("anthropic/claude-sonnet-4-5", "anthropic"))
	r.asked(messages, 0, anthropicKey)
}

// TestPiByLogin has it run keytray for the token of a ChatGPT login.
func TestPiByLogin(t *testing.T) {
	r := newPi(t)
	r.openAI()
	r.answered(r.pi("openai-codex/gpt-5.4", "--allow-cross-vendor", "openai-codex"))
	r.asked(responses, 1, r.token("openai-codex"))
}
