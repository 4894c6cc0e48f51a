package client_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// jwt is an unsigned token that lives for another hour.
func jwt(name string) string {
	claims := fmt.Sprintf(`{"name":%q,"exp":%d}`, name, time.Now().Add(time.Hour).Unix())
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "."
}

// home is a person's home folder with one file in it.
type home struct {
	t   *testing.T
	dir string
	src client.Source
}

// newHome writes text where program has its file.
func newHome(t *testing.T, program, text string) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir()}
	path := filepath.Join(h.dir, filepath.FromSlash(map[string]string{
		"codex":           ".codex/auth.json",
		"claude":          ".claude/.credentials.json",
		"openclaw":        ".openclaw/agents/main/agent/auth-profiles.json",
		"openclaw-legacy": ".openclaw/credentials/oauth.json",
		"pi":              ".pi/agent/auth.json",
		"opencode":        ".local/share/opencode/auth.json",
	}[program]))
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	found, err := client.Find(strings.TrimSuffix(program, "-legacy"), h.places())
	must(t, err)
	if len(found) != 1 || found[0].Path != path || found[0].Program != program {
		t.Fatalf("found %v, want %s", found, path)
	}
	h.src = found[0]
	return h
}

func (h *home) places() client.Places {
	return client.Places{Home: h.dir, Agent: "main", Getenv: func(string) string { return "" }}
}

func (h *home) text() string {
	h.t.Helper()
	b, err := os.ReadFile(h.src.Path)
	must(h.t, err)
	return string(b)
}

// strip takes the login of that name out of the file.
func (h *home) strip(name string) {
	h.t.Helper()
	held, err := h.src.Hold(h.t.Context(), name)
	must(h.t, err)
	defer held.Close()
	_, err = held.Strip()
	must(h.t, err)
}

func (h *home) left(name string, kind sink.Kind) string {
	h.t.Helper()
	s, err := client.Left(sink.Origin{Program: h.src.Program, Path: h.src.Path, Name: name}, kind)
	must(h.t, err)
	return s.Reveal()
}

// files are the names below the home folder.
func (h *home) files() []string {
	h.t.Helper()
	var names []string
	must(h.t, filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(h.dir, path); relErr == nil && !d.IsDir() {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	}))
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shape is a file as its program writes it, what is found in it, and what is left
// after it has been stripped of the login NAME.
type shape struct {
	what, program, name string
	before, after       string
	want                client.Login
}

