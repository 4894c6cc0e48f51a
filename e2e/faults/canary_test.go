//go:build linux

package faults

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/keytray/keytray/export"
)

// canaries finds pieces of secrets: as they are, in hexadecimal and in base64.
// What is searched for is told from what was found by the value.
type canaries map[string]string

// piece is how many bytes of a secret in a row are a find.
const piece = 12

func (c canaries) add(what, secret string) {
	texts := []string{secret, hex.EncodeToString([]byte(secret))}
	for shift := range 3 { // where it begins in a group of three bytes
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		texts = append(texts, text[4:len(text)-4]) // without the neighbours' bits
	}
	for _, text := range texts {
		for i := range len(text) - piece + 1 {
			c[text[i:i+piece]] = what
		}
	}
}

func (c canaries) find(text string) string {
	for i := range len(text) - piece + 1 {
		if what, ok := c[text[i:i+piece]]; ok {
			return what
		}
	}
	return ""
}

// aviary is a stage on which every secret is a canary: those that the server
// issued, and those that a person pasted.
type aviary struct {
	*stage
	out    string // a folder that is not searched: where the person wants tokens
	pasted []string
	shown  map[string]bool // what carried something, by probe.kind
}

// never are the canaries that may be nowhere: refresh tokens, codes, verifiers.
// The others are access tokens, which may be where the person wants them.
func (v *aviary) canaries() (never, access canaries) {
	never, access = canaries{}, canaries{}
	for _, secret := range v.as.Secrets() {
		if v.as.IsAccess(secret) {
			access.add("an access token", secret)
		} else {
			never.add("a refresh token, a code or a verifier", secret)
		}
	}
	for _, secret := range v.pasted {
		access.add("a secret that was pasted", secret)
	}
	return never, access
}

// probe is one call of keytray.
type probe struct {
	args []string
	// shows says that an access token may be on stdout, lends that it may be in the
	// environment of a program that is started.
	shows, lends bool
	// stdin is what is typed, limit how long it may run; a minute if it is 0.
	stdin string
	limit time.Duration
}

func (p probe) String() string { return "keytray " + strings.Join(p.args, " ") }

// newAviary has a login of each kind; the server's lives for life.
func newAviary(t *testing.T, life time.Duration) *aviary {
	t.Helper()
	s := newStage(t, options{})
	v := &aviary{stage: s, out: filepath.Join(t.TempDir(), "out"), shown: map[string]bool{}}
	if err := os.Mkdir(v.out, 0o700); err != nil {
		t.Fatal(err)
	}
	s.login(life)
	long := strings.Repeat("Yq7Zt3", 16)
	for _, c := range [][]string{
		{"setup-token", "anthropic", "sk-ant-oat01-" + long},
		{"paste-token", "github-copilot", "github_pat_canaryK3vT9xW2"},
		{"paste-token", "acme", "canary-J8mR4pL6sD1f"},
		{"paste-api-key", "openai", "sk-canary-B5nH2gF7kQ0w"},
		{"paste-api-key", "aws", "AKIAIOSFODNN7CANARY1:wJalrXUtnFEMI/K7MDENG+bPxRfiCYCANARYKEY2"},
	} {
		v.pasted = append(v.pasted, c[2])
		args := []string{"models", "auth", c[0], "--provider", c[1]}
		if got := v.ask(probe{args: args, stdin: c[2] + "\n"}); got.code != 0 {
			t.Fatalf("keytray %q: exit %d\n%s", args, got.code, got.stderr)
		}
	}
	t.Cleanup(v.searchFiles)
	return v
}

// profiles are the logins, one of each kind.
func (v *aviary) profiles() []string {
	return []string{profileID, "anthropic:default", "github-copilot:manual", "acme:manual", "openai:manual", "aws:manual"}
}

// ask runs keytray and looks for canaries in what it says.
func (v *aviary) ask(p probe) result {
	v.t.Helper()
	return v.askUnder(nil, p)
}

func (v *aviary) askUnder(under []string, p probe) result {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), max(p.limit, time.Minute))
	if p.limit > 0 {
		ctx, cancel = context.WithTimeout(v.t.Context(), p.limit)
	}
	defer cancel()
	argv := slices.Concat(under, []string{command}, p.args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = v.env, v.home, strings.NewReader(p.stdin), &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if _, exit := errors.AsType[*exec.ExitError](err); err != nil && !exit && ctx.Err() == nil {
		v.t.Fatal(err)
	}
	got := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	v.judge(p, got)
	return got
}

