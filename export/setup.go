package export

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/keytray/keytray/provider"
)

// Setup is what the piece of another program's configuration is made of, by which
// it asks us.
type Setup struct {
	// Command is how we are run: the absolute path and all arguments.
	Command []string
	// Login is what is known of the login; no token.
	Login Item
	// Hosts are those that are to be served.
	Hosts []provider.Host
	// Windows says that the program runs commands by cmd.exe.
	Windows bool
}

// Part is something to be pasted, and where.
type Part struct{ Place, Text string }

// ErrNoSetup means that a program cannot be set up as it is asked for.
var ErrNoSetup = errors.New("there is nothing to paste")

// indented is JSON as people write it.
func indented(v any) (string, error) {
	b, err := encode(v, "  ")
	return string(b), err
}

// quoted is a JSON string: TOML and YAML read the same in double quotes.
func quoted(s string) string {
	b, err := encode(s, "")
	if err != nil {
		panic("export: encoding a string: " + err.Error())
	}
	return strings.TrimSuffix(string(b), "\n")
}

func quotedList(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = quoted(w)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

var (
	bare        = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`) })
	bareWindows = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_@+=:,./\\-]+$`) })
	oddWindows  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`["%\r\n\x00]`) })
)

// posix is a command line for any POSIX shell.
func posix(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		if all[i] = w; !bare().MatchString(w) {
			all[i] = quote(w)
		}
	}
	return strings.Join(all, " ")
}

// line is a command line for the shell by which most programs of the system run
// one.
func (s Setup) line() (string, error) {
	if !s.Windows {
		return posix(s.Command), nil
	}
	all := make([]string, len(s.Command))
	for i, w := range s.Command {
		switch {
		case bareWindows().MatchString(w):
			all[i] = w
		case oddWindows().MatchString(w):
			return "", errors.New("cmd.exe cannot be told of a quote or a percent sign in a command")
		default:
			all[i] = `"` + w + `"`
		}
	}
	return strings.Join(all, " "), nil
}

// ClaudeSetup has Claude Code ask for a key.
func ClaudeSetup(s Setup) ([]Part, error) {
	line, err := s.line()
	if err != nil {
		return nil, err
	}
	text, err := indented(map[string]string{"apiKeyHelper": line})
	return []Part{{"~/.claude/settings.json", text}}, err
}

// CodexSetup is a provider of models for Codex, which asks for its token every five
// minutes and when it is refused.
func CodexSetup(s Setup) ([]Part, error) {
	api := s.Login.Provider.API
	if api == nil {
		return nil, ErrNoSetup
	}
	headers := ""
	if api.AccountHeader != "" {
		if s.Login.Account == "" {
			return nil, ErrNoSetup
		}
		headers = "http_headers = { " + quoted(api.AccountHeader) + " = " + quoted(s.Login.Account) + " }\n"
	}
	return []Part{{"the top of ~/.codex/config.toml", `model_provider = "keytray"

[model_providers.keytray]
name = ` + quoted(s.Login.Provider.Name+" by Keytray") + `
base_url = ` + quoted(api.URL) + `
wire_api = "responses"
` + headers + `
[model_providers.keytray.auth]
command = ` + quoted(s.Command[0]) + `
args = ` + quotedList(s.Command[1:]) + `
timeout_ms = 15000
refresh_interval_ms = 300000
`}}, nil
}

// PiSetup is an entry of pi's auth.json.
func PiSetup(s Setup) ([]Part, error) {
	line, err := s.line()
	if err != nil {
		return nil, err
	}
	type entry struct {
		Type string `json:"type"`
		Key  string `json:"key"`
	}
	text, err := indented(map[string]entry{s.Login.Provider.ID: {"api_key", "!" + line}})
	return []Part{{"~/.pi/agent/auth.json", text}}, err
}

// GitSetup has git ask us, and nobody else, for these hosts: another helper would
// keep what we say. Git has a POSIX shell on Windows too.
func GitSetup(s Setup) ([]Part, error) {
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for _, h := range s.Hosts {
		b.WriteString("[credential \"" + h.Scheme + "://" + h.Address() + "\"]\n\thelper =\n")
		b.WriteString("\thelper = \"!" + escape.Replace(posix(s.Command)) + "\"\n")
	}
	if b.Len() == 0 {
		return nil, ErrNoSetup
	}
	return []Part{{"~/.gitconfig", b.String()}}, nil
}

// registryKey is what docker calls a registry; Docker Hub has a name of its own.
func registryKey(h provider.Host) string {
	if h.Address() == "index.docker.io" {
		return "https://index.docker.io/v1/"
	}
	return h.Address()
}

// DockerSetup is a program of the name that docker looks for, which it runs without
// arguments of ours, and the registries that it is asked for.
func DockerSetup(s Setup) ([]Part, error) {
	if len(s.Hosts) == 0 || s.Windows {
		return nil, ErrNoSetup
	}
	name := "keytray-" + s.Login.Provider.ID
	registries := map[string]string{}
	for _, h := range s.Hosts {
		registries[registryKey(h)] = name
	}
	text, err := indented(map[string]any{"credHelpers": registries})
	file := `"$HOME/.local/bin/docker-credential-` + name + `"`
	return []Part{
		{"a terminal; your PATH has to lead to ~/.local/bin", `mkdir -p "$HOME/.local/bin"
cat >` + file + ` <<'END'
#!/bin/sh
exec ` + posix(s.Command) + ` "$@"
END
chmod 755 ` + file + "\n"},
		{"~/.docker/config.json", text},
	}, err
}

// AWSSetup is a profile of AWS's configuration.
func AWSSetup(s Setup) ([]Part, error) {
	line, err := s.line()
	text := "[profile keytray-" + s.Login.Provider.ID + "]\ncredential_process = " + line + "\n"
	return []Part{{"~/.aws/config", text}}, err
}

// KubeSetup is a user of a kubeconfig.
func KubeSetup(s Setup) ([]Part, error) {
	return []Part{{"~/.kube/config, where a context names the user", `users:
- name: keytray-` + s.Login.Provider.ID + `
  user:
    exec:
      apiVersion: ` + kubeGroup + `v1
      command: ` + quoted(s.Command[0]) + `
      args: ` + quotedList(s.Command[1:]) + `
      interactiveMode: Never
`}}, nil
}

// CurlSetup is a call of curl that shows no process list the token.
func CurlSetup(s Setup) ([]Part, error) {
	line, err := s.line()
	url := "https://api.example.com/v1/models"
	if api := s.Login.Provider.API; api != nil {
		url = strings.TrimSuffix(api.URL, "/") + "/models"
	}
	return []Part{{"a terminal", line + " | curl -K - " + url + "\n"}}, err
}

// OpenClawSetup is the command by which OpenClaw is set up.
func OpenClawSetup(s Setup) ([]Part, error) {
	line, err := s.line()
	return []Part{{"a terminal", line + "\n"}}, err
}
