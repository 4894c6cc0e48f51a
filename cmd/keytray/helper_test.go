package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	setupCall = regexp.MustCompile(`(?m)^keytray (helper .*--setup.*)$`)
	fenced    = regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$")
)

// TestHelperDocsShowWhatIsPrinted runs each --setup that docs/helpers.md shows.
func TestHelperDocsShowWhatIsPrinted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the document shows paths of other systems")
	}
	text, err := os.ReadFile("../../docs/helpers.md")
	if err != nil {
		t.Fatal(err)
	}
	providers := filepath.Join(t.TempDir(), "providers")
	if err := os.Mkdir(providers, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"acme", "aws"} {
		entry := `{"id": "` + id + `", "name": "` + id + `", "api_key": {}}`
		if err := os.WriteFile(filepath.Join(providers, id+".json"), []byte(entry), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	calls := setupCall.FindAllStringSubmatchIndex(string(text), -1)
	var missing []string
	for _, cmd := range newApp(system{}).helperCommand().Commands() {
		missing = append(missing, cmd.Name())
	}
	for i, at := range calls {
		end := len(text)
		if i+1 < len(calls) {
			end = calls[i+1][0]
		}
		var blocks []string
		for _, m := range fenced.FindAllStringSubmatch(string(text[at[1]:end]), -1) {
			blocks = append(blocks, m[1])
		}
		args := strings.Fields(string(text[at[2]:at[3]]))
		if got, want := setupOutput(t, filepath.Dir(providers), args), strings.Join(blocks, "\n"); got != want {
			t.Errorf("keytray %s prints\n%s\nand docs/helpers.md shows\n%s", args, got, want)
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == args[1] })
	}
	if len(missing) > 0 {
		t.Errorf("docs/helpers.md shows no --setup of %q", missing)
	}
}

// setupOutput is what a keytray in /usr/local/bin prints, in an environment that
// names the state folder root.
func setupOutput(t *testing.T, root string, args []string) string {
	t.Helper()
	var out, complaint bytes.Buffer
	code := run(t.Context(), system{
		args: args, environ: []string{"HOME=" + filepath.Dir(root), "OPENCLAW_STATE_DIR=" + root},
		self: "/usr/local/bin/keytray", stdin: strings.NewReader(""), stdout: &out, stderr: &complaint,
		log: slog.New(slog.DiscardHandler),
	})
	if code != 0 {
		t.Errorf("keytray %s: exit code %d, %s", args, code, complaint.String())
	}
	return out.String()
}

func TestTheNameOfTheProgramMayBeTheHelper(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"keytray", "token"}, []string{"token"}},
		{[]string{"/opt/x/git-credential-keytray", "get"}, []string{"helper", "git", "get"}},
		{[]string{"docker-credential-keytray.exe", "list"}, []string{"helper", "docker", "list"}},
		{[]string{"git-credential-keytray-2", "get"}, []string{"get"}},
		{nil, nil},
	} {
		if got := arguments(c.args); !slices.Equal(got, c.want) {
			t.Errorf("arguments(%q) = %q, want %q", c.args, got, c.want)
		}
	}
}