func (v *aviary) judge(p probe, got result) {
	v.t.Helper()
	never, access := v.canaries()
	for where, text := range map[string]string{"stdout": got.stdout, "stderr": got.stderr} {
		if what := never.find(text); what != "" {
			v.t.Errorf("%s: %s on %s", p, what, where)
		}
		if what := access.find(text); what != "" && (!p.shows || got.code != 0 || where == "stderr") {
			v.t.Errorf("%s: %s on %s, exit %d", p, what, where, got.code)
		}
	}
	if access.find(got.stdout) != "" {
		v.shown[p.kind()] = true
	} else if p.shows && got.code == 0 && p.args[0] == "export" {
		v.t.Errorf("%s: exit 0 and no token on stdout", p)
	}
}

// kind is the format or the helper that is asked for, or the command.
func (p probe) kind() string {
	if i := slices.Index(p.args, "--format"); i >= 0 {
		return p.args[i+1]
	}
	if p.args[0] == "helper" {
		return strings.Join(p.args[:2], " ")
	}
	return p.args[0]
}

// searchFiles looks for canaries in all that lies on the stage, and for those
// that may be nowhere in what was written for the person.
func (v *aviary) searchFiles() {
	never, access := v.canaries()
	files := 0
	for dir, banned := range map[string][]canaries{v.dir: {never, access}, v.out: {never}} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // gone meanwhile
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // gone meanwhile
			}
			files++
			for _, c := range banned {
				if what := c.find(path + "\n" + string(b)); what != "" {
					v.t.Errorf("%s in %s", what, path)
				}
			}
			return nil
		})
		if err != nil {
			v.t.Error(err)
		}
	}
	if files == 0 || len(never) == 0 || len(access) == 0 {
		v.t.Errorf("%d files and %d and %d pieces of secrets: nothing was searched", files, len(never), len(access))
	}
}

// handOuts are the calls that hand out a token of the profile: each format, for
// each shell, to stdout and into a file.
func (v *aviary) handOuts(profile string) []probe {
	var all []probe
	for _, s := range export.Formats() {
		for _, cross := range [][]string{nil, {"--allow-cross-vendor"}} {
			args := slices.Concat([]string{"export", profile, "--format", s.Name}, cross)
			all = append(all, probe{args: args, shows: true})
			if _, ok := s.In(export.Sh); ok {
				for _, shell := range export.Shells() {
					all = append(all, probe{args: slices.Concat(args, []string{"--shell", string(shell)}), shows: true})
				}
			}
			file := filepath.Join(v.out, strings.ReplaceAll(profile, ":", "-")+"."+s.Name)
			all = append(all, probe{args: slices.Concat(args, []string{"--out", file})})
		}
	}
	return append(all, v.tokens(profile)...)
}

// tokens are the calls of keytray token.
func (v *aviary) tokens(profile string) []probe {
	return []probe{
		{args: []string{"token", profile}, shows: true},
		{args: []string{"token", profile, "--format", "header", "--no-refresh"}, shows: true},
		{args: []string{"token", profile, "--format", "json", "--session", "s", "--min-ttl", "1s"}, shows: true},
	}
}