func shapes() []shape {
	at, id := jwt("access"), jwt("id")
	fill := strings.NewReplacer("AT", at, "ID", id).Replace
	chatgpt := client.Login{Provider: "openai-codex", Kind: sink.KindOAuth, Access: secret.New(at), Refresh: secret.New("rt_old")}
	static := func(provider string, kind sink.Kind, s string) client.Login {
		return client.Login{Provider: provider, Kind: kind, Access: secret.New(s)}
	}
	return []shape{
		{
			"codex, ChatGPT", "codex", "tokens",
			fill(`{
  "auth_mode": "chatgpt",
  "OPENAI_API_KEY": null,
  "tokens": {
    "id_token": "ID",
    "access_token": "AT",
    "refresh_token": "rt_old",
    "oauth_provenance": { "issuer": "https://auth.openai.com", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann" },
    "login_owner_id": "owner<1>",
    "account_id": "acct-1"
  },
  "last_refresh": "2026-11-23T01:49:34.212567008Z",
  "later": [1.50, {"x": null}]
}`),
			fill(`{
  "auth_mode": "chatgptAuthTokens",
  "OPENAI_API_KEY": null,
  "tokens": {
    "id_token": "ID",
    "access_token": "AT",
    "refresh_token": "",
    "oauth_provenance": {
      "issuer": "https://auth.openai.com",
      "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"
    },
    "login_owner_id": "owner<1>",
    "account_id": "acct-1"
  },
  "last_refresh": "2026-11-23T01:49:34.212567008Z",
  "later": [
    1.50,
    {
      "x": null
    }
  ]
}`),
			chatgpt,
		},
		{
			"codex, an early file", "codex", "tokens",
			fill(`{"tokens":{"access_token":"AT","refresh_token":"rt_old","id_token":"ID"},"last_refresh":"2026-11-23T01:49:34Z"}`),
			fill(`{"tokens":{"access_token":"AT","refresh_token":"","id_token":"ID"},"last_refresh":"2026-11-23T01:49:34Z","auth_mode":"chatgptAuthTokens"}`),
			chatgpt,
		},
		{
			"codex, a key", "codex", "OPENAI_API_KEY",
			`{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1","later":1}`, `{"OPENAI_API_KEY":null,"later":1}`,
			static("openai", sink.KindAPIKey, "sk-1"),
		},
		{
			"codex, a personal access token", "codex", "personal_access_token",
			`{"OPENAI_API_KEY":"sk-1","personal_access_token":"at-1"}`, `{"OPENAI_API_KEY":"sk-1","personal_access_token":null}`,
			static("openai-codex", sink.KindToken, "at-1"),
		},
		{
			"claude, a setup token", "claude", "claudeAiOauth",
			`{"mcpOAuth":{"x":{"refreshToken":"theirs"}},"claudeAiOauth":{"accessToken":"sk-ant-oat01-1","expiresAt":null}}`,
			`{"mcpOAuth":{"x":{"refreshToken":"theirs"}}}`,
			static("anthropic", sink.KindToken, "sk-ant-oat01-1"),
		},
		{
			"openclaw, OAuth", "openclaw", "openai-codex:default",
			fill(`{
  "version": 1,
  "profiles": {
    "anthropic:manual": {"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-2"},
    "openai-codex:default": {"type": "oauth", "provider": "OpenAI-codex", "access": "AT", "refresh": "rt_old", "expires": 1796260746000, "accountId": "acct-1", "x_unknown": 7}
  },
  "order": {"openai-codex": ["openai-codex:default"]}
}
`),
			fill(`{
  "version": 1,
  "profiles": {
    "anthropic:manual": {
      "type": "token",
      "provider": "anthropic",
      "token": "sk-ant-oat01-2"
    },
    "openai-codex:default": {
      "type": "token",
      "provider": "OpenAI-codex",
      "expires": 1796260746000,
      "accountId": "acct-1",
      "x_unknown": 7,
      "token": "AT"
    }
  },
  "order": {
    "openai-codex": [
      "openai-codex:default"
    ]
  }
}
`),
			chatgpt,
		},
		{
			"openclaw, a setup token", "openclaw", "anthropic:default",
			`{"version":1,"profiles":{"anthropic:default":{"type":"token","provider":"anthropic","token":"sk-ant-oat01-1"}}}`,
			`{"version":1,"profiles":{}}`,
			static("anthropic", sink.KindToken, "sk-ant-oat01-1"),
		},
		{
			"openclaw, a key by its other names", "openclaw", "groq:default",
			`{"profiles":{"groq:default":{"mode":"api_key","provider":"groq","apiKey":"gsk_1"}}}`, `{"profiles":{}}`,
			static("groq", sink.KindAPIKey, "gsk_1"),
		},
		{
			"openclaw, the oldest file", "openclaw-legacy", "openai-codex",
			fill(`{"openai-codex":{"access":"AT","refresh":"rt_old","expires":1},"anthropic":{"access":"a","refresh":"r","expires":1}}`),
			`{"anthropic":{"access":"a","refresh":"r","expires":1}}`,
			chatgpt,
		},
		{
			"pi, OAuth", "pi", "openai-codex",
			fill(`{"openai-codex":{"type":"oauth","access":"AT","refresh":"rt_old","expires":1796260746000,"accountId":"acct-1"},"groq":{"type":"api_key","key":"GROQ_API_KEY"}}`),
			fill(`{"openai-codex":{"type":"api_key","accountId":"acct-1","key":"AT"},"groq":{"type":"api_key","key":"GROQ_API_KEY"}}`),
			chatgpt,
		},
		{
			"pi, a key", "pi", "groq",
			`{"groq":{"type":"api_key","key":"gsk_1"},"mistral":{"type":"api_key","key":"!pass mistral"}}`,
			`{"mistral":{"type":"api_key","key":"!pass mistral"}}`,
			static("groq", sink.KindAPIKey, "gsk_1"),
		},
		{
			"opencode, OAuth", "opencode", "openai",
			fill(`{"openai":{"type":"oauth","refresh":"rt_old","access":"AT","expires":1796260746000,"accountId":"acct-1"},"corp":{"type":"wellknown","key":"K","token":"T"}}`),
			fill(`{"openai":{"type":"oauth","refresh":"","access":"AT","expires":1796260746000,"accountId":"acct-1"},"corp":{"type":"wellknown","key":"K","token":"T"}}`),
			chatgpt,
		},
		{
			"opencode, a key", "opencode", "openrouter",
			`{"openrouter":{"type":"api","key":"sk-or-1","metadata":{"a":"b"}}}`, `{}`,
			static("openrouter", sink.KindAPIKey, "sk-or-1"),
		},
	}
}

