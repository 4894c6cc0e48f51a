package export_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/secret"
)

// interpreters run a script that a shell wrote; the last argument is the script.
func interpreters(shell export.Shell) map[string][]string {
	switch shell {
	case export.Sh:
		return map[string][]string{
			"sh": {"sh", "-c"}, "dash": {"dash", "-c"}, "bash": {"bash", "-c"}, "bash of old": {"bash", "--posix", "-c"},
			"zsh": {"zsh", "-fc"}, "ksh": {"ksh", "-c"}, "busybox": {"busybox", "sh", "-c"},
		}
	case export.Fish:
		return map[string][]string{"fish": {"fish", "--no-config", "-c"}}
	case export.PowerShell:
		return map[string][]string{"pwsh": {"pwsh", "-NoProfile", "-NonInteractive", "-Command"}}
	}
	return nil
}

// evaluated is what each interpreter of the shell that is there makes of tokens,
// one line for each. A program prints the value, which it finds in its
// environment: that is what the variables are for.
func evaluated(t *testing.T, shell export.Shell, tokens ...string) map[string]string {
	t.Helper()
	env, _ := export.Find("env")
	env, ok := env.In(shell)
	if !ok {
		t.Fatalf("no env for %s", shell)
	}
	var script strings.Builder
	for _, token := range tokens {
		it := logins()["odd"]
		it.Access = secret.New(token)
		script.WriteString(written(env, it) + "printenv ACME_2_TOKEN\n")
	}
	got := map[string]string{}
	for name, argv := range interpreters(shell) {
		if !there(t, argv[0]) {
			continue
		}
		out, err := exec.CommandContext(t.Context(), argv[0], append(slices.Clone(argv[1:]), script.String())...).Output()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got[name] = string(out)
	}
	return got
}

// there reports whether there is such a program. Where CI=true those of Debian are
// all there.
func there(t *testing.T, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && program != "pwsh" && os.Getenv("CI") == "true" {
		t.Errorf("missing: %s (e2e/setup.sh installs it)", program)
	}
	return err == nil
}

// oddTokens have the characters that mean something to some shell.
func oddTokens() []string {
	return []string{
		"plain", "a'b", "''", "'", `'\''`, `\'`, `\`, `\\`, `back\slash`, `ends\`, "$(touch x)`id`", "${HOME}", "$HOME", `a"b`, `"`,
		" a space ", "!x", "!!", "*", "?", "~", "#c", "a#b", "a;b", "a&b", "a|b", "<(a)>", "%PATH%", "@(1)", "{a,b}", "[a]", "^a", "-n", "a=b", "\\u0041", "\\n",
		allCharacters(),
	}
}

// allCharacters are those that a token may have.
func allCharacters() string {
	var b strings.Builder
	for c := byte(0x20); c < 0x7f; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// What a shell evaluates is the token, whatever is in it.
func TestShellsReadWhatIsWritten(t *testing.T) {
	for _, shell := range export.Shells() {
		if len(interpreters(shell)) == 0 {
			continue
		}
		t.Run(string(shell), func(t *testing.T) {
			t.Chdir(t.TempDir()) // a mistake may create files
			all := evaluated(t, shell, oddTokens()...)
			if len(all) == 0 {
				t.Skip("no such shell here")
			}
			for name, lines := range all {
				same(t, name, oddTokens(), lines)
			}
			if left, _ := os.ReadDir("."); len(left) > 0 {
				t.Errorf("something was run: %v", left)
			}
		})
	}
}

// same compares tokens with the lines that somebody printed of them.
func same(t *testing.T, who string, tokens []string, lines string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
	if len(got) != len(tokens) {
		t.Errorf("%s reads %d values, want %d", who, len(got), len(tokens))
		return
	}
	for i := range tokens {
		if got[i] != tokens[i] {
			t.Errorf("%s reads %q, want %q", who, got[i], tokens[i])
		}
	}
}

// PowerShell is hardly ever there to be asked. Its single quotes take everything
// as it is but a single quote, which is doubled (about_Quoting_Rules).
func TestPowerShellQuotes(t *testing.T) {
	env, _ := export.Find("env")
	env, _ = env.In(export.PowerShell)
	for token, want := range map[string]string{
		"plain":             `'plain'`,
		"a'b":               `'a''b'`,
		"''":                `''''''`,
		"$(id)`n$env:x\"@'": "'$(id)`n$env:x\"@'''",
		`\`:                 `'\'`,
	} {
		it := logins()["odd"]
		it.Access = secret.New(token)
		if got := written(env, it); got != "$env:ACME_2_TOKEN = "+want+"\n" {
			t.Errorf("PowerShell of %q = %q, want %s", token, got, want)
		}
	}
}