// others are calls of each other command that there is, by its name. A command
// that is not in the table is called in ways that any may be called in, and must
// show no secret; one that may show some belongs into the table.
func (v *aviary) others() []probe {
	const while = 1500 * time.Millisecond // for commands that wait for somebody
	synced := filepath.Join(v.out, "synced")
	table := map[string][]probe{
		"token": v.tokens(profileID), "export": v.seals(),
		"demo":  nil, // lives elsewhere, and is a test of its own
		"login": {{args: []string{"demo", "--no-browser"}, limit: while}}, "models auth login": {{args: []string{"--provider", "demo", "--no-browser"}, limit: while}},
		"watch":  {{args: []string{"--json"}, limit: while}},
		"logout": {{args: []string{"nobody:there"}}}, "models auth logout": {{args: []string{"nobody:there"}}},
		"status": {{}, {args: []string{"--json"}}, {args: []string{"--check"}}}, "which": {{args: []string{"demo", "--json"}}},
		"report":  {{args: []string{"--profile", profileID, "--failure", "auth", "--json"}}, {args: []string{"--profile", profileID, "--success"}}},
		"onboard": {{args: []string{"--non-interactive", "--json"}}},
		"doctor":  {{}, {args: []string{"--json"}}, {args: []string{"--fix"}}},
		"sync add": {
			{args: []string{"--format", "json", "--out", synced, profileID}},
			{args: []string{"--format", "codex", "--out", filepath.Join(v.out, "codex"), profileID}},
			{args: []string{"--format", "pi", "--out", filepath.Join(v.out, "pi"), "anthropic:default"}},
		},
		"sync now": {{}}, "sync remove": {{args: []string{synced}}},
		"run": v.lendings(), "helper git": v.toGit(), "helper docker": v.toDocker(),
		"openclaw resolve": {{stdin: `{"protocolVersion":1,"provider":"p","ids":["p/0123456789abcdef"]}`}, {stdin: "{"}},
	}
	var all []probe
	for _, name := range v.commands() {
		rows, known := table[name]
		switch {
		case known:
		case strings.HasPrefix(name, "helper "):
			rows, known = v.helped(), true
		default:
			rows = []probe{{}, {args: []string{profileID}}, {args: []string{"--provider", "demo"}}, {args: []string{"--no-such-flag"}}}
		}
		for _, p := range rows {
			p.args = slices.Concat(strings.Fields(name), p.args)
			if p.limit == 0 && !known {
				p.limit = 20 * time.Second
			}
			all = append(all, p)
		}
	}
	return all
}

// helped are calls of any helper that is asked by its start.
func (v *aviary) helped() []probe {
	all := []probe{{}, {args: []string{"nobody:there"}}, {args: []string{"--no-such-flag"}}}
	for _, profile := range v.profiles() {
		all = append(all, probe{args: []string{profile}, shows: true}, probe{args: []string{profile, "--setup"}})
	}
	return all
}

// seals are exports that only another machine can open, one that moves a login
// to where it may not go, and one that is not sealed.
func (v *aviary) seals() []probe {
	there, err := age.GenerateX25519Identity()
	if err != nil {
		v.t.Fatal(err)
	}
	to := []string{"--sealed", "--recipient", there.Recipient().String()}
	return []probe{
		{args: []string{profileID}, shows: true},
		{args: append([]string{"--all"}, to...)},
		{args: append([]string{profileID, "--expires", "1h", "--out", filepath.Join(v.out, "sealed")}, to...)},
		{args: append([]string{profileID, "--move"}, to...)},
		{args: []string{profileID, "--sealed", "--recipient", "age1"}},
	}
}

func (v *aviary) toGit() []probe {
	const host, get = "git.acme.test", "protocol=https\nhost=git.acme.test\n\n"
	all := []probe{{stdin: get}, {args: []string{profileID, "--setup"}}, {args: []string{profileID, "get", "--host", "elsewhere.test"}, stdin: get}}
	for _, profile := range v.profiles() {
		at := func(verb, stdin string, shows bool) probe {
			return probe{args: []string{profile, verb, "--host", host}, stdin: stdin, shows: shows}
		}
		all = append(all, at("get", get, true), at("get", "capability[]=authtype\n"+get, true), at("get", "host", false),
			at("store", strings.TrimSuffix(get, "\n")+"username=a\npassword=b\n\n", false), at("erase", get, false))
	}
	return all
}

func (v *aviary) toDocker() []probe {
	all := []probe{{args: []string{"list"}}, {args: []string{profileID, "--setup"}}}
	for _, profile := range v.profiles() {
		at := func(verb, stdin string, shows bool) probe {
			return probe{args: []string{profile, verb, "--host", "registry.acme.test"}, stdin: stdin, shows: shows}
		}
		all = append(all, at("get", "https://registry.acme.test/v2/", true), at("get", "elsewhere.test", false), at("store", "{}", false), at("erase", "registry.acme.test", false))
	}
	return all
}

// lendings run programs that look at what they got: a shell in the place of a
// program that keytray does not know, of Codex and of Claude Code.
func (v *aviary) lendings() []probe {
	var all []probe
	for _, profile := range v.profiles() {
		for _, c := range []struct {
			program, script string
			lends           bool
		}{
			{"", "env", true},
			{"codex", `cat "$CODEX_HOME/auth.json"; env`, false},
			{"claude", `cat "/dev/fd/${CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR:-$CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR}"; env`, false},
			{"gemini", "env", true},
			{"copilot", "env", true},
			{"opencode", "env", true},
		} {
			args := []string{"--allow-cross-vendor", profile, "--", "sh", "-c", c.script}
			if c.program != "" {
				args = append([]string{"--for", c.program}, args...)
			}
			all = append(all, probe{args: args, shows: true, lends: c.lends})
		}
	}
	return append(all, probe{args: []string{profileID, "--", "no-such-program"}}, probe{args: []string{"nobody:there", "--", "sh", "-c", "env"}})
}