// TestALoginIsTakenOutOfItsFile: what is found, what is left, and that all else is
// as it was.
func TestALoginIsTakenOutOfItsFile(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.what, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, s.program, s.before)
			var got *client.Login
			logins, err := h.src.Logins()
			must(t, err)
			for _, l := range logins {
				if l.Name == s.name {
					got = &l
				}
			}
			if got == nil || got.Provider != s.want.Provider || got.Kind != s.want.Kind ||
				!got.Access.Equal(s.want.Access) || !got.Refresh.Equal(s.want.Refresh) || !got.Usable() {
				t.Fatalf("found %+v, want %+v", got, s.want)
			}
			if left := h.left(s.name, got.Kind); left == "" {
				t.Error("before, the file has nothing")
			}
			before := h.files()
			h.strip(s.name)
			if got := h.text(); got != s.after {
				t.Errorf("the file became\n%s\nwant\n%s", got, s.after)
			}
			if left := h.left(s.name, got.Kind); left != "" {
				t.Error("afterwards, the file still has it")
			}
			if fi, err := os.Stat(h.src.Path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v, want 0600", fi.Mode(), err)
			}
			again, err := h.src.Logins()
			must(t, err)
			for _, l := range again { // an access token that is filed as a key is all there may be
				if l.Name == s.name && (l.Kind == sink.KindOAuth || !l.Access.Equal(s.want.Access) || s.want.Kind != sink.KindOAuth) {
					t.Errorf("afterwards, there is still %+v", l)
				}
			}
			if s.program == "codex" {
				before = append(before, ".codex/auth.json.lock", ".codex/auth.lock")
			}
			if after := h.files(); len(after) != len(before) {
				t.Errorf("files afterwards: %q, before: %q", after, before)
			}
		})
	}
}

// TestTheLastLoginGoesWithItsFile where an empty one does harm: newer versions of
// OpenClaw do not start where the oldest file is, and Codex takes an empty file
// for a login.
func TestTheLastLoginGoesWithItsFile(t *testing.T) {
	t.Parallel()
	for _, s := range []shape{
		{program: "openclaw-legacy", name: "openai-codex", before: `{"openai-codex":{"access":"a","refresh":"r","expires":1}}`},
		{program: "codex", name: "OPENAI_API_KEY", before: `{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1"}`},
		{program: "codex", name: "personal_access_token", before: `{"OPENAI_API_KEY":null,"personal_access_token":"at-1"}`},
	} {
		h := newHome(t, s.program, s.before)
		h.strip(s.name)
		if _, err := os.Lstat(h.src.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", s.before, err)
		}
		if got := h.left(s.name, sink.KindOAuth); got != "" {
			t.Error("a file that is gone has a login")
		}
	}
}

// TestCodexGetsWhatItNeeds: without last_refresh it sends no token at all, and
// without an id token it cannot read the file.
func TestCodexGetsWhatItNeeds(t *testing.T) {
	t.Parallel()
	h := newHome(t, "codex", `{"tokens":{"access_token":"a.b.c","refresh_token":"r"}}`)
	h.strip("tokens")
	var got struct {
		Mode    string `json:"auth_mode"`
		Tokens  map[string]string
		Refresh time.Time `json:"last_refresh"`
	}
	must(t, json.Unmarshal([]byte(h.text()), &got))
	if got.Mode != "chatgptAuthTokens" || got.Tokens["id_token"] != "a.b.c" || time.Since(got.Refresh) > time.Minute {
		t.Errorf("the file became %s", h.text())
	}
	if rt, ok := got.Tokens["refresh_token"]; rt != "" || !ok {
		t.Errorf("refresh_token is %q, %v, want empty and there", rt, ok)
	}
}

