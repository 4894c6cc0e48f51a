package export_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

var update = flag.Bool("update", false, "write the golden files anew")

// logins are one of each kind, with the characters that a token may have. Their
// tokens are nobody's.
func logins() map[string]export.Item {
	catalog := provider.Builtin()
	anthropic, _ := catalog.Find("anthropic")
	openai, _ := catalog.Find("openai")
	github := provider.Provider{ID: "github-copilot", Name: "Copilot", Vendor: "github", Token: &provider.Static{}}
	google := provider.Provider{ID: "google", Name: "Google", Vendor: "google", OAuth: &provider.OAuth{}}
	codex, _ := catalog.Find("openai-codex")
	at := time.Date(2026, 11, 23, 4, 5, 6, 7000, time.FixedZone("", 3600))
	return map[string]export.Item{
		"odd": {
			Profile: "acme:alice@example.org", Provider: provider.Provider{ID: "acme-2"}, Kind: export.OAuth,
			Access: secret.New("a'b<$(id)>\"\\c "), Issued: at.Add(-time.Hour), Expires: at,
		},
		"chatgpt": {
			Profile: "openai-codex:alice@example.org", Provider: codex, Kind: export.OAuth,
			Account: "acct-1", Email: "alice@example.org", Plan: "plus",
			Access: secret.New(jwt), Issued: at.Add(-time.Hour), Expires: at,
		},
		"personal": {Profile: "openai-codex:manual", Provider: codex, Kind: export.Token, Access: secret.New("at-1"), Issued: at},
		"claude": {
			Profile: "anthropic:alice", Provider: anthropic, Kind: export.OAuth, Plan: "max",
			Access: secret.New("sk-ant-oat01-a"), Issued: at.Add(-time.Hour), Expires: at,
		},
		"setup":      {Profile: "anthropic:default", Provider: anthropic, Kind: export.Token, Access: secret.New("sk-ant-oat01-s"), Issued: at, Expires: at.AddDate(1, 0, 0)},
		"bearer":     {Profile: "anthropic:manual", Provider: anthropic, Kind: export.Token, Access: secret.New("gateway"), Issued: at},
		"copilot":    {Profile: "github-copilot:manual", Provider: github, Kind: export.Token, Access: secret.New("gho_1"), Issued: at},
		"google":     {Profile: "google:alice", Provider: google, Kind: export.OAuth, Access: secret.New("ya29.a"), Issued: at, Expires: at},
		"command":    {Profile: "acme:manual", Provider: provider.Provider{ID: "acme"}, Kind: export.APIKey, Access: secret.New("!id"), Issued: at},
		"variable":   {Profile: "acme:manual", Provider: provider.Provider{ID: "acme"}, Kind: export.APIKey, Access: secret.New("HOME"), Issued: at},
		"claude-key": {Profile: "anthropic:manual", Provider: anthropic, Kind: export.APIKey, Access: secret.New("sk-ant-api03-1"), Issued: at},
		"key":        {Profile: "openai:manual", Provider: openai, Kind: export.APIKey, Access: secret.New("sk-1"), Issued: at},
	}
}

// jwt is {"alg":"none"}.{"sub":"a"} without a signature.
const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."

// written is what a format makes of a login, an error included.
func written(s export.Spec, it export.Item) string {
	var b strings.Builder
	if err := s.Write(&b, it); err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}

func TestFormatsAreAsRecorded(t *testing.T) {
	for _, s := range export.Formats() {
		t.Run(s.Name, func(t *testing.T) {
			var got strings.Builder
			all := logins()
			for _, name := range slices.Sorted(maps.Keys(all)) {
				fmt.Fprintf(&got, "-- %s --\n%s", name, written(s, all[name]))
			}
			golden := filepath.Join("testdata", s.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; go test ./export -update writes it", err)
			}
			if got.String() != string(want) {
				t.Errorf("%s:\n%swant:\n%s", s.Name, got.String(), want)
			}
		})
	}
}

// The table of docs/clients.md has a row for each format, and for no other.
func TestFormatsAreDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## What they take\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for line := range strings.Lines(section) {
		if row, ok := strings.CutPrefix(line, "| `"); ok {
			names, _, _ := strings.Cut(row, "` |")
			got = append(got, strings.Split(names, "`, `")...)
		}
	}
	var want []string
	for _, s := range export.Formats() {
		want = append(want, s.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("docs/clients.md has %q, want %q", got, want)
	}
}