// commands are those that the command itself knows, as a shell would complete
// them.
func (v *aviary) commands() []string {
	var all []string
	var below func(words []string)
	below = func(words []string) {
		out, err := exec.Command(command, slices.Concat([]string{"__complete"}, words, []string{""})...).Output()
		if err != nil {
			v.t.Fatal(err)
		}
		subs := false
		for line := range strings.Lines(string(out)) {
			name, text, described := strings.Cut(strings.TrimSpace(line), "\t")
			if !described || strings.ContainsAny(name, ":-/") && text == "" || name == "help" || name == "completion" {
				continue
			}
			subs = true
			below(slices.Concat(words, []string{name}))
		}
		if !subs && len(words) > 0 {
			all = append(all, strings.Join(words, " "))
		}
	}
	below(nil)
	if !slices.Contains(all, "export") || !slices.Contains(all, "models auth list") {
		v.t.Fatalf("these are not all the commands: %q", all)
	}
	return all
}

// TestCanaries: a refresh token is nowhere, an access token only where the person
// wants it: on the stdout of a call that hands one out, or in a file that they
// named; whatever the format, the kind of login and the command.
func TestCanaries(t *testing.T) {
	t.Parallel()
	v := newAviary(t, time.Hour)
	for _, profile := range v.profiles() {
		for _, p := range v.handOuts(profile) {
			got := v.ask(p)
			if got.code != 0 && got.code != 2 {
				t.Errorf("%s: exit %d\n%s", p, got.code, got.stderr)
			}
		}
	}
	for _, s := range export.Formats() {
		if !v.shown[s.Name] {
			t.Errorf("no login was handed out as %s", s.Name)
		}
	}
	wanted := map[string]bool{"token": true, "run": true}
	for _, p := range v.others() {
		v.ask(p)
		if p.shows {
			wanted[p.kind()] = true
		}
	}
	delete(wanted, "helper openclaw") // which asks for more than its start
	for kind := range wanted {
		if !v.shown[kind] {
			t.Errorf("keytray %s showed no token", kind)
		}
	}
}

// TestCanariesInProcesses: no argument and no environment of keytray or of a
// program that it starts has a secret.
func TestCanariesInProcesses(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	v := newAviary(t, time.Hour)
	trace := filepath.Join(v.out, "trace")
	under := []string{"strace", "-f", "--seccomp-bpf", "-qq", "-v", "-s", "1000000", "-o", trace, "-e", "trace=execve,execveat"}
	never, access := v.canaries()
	for _, p := range v.others() {
		v.askUnder(under, p)
		b, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "execve(") {
			t.Errorf("%s: no program in the trace", p)
		}
		for line := range strings.Lines(string(b)) {
			argv, env, _ := strings.Cut(line, "], [")
			if p.lends {
				env = ""
			}
			if what := cmp.Or(never.find(line), access.find(argv), access.find(env)); what != "" {
				t.Errorf("%s: %s among arguments or environment", p, what)
			}
		}
	}
}

// echoes are answers that hold what was sent, and whatever else a server knows.
func echoes() map[string]func(w http.ResponseWriter, sent string) {
	body := func(code int, contentType, format string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, sent string) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			fmt.Fprintf(w, format, sent)
		}
	}
	return map[string]func(http.ResponseWriter, string){
		"500 in text":         body(500, "text/plain", "cannot renew %[1]s"),
		"503 in a page":       body(503, "text/html", "<h1>%[1]s</h1>"),
		"400 that explains":   body(400, "application/json", `{"error":"invalid_request","error_description":"bad token %[1]s","error_uri":"https://x.example/%[1]s"}`),
		"429 as a code":       body(429, "application/json", `{"error":"%[1]s"}`),
		"200 in a page":       body(200, "text/html", "<p>%[1]s</p>"),
		"200 without token":   body(200, "application/json", `{"refresh":"%[1]s","access_token":7}`),
		"200 of another type": body(200, "application/json", `{"token_type":"%[1]s","access_token":"x"}`),
		"a header": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Retry-After", sent)
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"a redirect": func(w http.ResponseWriter, sent string) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+sent)
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"revoked": body(400, "application/json", `{"error":"invalid_grant","error_description":"%[1]s was revoked"}`),
	}
}