// TestAFileOfOursKeepsNoToken, not even the access token.
func TestAFileOfOursKeepsNoToken(t *testing.T) {
	t.Parallel()
	h := newHome(t, "openclaw", `{"profiles":{"openai-codex:default":{"type":"oauth","provider":"openai-codex","access":"a","refresh":"r","idToken":"i","displayName":"me"}}}`)
	h.src.Bare = true
	h.strip("openai-codex:default")
	if got, want := h.text(), `{"profiles":{"openai-codex:default":{"type":"oauth","provider":"openai-codex","displayName":"me"}}}`; got != want {
		t.Errorf("the file became\n%s\nwant\n%s", got, want)
	}
}

// TestWhatStandsForASecretIsNone.
func TestWhatStandsForASecretIsNone(t *testing.T) {
	t.Parallel()
	for program, text := range map[string]string{
		"openclaw": `{"profiles":{
			"a:1":{"type":"oauth","provider":"a","access":"openclaw-oauth-refresh-fence:v1:x:access:00","refresh":"openclaw-oauth-refresh-fence:v1:x:refresh:00","expires":1},
			"a:2":{"type":"token","provider":"a","tokenRef":{"source":"exec","provider":"keytray","id":"p/0"}},
			"a:3":{"type":"api_key","provider":"a","key":"${A_KEY}"},
			"a:4":{"type":"api_key","provider":"a","key":{"source":"env","id":"A_KEY"}},
			"a:5":{"type":"oauth","provider":"a","access":"x","refresh":""},
			"a:6":{"type":"cookie","provider":"a","token":"x"}}}`,
		"codex":    `{"auth_mode":"chatgptAuthTokens","OPENAI_API_KEY":null,"tokens":{"id_token":"i","access_token":"a","refresh_token":""},"last_refresh":"2026-11-23T01:49:34Z"}`,
		"claude":   `{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}`,
		"pi":       `{"a":{"type":"api_key","key":"!keytray token a"},"b":{"type":"api_key","key":"B_API_KEY"}}`,
		"opencode": `{"a":{"type":"oauth","refresh":"","access":"x","expires":1}}`,
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			logins, err := newHome(t, program, text).src.Logins()
			if err != nil || len(logins) > 0 {
				t.Errorf("found %+v, %v, want nothing", logins, err)
			}
		})
	}
}

// TestAFencedLoginIsNobodys: while OpenClaw renews it nobody can tell who has it.
func TestAFencedLoginIsNobodys(t *testing.T) {
	t.Parallel()
	h := newHome(t, "openclaw", `{"profiles":{"a:1":{"type":"oauth","provider":"a","access":"openclaw-oauth-refresh-fence:v1:x:access:00","refresh":"openclaw-oauth-refresh-fence:v1:x:refresh:00"}}}`)
	_, err := client.Left(sink.Origin{Program: "openclaw", Path: h.src.Path, Name: "a:1"}, sink.KindOAuth)
	if !errors.Is(err, client.ErrBusy) {
		t.Errorf("left: %v, want ErrBusy", err)
	}
}

func TestClaimsAreRead(t *testing.T) {
	t.Parallel()
	h := newHome(t, "openclaw", `{"profiles":{"a:1":{"type":"oauth","provider":"a","access":"x","refresh":"y","issuer":"https://evil.example","clientId":"c","tokenEndpoint":"https://evil.example/t"}}}`)
	logins, err := h.src.Logins()
	must(t, err)
	if want := (client.Claim{Issuer: "https://evil.example", Client: "c", TokenEndpoint: "https://evil.example/t"}); logins[0].Claim != want {
		t.Errorf("claim = %+v, want %+v", logins[0].Claim, want)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"auth.json", ".credentials.json", "state/openclaw.sqlite"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("{}"), 0o600))
	}
	env := map[string]string{"CODEX_HOME": dir, "CLAUDE_CONFIG_DIR": "/nowhere", "CLAUDE_SECURESTORAGE_CONFIG_DIR": dir, "PI_CODING_AGENT_DIR": dir, "OPENCLAW_STATE_DIR": dir, "XDG_DATA_HOME": "relative"}
	p := client.Places{Home: t.TempDir(), Agent: "main", Getenv: func(name string) string { return env[name] }}
	for _, program := range client.Programs() {
		found, err := client.Find(program, p)
		refused, isRefused := errors.AsType[*client.RefusedError](err)
		switch program {
		case "codex", "claude", "pi":
			if err != nil || len(found) != 1 || filepath.Dir(found[0].Path) != dir {
				t.Errorf("%s: %v, %v", program, found, err)
			}
		case "opencode":
			if !errors.Is(err, client.ErrNothing) {
				t.Errorf("%s: %v, want ErrNothing", program, err)
			}
		default:
			if !isRefused || refused.Reason == "" || refused.Hint == "" {
				t.Errorf("%s: %v, want to be refused", program, err)
			}
		}
	}
	if _, err := client.Find("emacs", p); !errors.Is(err, client.ErrUnknownProgram) {
		t.Errorf("emacs: %v, want ErrUnknownProgram", err)
	}
	if _, ok := client.Legacy(dir, dir, filepath.Join(dir, "credentials")); ok {
		t.Error("a legacy file was found where there is a database")
	}
}

