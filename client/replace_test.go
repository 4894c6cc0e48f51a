package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
)

// A file that a program keeps is replaced only where nothing is lost with it.
func TestReplaceable(t *testing.T) {
	const codex = `{"auth_mode":"chatgptAuthTokens","OPENAI_API_KEY":null,"tokens":{"id_token":"a","access_token":"a","refresh_token":""},"last_refresh":"x"}`
	const claude = `{"claudeAiOauth":{"accessToken":"a"}}`
	const pi = `{"anthropic":{"type":"api_key","key":"a"}}`
	for name, c := range map[string]struct {
		old, next string
		want      error
	}{
		"what was written before":  {codex, codex, nil},
		"an entry that is there":   {pi, pi, nil},
		"nothing":                  {"", codex, nil},
		"Codex's own login":        {`{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"refresh_token":"r"},"last_refresh":"x"}`, codex, errOwned},
		"an API key":               {`{"auth_mode":"apikey","OPENAI_API_KEY":"sk"}`, codex, errUnsafe},
		"a personal access token":  {`{"OPENAI_API_KEY":null,"personal_access_token":"at-1"}`, codex, errUnsafe},
		"Claude Code's own login":  {`{"claudeAiOauth":{"accessToken":"a","refreshToken":"r"}}`, claude, errOwned},
		"logins of MCP servers":    {`{"claudeAiOauth":{"accessToken":"b"},"mcpOAuth":{}}`, claude, errUnsafe},
		"another provider":         {`{"openai":{"type":"api_key","key":"a"}}`, pi, errUnsafe},
		"a login that renews":      {`{"anthropic":{"type":"oauth","access":"a","refresh":"r"}}`, pi, errOwned},
		"a login that was emptied": {`{"anthropic":{"type":"oauth","access":"a","refresh":""}}`, pi, nil},
		"a file of Gemini's":       {`{"access_token":"a","refresh_token":"r"}`, `{"access_token":"a"}`, errOwned},
		"something else":           {`[1]`, pi, client.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auth.json")
			if c.old != "" {
				if err := os.WriteFile(path, []byte(c.old), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := client.Replaceable("codex", path, []byte(c.next))
			if _, owned := errors.AsType[*client.OwnedError](err); owned {
				err = errOwned
			}
			if _, unsafe := errors.AsType[*disk.UnsafeError](err); unsafe {
				err = errUnsafe
			}
			if !errors.Is(err, c.want) {
				t.Errorf("Replaceable = %v, want %v", err, c.want)
			}
		})
	}
}

var errUnsafe, errOwned = errors.New("unsafe"), errors.New("owned")

// TestRenews: of a name that stands twice programs take one or the other.
func TestRenews(t *testing.T) {
	for document, want := range map[string]bool{
		`{"tokens":{"refresh_token":"r"}}`:               true,
		`{"a":1,"a":{"refresh":"r"}}`:                    true,
		`{"a":{"refresh":"r"},"a":1}`:                    true,
		`{"refresh":"","refreshToken":null}`:             false,
		`{"refresh":"r"`:                                 false,
		`{"claudeAiOauth":{"x":1,"refreshToken":"r-1"}}`: true,
	} {
		if got := client.Renews([]byte(document)); got != want {
			t.Errorf("Renews(%s) = %v", document, got)
		}
	}
}
