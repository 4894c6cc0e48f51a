package keeper

import (
	"errors"
	"strings"
	"testing"

	"github.com/keytray/keytray/provider"
)

// TestCheckPasted compares with OpenClaw's words, which scripts may know.
func TestCheckPasted(t *testing.T) {
	t.Parallel()
	anthropic, _ := provider.Builtin().Find("anthropic")
	openai, _ := provider.Builtin().Find("openai")
	token := "sk-ant-oat01-" + strings.Repeat("aB3-_", 14) // 83 bytes
	for _, c := range []struct {
		name    string
		kind    Pasted
		p       provider.Provider
		pasted  string
		good    string
		days    int
		problem string
	}{
		{"setup-token", SetupToken, anthropic, token, token, 365, ""},
		{"wrapped by a terminal", SetupToken, anthropic, " \t" + token[:40] + "\r\n  " + token[40:] + "\n", token, 365, ""},
		{"bracketed paste", SetupToken, anthropic, "\x1b[200~" + token + "\x1b[201~", token, 365, ""},
		{"quoted, with invisible characters", SetupToken, anthropic, "“\ufeff" + token + "\u200b\u2028”", token, 365, ""},
		{"just long enough", SetupToken, anthropic, token[:80], token[:80], 365, ""},
		{"too short", SetupToken, anthropic, token[:79], "", 0, "Token looks too short; paste the full setup-token"},
		{"nothing", SetupToken, anthropic, "", "", 0, "Required"},
		{"only spaces", APIKey, openai, " \u00a0\n\t\x00", "", 0, "Required"},
		{"an API key for a setup-token", SetupToken, anthropic, "sk-ant-api03-" + token, "", 0, "Expected token starting with sk-ant-oat01-"},
		{"a setup-token for an API key", APIKey, anthropic, token, "", 0, "This is a setup-token, not an API key"},
		{"a setup-token for a token", BearerToken, anthropic, token, token, 365, ""},
		{"half a setup-token for a token", BearerToken, anthropic, token[:20], "", 0, "Token looks too short; paste the full setup-token"},
		{"any token", BearerToken, anthropic, "gateway-1", "gateway-1", 0, ""},
		{"any key of a service in no catalog", APIKey, provider.Provider{}, "k1", "k1", 0, ""},
		{"too short a key", APIKey, provider.Provider{APIKey: &provider.Static{Prefix: "k", MinLength: 3}}, "k1", "", 0, "Token looks too short; paste all of it"},
		{"letters of no token", APIKey, openai, "sk-ключ", "", 0, "There are characters in it that no token has"},
		{"a book", APIKey, openai, strings.Repeat("x", maxPasted+1), "", 0, "Too long for a token or a key"},
	} {
		good, days, err := checkPasted(c.pasted, c.kind, c.p)
		problem := ""
		if e, ok := errors.AsType[*PasteError](err); ok {
			problem = e.Problem
		}
		if good != c.good || days != c.days || problem != c.problem {
			t.Errorf("%s: %q, %d days, %q; want %q, %d, %q", c.name, good, days, problem, c.good, c.days, c.problem)
		}
	}
	_, _, err := checkPasted("", SetupToken, anthropic)
	if e, ok := errors.AsType[*PasteError](err); !ok || e.Hint != "run `claude setup-token` and paste what it prints" {
		t.Errorf("%+v has another hint", e)
	}
}

// FuzzCheckPasted: what is taken can be sent in a header and is taken again as it
// is; what is not is not quoted.
func FuzzCheckPasted(f *testing.F) {
	for _, s := range []string{"", "sk-ant-oat01-x", "sk-ant-oat01-" + strings.Repeat("a", 70), "\x1b[200~sk-\r\n1\x1b[201~", "“key”", "\xff\xfe", "a b", "''", "\"'x'\"", "\u202ek", "\x1b[20\x1b[200~0~k"} {
		f.Add(s, 0)
		f.Add(s, 2)
	}
	anthropic, _ := provider.Builtin().Find("anthropic")
	kinds := []Pasted{SetupToken, BearerToken, APIKey}
	f.Fuzz(func(t *testing.T, pasted string, n int) {
		kind := kinds[uint(n)%3]
		good, days, err := checkPasted(pasted, kind, anthropic)
		if (err == nil) == (good == "") {
			t.Fatalf("%q, %v for %q", good, err, pasted)
		}
		if e, ok := errors.AsType[*PasteError](err); err != nil && (!ok || len(pasted) > 60 && strings.Contains(e.Problem+e.Hint, pasted)) {
			t.Errorf("%v for %q", err, pasted)
		}
		if err != nil {
			return
		}
		if len(good) > maxPasted || strings.ContainsFunc(good, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q was taken from %q", good, pasted)
		}
		if kind == SetupToken && (len(good) < 80 || !strings.HasPrefix(good, "sk-ant-oat01-") || days != 365) {
			t.Errorf("%q is no setup-token of %d days", good, days)
		}
		if again, _, err := checkPasted(good, kind, anthropic); err != nil || again != good {
			t.Errorf("%q becomes %q, %v", good, again, err)
		}
	})
}