// hostile are texts that no program writes. CANARY is a secret in them.
var hostile = map[string]string{
	"empty":                    ``,
	"not an object":            `["CANARY"]`,
	"cut off":                  `{"profiles":{"a:1":{"type":"oauth","provider":"a","access":"CANARY`,
	"two objects":              `{"profiles":{}}{"refresh":"CANARY"}`,
	"a member twice":           `{"profiles":{"a:1":{"type":"oauth","provider":"a","access":"x","refresh":"CANARY","refresh":"y"}}}`,
	"a profile twice":          `{"profiles":{"a:1":{"type":"token","provider":"a","token":"CANARY"},"a:1":{"type":"token","provider":"a","token":"x"}}}`,
	"twice where nobody looks": `{"profiles":{},"x":[{"a":1,"a":"CANARY"}]}`,
	"twice, spelled apart":     `{"profiles":{},"x":{"a":1,"\u0061":"CANARY"}}`,
	"deep":                     `{"x":` + strings.Repeat("[", 100_000) + `"CANARY"` + strings.Repeat("]", 100_000) + `}`,
	"deep objects":             strings.Repeat(`{"a":`, 5000) + `"CANARY"` + strings.Repeat("}", 5000),
	"a number for a token":     `{"profiles":{"a:1":{"type":"oauth","provider":"a","access":7,"refresh":"CANARY"}}}`,
	"a list of profiles":       `{"profiles":["CANARY"]}`,
	"a profile that is text":   `{"profiles":{"a:1":"CANARY"}}`,
	"expires as text":          `{"profiles":{"a:1":{"type":"token","provider":"a","token":"CANARY","expires":"soon"}}}`,
	"not UTF-8":                "{\"profiles\":{\"a:1\":{\"type\":\"token\",\"provider\":\"a\",\"token\":\"CANARY\xff\"}}}",
	"huge":                     `{"profiles":{},"x":"` + strings.Repeat("CANARY", 1<<20) + `"}`,
}

// TestAHostileFileIsLeftAsItIs, with an error that quotes nothing of it.
func TestAHostileFileIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for what, text := range hostile {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, "openclaw", text)
			before := h.stat()
			_, err := h.src.Logins()
			h.refused(err)
			_, err = h.src.Hold(t.Context(), "a:1")
			h.refused(err)
			_, err = client.Left(sink.Origin{Program: "openclaw", Path: h.src.Path, Name: "a:1"}, sink.KindOAuth)
			h.refused(err)
			if after := h.stat(); h.text() != text || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
				t.Error("the file was touched")
			}
			if names := h.files(); len(names) != 1 {
				t.Errorf("left behind: %q", names)
			}
		})
	}
}

func (h *home) stat() fs.FileInfo {
	h.t.Helper()
	fi, err := os.Lstat(h.src.Path)
	must(h.t, err)
	return fi
}

// refused checks that err is one, of an hostile file, and gives nothing away.
func (h *home) refused(err error) {
	h.t.Helper()
	_, unsafe := errors.AsType[*disk.UnsafeError](err)
	if !errors.Is(err, client.ErrFormat) && !unsafe {
		h.t.Errorf("error %v, want ErrFormat or an unsafe file", err)
	}
	if err != nil && (strings.Contains(err.Error(), "CANARY") || len(err.Error()) > 500) {
		h.t.Errorf("the error quotes the file: %.500s", err.Error())
	}
}

