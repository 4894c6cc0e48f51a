package export_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/provider"
)

// echo is a program at an odd path that prints its arguments, one a line.
func echo(t *testing.T) []string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	path := filepath.Join(t.TempDir(), `it's a "$HOME" \ \\path`, "keytray")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{path, "helper", "x", "--host", "u@h", "acme:it's `me` \"\\$(x)%"}
}

// shell runs a command line as programs do that were set up.
func shell(t *testing.T, line string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sh -c %s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func acme() export.Item { return export.Item{Provider: provider.Provider{ID: "acme", Name: "Acme"}} }

func only(t *testing.T, parts []export.Part, err error) string {
	t.Helper()
	if err != nil || len(parts) == 0 {
		t.Fatal(parts, err)
	}
	return parts[0].Text
}

func TestWhatIsPastedRunsUsWithOurArguments(t *testing.T) {
	t.Parallel()
	command := echo(t)
	s := export.Setup{Command: command, Login: acme()}
	lines := map[string]string{}

	var claude struct{ APIKeyHelper string }
	parts, err := export.ClaudeSetup(s)
	if err := json.Unmarshal([]byte(only(t, parts, err)), &claude); err != nil {
		t.Fatal(err)
	}
	lines["claude"] = claude.APIKeyHelper

	var pi map[string]struct{ Type, Key string }
	parts, err = export.PiSetup(s)
	if err := json.Unmarshal([]byte(only(t, parts, err)), &pi); err != nil {
		t.Fatal(err)
	}
	lines["pi"] = strings.TrimPrefix(pi["acme"].Key, "!")

	parts, err = export.AWSSetup(s)
	_, lines["aws"], _ = strings.Cut(only(t, parts, err), "credential_process = ")

	parts, err = export.OpenClawSetup(s)
	lines["openclaw"] = only(t, parts, err)

	for name, line := range lines {
		if got := shell(t, line); !slices.Equal(got, command[1:]) {
			t.Errorf("%s: %q runs it with %q, want %q", name, line, got, command[1:])
		}
	}
}

// TestGitReadsWhatIsPasted has git itself read the file and run the command.
func TestGitReadsWhatIsPasted(t *testing.T) {
	t.Parallel()
	command := echo(t)
	host, _ := provider.ParseHost("u@git.acme.test:8443")
	parts, err := export.GitSetup(export.Setup{Command: command, Login: acme(), Hosts: []provider.Host{host}})
	file := filepath.Join(t.TempDir(), "gitconfig")
	if err := os.WriteFile(file, []byte(only(t, parts, err)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "git", "config", "-f", file, "--get-all", "credential.https://git.acme.test:8443.helper").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, line, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\n")
	if first != "" {
		t.Errorf("the helpers of others are not left out: %q", first)
	}
	if got := shell(t, strings.TrimPrefix(line, "!")+" get"); !slices.Equal(got, append(command[1:], "get")) {
		t.Errorf("git runs %q with %q", line, got)
	}
}

func TestDockerFindsWhatIsPasted(t *testing.T) {
	t.Parallel()
	command := echo(t)
	host, _ := provider.ParseHost("registry.acme.test:5000")
	hub, _ := provider.ParseHost("index.docker.io")
	parts, err := export.DockerSetup(export.Setup{Command: command, Login: acme(), Hosts: []provider.Host{host, hub}})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Log(shell(t, "HOME="+home+"\n"+parts[0].Text))
	var config struct{ CredHelpers map[string]string }
	if err := json.Unmarshal([]byte(parts[1].Text), &config); err != nil {
		t.Fatal(err)
	}
	if config.CredHelpers["https://index.docker.io/v1/"] == "" {
		t.Errorf("docker does not find who helps with Docker Hub in %v", config.CredHelpers)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(home, ".local", "bin", "docker-credential-"+config.CredHelpers["registry.acme.test:5000"]), "get").Output()
	if want := strings.Join(append(command[1:], "get"), "\n") + "\n"; err != nil || string(out) != want {
		t.Errorf("docker runs us with %q, %v, want %q", out, err, want)
	}
}

func TestWindowsCommandLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{`C:\keytray.exe`, "helper", "acme:a@b.test"}, `C:\keytray.exe helper acme:a@b.test`},
		{[]string{`C:\Program Files\k&t.exe`, "a|b"}, `"C:\Program Files\k&t.exe" "a|b"`},
		{[]string{"k.exe", `a"b`}, ""},
		{[]string{"k.exe", "%PATH%"}, ""},
	} {
		parts, err := export.OpenClawSetup(export.Setup{Command: c.words, Windows: true})
		if (err == nil) != (c.want != "") || err == nil && parts[0].Text != c.want+"\n" {
			t.Errorf("%q is %q, %v, want %q", c.words, parts, err, c.want)
		}
	}
}

func TestNoSetup(t *testing.T) {
	t.Parallel()
	host, _ := provider.ParseHost("registry.acme.test")
	s := export.Setup{Command: []string{"/k"}, Login: acme()}
	away := s
	away.Hosts, away.Windows = []provider.Host{host}, true
	account := s
	account.Login.Provider.API = &provider.API{URL: "https://api.acme.test", AccountHeader: "Account"}
	for name, do := range map[string]func() ([]export.Part, error){
		"codex without an API":     func() ([]export.Part, error) { return export.CodexSetup(s) },
		"codex without an account": func() ([]export.Part, error) { return export.CodexSetup(account) },
		"git without a host":       func() ([]export.Part, error) { return export.GitSetup(s) },
		"docker without a host":    func() ([]export.Part, error) { return export.DockerSetup(s) },
		"docker on Windows":        func() ([]export.Part, error) { return export.DockerSetup(away) },
	} {
		if parts, err := do(); !errors.Is(err, export.ErrNoSetup) || parts != nil {
			t.Errorf("%s: %v, %v", name, parts, err)
		}
	}
}