// TestCanariesWhenTheServerEchoes: what a server sends back is not repeated.
func TestCanariesWhenTheServerEchoes(t *testing.T) {
	t.Parallel()
	for name, answer := range echoes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newAviary(t, time.Second)
			v.pass(spacing)
			v.as.onRefresh(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				_ = r.ParseForm()
				answer(w, r.PostForm.Get("refresh_token"))
			})
			for _, p := range append(v.tokens(profileID), probe{args: []string{"refresh", profileID}},
				probe{args: []string{"export", profileID, "--format", "codex", "--out", filepath.Join(v.out, "auth.json")}},
				probe{args: []string{"status", "--json"}}, probe{args: []string{"doctor"}}, probe{args: []string{"watch"}, limit: 2 * time.Second}) {
				if got := v.ask(p); got.code == 0 && p.shows {
					t.Errorf("%s: exit 0 though nothing was renewed", p)
				}
			}
			if v.as.sends() == 0 {
				t.Error("nothing was sent, so nothing was echoed")
			}
		})
	}
}

// TestCanariesInErrors: bad arguments, no login, a locked keychain, and stdout or
// a file that cannot be written.
func TestCanariesInErrors(t *testing.T) {
	t.Parallel()
	v := newAviary(t, time.Hour)
	link, shared := filepath.Join(v.out, "link"), filepath.Join(v.out, "shared")
	if err := errors.Join(os.Symlink("elsewhere", link), os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777)); err != nil {
		t.Fatal(err)
	}
	fails := func(args ...string) {
		t.Helper()
		if got := v.ask(probe{args: args}); got.code == 0 || got.stdout != "" {
			t.Errorf("keytray %q: exit %d, %d bytes on stdout", args, got.code, len(got.stdout))
		}
	}
	for _, s := range export.Formats() {
		for _, bad := range [][]string{
			{"--shell", "csh"},
			{"--min-ttl", "-1s"},
			{"--min-ttl", "2h"},
			{"--min-ttl", "2h", "--no-refresh"},
			{"--no-such-flag"},
			{"--profile", profileID},
			{"--model", "demo/x"},
			{"--out", link},
			{"--out", v.out},
			{"--out", filepath.Join(shared, "x")},
			{"--out", "/dev/full"},
			{"--out", "-"},
		} {
			fails(slices.Concat([]string{"export", profileID, "--format", s.Name}, bad)...)
		}
		fails("export", "nobody:there", "--format", s.Name)
		fails("export", "--agent", "nobody", "--format", s.Name)
		if code, stderr := v.into(fullDevice(t), "export", profileID, "--format", s.Name); code == 0 {
			t.Errorf("export as %s into a full disk: exit 0", s.Name)
		} else {
			v.judge(probe{args: []string{"export", "--format", s.Name}}, result{stderr: stderr, code: code})
		}
	}
	fails("export", profileID, "--format", "toml")
	fails("token", profileID, "--format", "codex")
	if err := v.bus.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, profile := range v.profiles() {
		for _, s := range export.Formats() {
			fails("export", profile, "--format", s.Name, "--out", filepath.Join(v.out, "locked"))
			fails("export", profile, "--format", s.Name)
		}
		fails("token", profile)
	}
	for _, p := range v.others() {
		p.shows = false
		v.ask(p)
	}
}

func fullDevice(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCanarySearchFinds: the searches above are worth something only if they can
// fail.
func TestCanarySearchFinds(t *testing.T) {
	t.Parallel()
	const planted = "xK3-qP9_zR7vT1wY5uN8mB2cD4fG6hJ0aS"
	c := canaries{}
	c.add("it", planted)
	for _, text := range []string{
		"a " + planted, planted[5:20], hex.EncodeToString([]byte(planted)), url.QueryEscape(planted),
		base64.StdEncoding.EncodeToString([]byte("user:" + planted)), base64.RawURLEncoding.EncodeToString([]byte(planted + "x")),
	} {
		if c.find(text) == "" {
			t.Errorf("not found in %q", text)
		}
	}
	if what := c.find("nothing of the kind " + planted[:piece-1]); what != "" {
		t.Errorf("%s was found in nothing", what)
	}
}