// TestAnUnsafeFileIsNotTouched.
func TestAnUnsafeFileIsNotTouched(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes, links and pipes are those of Unix")
	}
	const text = `{"profiles":{"a:1":{"type":"token","provider":"a","token":"secret"}}}`
	for what, spoil := range map[string]func(t *testing.T, path string) error{
		"group-writable": func(_ *testing.T, path string) error { return os.Chmod(path, 0o660) },
		"a symlink": func(_ *testing.T, path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		},
		"a hard link":   func(_ *testing.T, path string) error { return os.Link(path, path+".other") },
		"a folder":      func(_ *testing.T, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe":        func(_ *testing.T, path string) error { return errors.Join(os.Remove(path), mkfifo(path)) },
		"another owner": chownAway,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, "openclaw", text)
			must(t, spoil(t, h.src.Path))
			names, before := h.files(), h.stat()
			for _, err := range h.attempts("a:1") {
				if _, ok := errors.AsType[*disk.UnsafeError](err); !ok {
					t.Errorf("error %v, want an unsafe file", err)
				}
			}
			if after := h.stat(); after.Mode() != before.Mode() || !os.SameFile(before, after) || len(h.files()) != len(names) {
				t.Errorf("it was touched: %v, was %v; %q", after.Mode(), before.Mode(), h.files())
			}
		})
	}
}

// attempts are the errors of all that reads the file.
func (h *home) attempts(name string) []error {
	_, err1 := h.src.Logins()
	_, err2 := h.src.Hold(h.t.Context(), name)
	_, err3 := client.Left(sink.Origin{Program: h.src.Program, Path: h.src.Path, Name: name}, sink.KindToken)
	return []error{err1, err2, err3}
}

func chownAway(t *testing.T, path string) error {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	return os.Chown(path, 12345, 12345)
}

// TestAFileThatChangedMeanwhileIsNotRewritten: its owner has gone on without a
// lock.
func TestAFileThatChangedMeanwhileIsNotRewritten(t *testing.T) {
	t.Parallel()
	h := newHome(t, "opencode", `{"openai":{"type":"oauth","refresh":"r1","access":"a1"}}`)
	held, err := h.src.Hold(t.Context(), "openai")
	must(t, err)
	defer held.Close()
	const next = `{"openai":{"type":"oauth","refresh":"r2","access":"a2"}}`
	must(t, os.WriteFile(h.src.Path, []byte(next), 0o600))
	if touched, err := held.Strip(); touched || !errors.Is(err, client.ErrChanged) {
		t.Errorf("strip: %v, want ErrChanged", err)
	}
	if h.text() != next {
		t.Errorf("the owner's file became %s", h.text())
	}
}

// TestAFolderThatIsAwayTellsNothing: a login whose file's whole folder is gone may
// come back with it.
func TestAFolderThatIsAwayTellsNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t, "pi", `{"a":{"type":"oauth","refresh":"r1","access":"a1"}}`)
	must(t, os.Rename(filepath.Dir(h.src.Path), filepath.Join(h.dir, "away")))
	if _, err := client.Left(sink.Origin{Program: "pi", Path: h.src.Path, Name: "a"}, sink.KindOAuth); err == nil {
		t.Error("somebody could tell")
	}
	must(t, os.Mkdir(filepath.Dir(h.src.Path), 0o700))
	if got := h.left("a", sink.KindOAuth); got != "" {
		t.Error("a file that is gone has a login")
	}
}

// TestWhatADeadImportLeftGoes: the unfinished new file has the other logins'
// secrets.
func TestWhatADeadImportLeftGoes(t *testing.T) {
	t.Parallel()
	h := newHome(t, "pi", `{"a":{"type":"oauth","refresh":"r1","access":"a1"},"b":{"type":"api_key","key":"k"}}`)
	temp := filepath.Join(filepath.Dir(h.src.Path), ".auth.json.keytray-"+client.Short("a"))
	must(t, os.WriteFile(temp, []byte(`{"b":{"type":"api_key","key":"k"}`), 0o600))
	if got := h.left("a", sink.KindOAuth); got != "r1" {
		t.Errorf("left %q, want the old token", got)
	}
	if names := h.files(); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}