func TestPlansStayWithTheirVendor(t *testing.T) {
	all := logins()
	for _, c := range []struct {
		login, tool string
		want        bool
	}{
		{"chatgpt", "openai", true},
		{"chatgpt", "anthropic", false},
		{"chatgpt", "", true}, // whatever program the person has in mind
		{"personal", "anthropic", false},
		{"setup", "anthropic", true},
		{"setup", "openai", false},
		{"claude", "openai", false},
		{"key", "anthropic", true},
		{"odd", "anthropic", true}, // nobody's plan
	} {
		it := all[c.login]
		err := export.Check(c.tool, it)
		if e, refused := errors.AsType[*export.CrossVendorError](err); (err == nil) != c.want || err != nil && (!refused || e.Tool != c.tool) {
			t.Errorf("Check(%q, %s) = %v, want ok: %v", c.tool, c.login, err, c.want)
		}
		it.CrossVendor = true
		if err := export.Check(c.tool, it); err != nil {
			t.Errorf("Check(%q, %s) with the person's word = %v", c.tool, c.login, err)
		}
	}
}

// No format writes for a tool that the rule keeps the token from, and each that
// could is stopped by the rule.
func TestFormatsObeyTheRule(t *testing.T) {
	stopped := map[string]bool{}
	for _, s := range export.Formats() {
		for _, token := range []string{jwt, "gho_1"} {
			it := logins()["chatgpt"]
			it.Provider.Vendor, it.Access = "somebody", secret.New(token)
			var b bytes.Buffer
			err := s.Write(&b, it)
			vars, varsErr := s.Vars(it)
			if s.Tool != "" && (err == nil || b.Len() > 0 || len(vars) > 0) {
				t.Errorf("%s: %v, %q, %v (%v)", s.Name, err, b.String(), vars, varsErr)
			}
			it.CrossVendor = true
			if s.Tool != "" && s.Write(io.Discard, it) == nil {
				_, stopped[s.Name] = errors.AsType[*export.CrossVendorError](err)
			}
		}
	}
	for _, name := range []string{"codex", "claude", "gemini", "gemini-file", "copilot", "opencode", "pi"} {
		if !stopped[name] {
			t.Errorf("%s was not stopped by the rule", name)
		}
	}
}

func TestNoFormatTakesWhatIsNoToken(t *testing.T) {
	for _, token := range []string{"", "a\nb", "a\x00b", "a\rb", "a\tb", "\x1b[2J", "a\x7f", "é", "\xff"} {
		it := logins()["key"]
		it.Access = secret.New(token)
		for _, s := range export.Formats() {
			var b bytes.Buffer
			if _, unfit := errors.AsType[*export.UnfitError](s.Write(&b, it)); !unfit || b.Len() > 0 {
				t.Errorf("%s writes %q", s.Name, b.String())
			}
		}
	}
}

func TestUnfitSaysWhatFits(t *testing.T) {
	s, _ := export.Find("claude")
	err := s.Write(io.Discard, logins()["key"])
	e, ok := errors.AsType[*export.UnfitError](err)
	if !ok || !slices.Contains(e.Fitting, "codex") || slices.Contains(e.Fitting, "claude") {
		t.Errorf("claude of a key: %v, fitting %q", err, e.Fitting)
	}
}

func TestOpenClawHasAnAnswerToEachID(t *testing.T) {
	a := export.Answer{
		Values: map[string]secret.Text{"p/b": secret.New("a<b>&\"c"), "p/a": secret.New("t")},
		Errors: map[string]export.Refusal{"p/c": {Code: "NOT_FOUND", Message: "no such login"}},
	}
	for want, a := range map[string]export.Answer{
		`{"protocolVersion":1,"values":{"p/a":"t","p/b":"a<b>&\"c"},"errors":{"p/c":{"code":"NOT_FOUND","message":"no such login"}}}` + "\n": a,
		`{"protocolVersion":1,"values":{}}` + "\n": {}, // OpenClaw wants values, even none
	} {
		var got bytes.Buffer
		if err := export.OpenClaw(&got, a); err != nil || got.String() != want {
			t.Errorf("OpenClaw = %s, %v; want %s", got.Bytes(), err, want)
		}
	}
}

func TestVariableNames(t *testing.T) {
	for id, want := range map[string]string{"openai-codex": "OPENAI_CODEX_TOKEN", "a.b": "A_B_TOKEN", "1x": "_1X_TOKEN", "": "__TOKEN"} {
		if got := export.Variable(id); got != want {
			t.Errorf("Variable(%q) = %q, want %q", id, got, want)
		}
	}
}
