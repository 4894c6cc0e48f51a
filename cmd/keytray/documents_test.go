//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// example is a block of shell commands in a document, with the note before it.
var example = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]*) -->\n)?^```sh\n(.*?)^```$")

const (
	// there is the note of what is done on another machine.
	there = "on another machine"
	// anew is the note of what begins in a home without logins.
	anew = "anew"
	// byItself is the note of what wants a bus that starts services by itself.
	byItself = "on a desktop's bus"
	// unrun begins the note of what no test runs, and why; docs_test.go at the top
	// checks the reasons.
	unrun = "not run: "
)

const (
	// signedIn is what there is before most documents begin.
	signedIn = "keytray login demo\n"
	// codexKey is a key that Codex has in its own file.
	codexKey = `mkdir -p -m 700 ~/.codex && echo '{"OPENAI_API_KEY": "sk-test-key"}' >~/.codex/auth.json && chmod 600 ~/.codex/auth.json
`
	pasted = `echo sk-ant-api03-0123456789012345678901234567890123456789 | keytray models auth paste-api-key --provider anthropic --profile-id anthropic:work
`
	acme = `sed 's/"demo"/"acme"/' <$ROOT/providers/demo.json >$ROOT/providers/acme.json
keytray login acme
echo AKIA0123456789ABCDEF:0123456789 | keytray models auth paste-api-key --provider aws
`
)

// beforehand is what there is before the first example of a document; elsewhere
// nothing but the provider.
var beforehand = map[string]string{
	"README.md":         codexKey,
	"docs/clients.md":   signedIn + pasted + codexKey,
	"docs/helpers.md":   signedIn + pasted + acme,
	"docs/providers.md": "",
	"docs/servers.md":   "HOME=$THERE keytray status --keychain file",
}

// TestDocumentsRun runs the examples of each document in their order, as somebody
// does who follows it: with a home, a keyring, a browser, and a server of ours in
// the place of those that are named. README.ja.md has those of README.md, which a
// test at the top sees to.
func TestDocumentsRun(t *testing.T) {
	requireSession(t)
	examples := map[string][][]string{}
	for _, pattern := range []string{"README.md", "docs/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel("../..", file)
			for _, m := range example.FindAllStringSubmatch(string(text), -1) {
				if !strings.HasPrefix(m[1], unrun) {
					examples[name] = append(examples[name], m[1:])
				}
			}
		}
	}
	for name := range beforehand {
		if examples[name] == nil {
			t.Errorf("%s has no example; or the pattern of this test is wrong", name)
		}
	}
	shipped := ship(t)
	for name, all := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, shipped)
			r.do(t, "", beforehand[name])
			for _, e := range all {
				r.do(t, e[0], e[1])
			}
		})
	}
}

// reader is somebody who follows a document.
type reader struct {
	dir, home string
	environ   []string
	words     *strings.Replacer // of the document, and what they are here
}

// newReader is somebody with a home, and a keytray in the folder shipped.
func newReader(t *testing.T, shipped string) *reader {
	t.Helper()
	dir := t.TempDir()
	desk, err := session.Start(t.Context(), filepath.Join(dir, "session"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = desk.Close() })
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(context.WithoutCancel(t.Context()), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	r := &reader{dir: dir, home: "home"}
	for _, home := range []string{"home", "there", "anew"} {
		root := filepath.Join(dir, home, ".local", "state", "keytray")
		if err := os.MkdirAll(filepath.Join(root, "providers"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeProvider(root, server, false); err != nil {
			t.Fatal(err)
		}
	}
	programs := filepath.Join(dir, "bin")
	r.programs(t, programs)
	r.environ = append(desk.Env(), "DISPLAY=:0", "PATH="+programs+":"+shipped+":"+os.Getenv("PATH"), "THERE="+filepath.Join(dir, "there"))
	r.words = strings.NewReplacer(
		"openai-codex", "demo",
		"/usr/local/bin/keytray", "keytray",
		"/media/stick", dir,
		"https://api.example.com/v1/models", server.URL+"/userinfo",
		"https://api.example.com/v1/me", server.URL+"/userinfo",
		"https://login.acme.example", server.URL+" --allow-http-loopback",
		"keytray run -- codex", "keytray run demo -- codex", // there is no ChatGPT
		"read -rs password", "password=secret",
		"age1…", `"$(HOME=$THERE keytray doctor | grep -o 'age1[a-z0-9]*')"`,
	)
	return r
}

// programs makes a browser in which alice signs in and says yes, and programs that
// are content with what keytray run gives them.
func (r *reader) programs(t *testing.T, dir string) {
	t.Helper()
	const browser = `page=$(curl -sSL -o /dev/null -w '%{url_effective}' "$1") && curl -sSL --data 'user=alice&decision=approve' "$page"`
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"xdg-open": browser, "codex": `test -s "$CODEX_HOME/auth.json"`, "claude": `test -n "$CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR"`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// do runs commands in a home that note chooses.
func (r *reader) do(t *testing.T, note, commands string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := filepath.Join(r.dir, map[string]string{there: "there", anew: "anew", byItself: "anew"}[note])
	if note == "" {
		home = filepath.Join(r.dir, "home")
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", r.words.Replace(commands))
	if note == byItself {
		cmd = exec.CommandContext(ctx, "dbus-run-session", append([]string{"--"}, cmd.Args...)...)
	}
	cmd.Dir = filepath.Join(r.dir, "home")
	cmd.Env = append(r.environ, "HOME="+home, "ROOT="+filepath.Join(home, ".local", "state", "keytray"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v of\n%s\n%s", err, commands, out)
	}
}