// dotenvReaders print what they find in a file: V0, V1 and so on, one line each.
// A reader that is not there cannot read V0 alone.
func dotenvReaders(n int) map[string][]string {
	return map[string][]string{
		"sh":     {"sh", "-c", fmt.Sprintf("set -a; . ./.env; i=0; while [ $i -lt %d ]; do printenv V$i; i=$((i+1)); done", n)},
		"node":   {"node", "-e", fmt.Sprintf("process.loadEnvFile('.env'); for (let i=0; i<%d; i++) console.log(process.env['V'+i])", n)},
		"python": {"/usr/bin/python3", "-c", fmt.Sprintf("import dotenv; d = dotenv.dotenv_values('.env')\nfor i in range(%d): print(d['V%%d' %% i])", n)},
	}
}

// Readers of .env files agree on what is written, and what they would not agree
// on is refused.
func TestDotenvIsReadAlike(t *testing.T) {
	dotenv, _ := export.Find("dotenv")
	var file strings.Builder
	var tokens []string
	for _, token := range oddTokens() {
		it := logins()["odd"]
		it.Access = secret.New(token)
		var b strings.Builder
		err := dotenv.Write(&b, it)
		if _, refused := errors.AsType[*export.UnfitError](err); refused != strings.ContainsAny(token, `'\$`) {
			t.Errorf("%q: %v", token, err)
		}
		if err == nil {
			fmt.Fprintf(&file, "V%d%s", len(tokens), strings.TrimPrefix(b.String(), "ACME_2_TOKEN"))
			tokens = append(tokens, token)
		}
	}
	t.Chdir(t.TempDir())
	read := func(argv []string, file string) (string, error) {
		if err := os.WriteFile(".env", []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
		return string(out), err
	}
	for name, argv := range dotenvReaders(len(tokens)) {
		t.Run(name, func(t *testing.T) {
			if _, err := read(dotenvReaders(1)[name], "V0=a\n"); err != nil {
				t.Skip("no such reader here, or too old a one")
			}
			lines, err := read(argv, file.String())
			if err != nil {
				t.Fatal(err)
			}
			same(t, name, tokens, lines)
		})
	}
}

// curl sends what is written for it, to the byte.
func TestCurlReadsWhatIsWritten(t *testing.T) {
	if !there(t, "curl") {
		t.Skip("no curl here")
	}
	format, _ := export.Find("curl")
	server := headers(t)
	for _, token := range append(oddTokens(), strings.Repeat("x", 48<<10)) {
		it := logins()["odd"]
		it.Access = secret.New(token)
		cmd := exec.CommandContext(t.Context(), "curl", "-sS", "-K", "-", server)
		cmd.Stdin = strings.NewReader(written(format, it))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v: %s", err, out)
		}
		if got, want := string(out), strings.TrimRight("Bearer "+token, " "); got != want { // HTTP drops spaces at the end
			t.Errorf("curl sent %q, want %q", got, want)
		}
	}
}

// FuzzShells: whatever has the characters of a token, the shells make it of what
// was written for them; anything else is not written.
func FuzzShells(f *testing.F) {
	for _, token := range append(oddTokens(), "a\nb", "a\x00b", "\xff", "é", "‘") {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		token = token[:min(len(token), 4<<10)]
		if strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r > 0x7e }) || token == "" {
			it := logins()["odd"]
			it.Access = secret.New(token)
			for _, s := range export.Formats() {
				var b strings.Builder
				if s.Write(&b, it) == nil || b.Len() > 0 {
					t.Errorf("%s writes %q", s.Name, b.String())
				}
			}
			return
		}
		for _, shell := range []export.Shell{export.Sh, export.Fish} {
			for name, got := range evaluated(t, shell, token) {
				same(t, name, []string{token}, got)
			}
		}
	})
}

// FuzzJSONFormats: a JSON reader finds the token that was written.
func FuzzJSONFormats(f *testing.F) {
	for _, token := range oddTokens() {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		it := logins()["odd"]
		it.Access = secret.New(token)
		for _, name := range []string{"json", "claude", "gemini-file", "opencode", "pi"} {
			s, _ := export.Find(name)
			var b strings.Builder
			if s.Write(&b, it) != nil {
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(b.String()), &v); err != nil || !holds(v, token) {
				t.Errorf("%s of %q: %q, %v", name, token, b.String(), err)
			}
		}
	})
}

// holds reports whether a JSON value has the text somewhere in it.
func holds(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return v == text
	case map[string]any:
		for _, x := range v {
			if holds(x, text) {
				return true
			}
		}
	}
	return false
}
