package openclaw_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/client/openclaw"
)

func TestVersionsAreRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		said     string
		want     string
		database bool
	}{
		{"2026.2.26\n", "2026.2.26", false},
		{"OpenClaw 2026.5.28 (e932160)\n", "2026.5.28", false},
		{"OpenClaw 2026.6.1", "2026.6.1", false},
		{"OpenClaw 2026.6.5", "2026.6.5", true},
		{"OpenClaw 2026.7.2-beta.1 (x)", "2026.7.2", true},
		{"a warning\nOpenClaw 2026.10.0 (eb377ac)\n", "2026.10.0", true},
	} {
		v, ok := openclaw.ParseVersion(tt.said)
		if !ok || v.String() != tt.want || v.HasDatabase() != tt.database {
			t.Errorf("%q is version %v (%v), database %v; want %s, %v", tt.said, v, ok, v.HasDatabase(), tt.want, tt.database)
		}
	}
	for _, said := range []string{"", "v24.21.0", "2026", "OpenClaw"} {
		if v, ok := openclaw.ParseVersion(said); ok {
			t.Errorf("%q is version %v, want none", said, v)
		}
	}
}

func TestChatGPTHasItsNameOfTheVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[openclaw.Version]string{{2026, 5, 28}: "openai-codex", {2026, 9, 6}: "openai"} {
		if got := version.Provider("openai-codex"); got != want {
			t.Errorf("openai-codex in %s is %q, want %q", version, got, want)
		}
		if got := version.Provider("demo"); got != "demo" {
			t.Errorf("demo in %s is %q", version, got)
		}
	}
}

func TestWhichOpenClawIsMeant(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, tt := range []struct {
		vars map[string]string
		want string
	}{
		{nil, filepath.Join(home, ".openclaw")},
		{map[string]string{"OPENCLAW_STATE_DIR": "~/claw"}, filepath.Join(home, "claw")},
		{map[string]string{"OPENCLAW_STATE_DIR": filepath.Join(home, "a", "..", "b")}, filepath.Join(home, "b")},
		{map[string]string{"OPENCLAW_HOME": filepath.Join(home, "h")}, filepath.Join(home, "h", ".openclaw")},
		{map[string]string{"OPENCLAW_PROFILE": "work"}, filepath.Join(home, ".openclaw-work")},
		{map[string]string{"OPENCLAW_PROFILE": "work", "OPENCLAW_STATE_DIR": filepath.Join(home, "s")}, filepath.Join(home, "s")},
	} {
		if got := (openclaw.Program{Vars: tt.vars}).Dir(home); got != tt.want {
			t.Errorf("with %v: %s, want %s", tt.vars, got, tt.want)
		}
	}
}

func TestNobodyIsNotFound(t *testing.T) {
	t.Parallel()
	if _, err := openclaw.Find(filepath.Join(t.TempDir(), "openclaw"), nil); !errors.Is(err, openclaw.ErrNotFound) {
		t.Errorf("Find of nothing: %v, want ErrNotFound", err)
	}
}

func TestOnlyVariablesThatAreNoSecretsAreKept(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := openclaw.Find(self, []string{"OPENCLAW_GATEWAY_TOKEN=s3cret", "OPENCLAW_STATE_DIR=/a", "OPENCLAW_STATE_DIR=/b", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Vars) != 1 || p.Vars["OPENCLAW_STATE_DIR"] != "/b" || p.Path != self || p.Beside[0] != filepath.Dir(self) {
		t.Errorf("Find = %+v", p)
	}
}

func TestRequestsAreRead(t *testing.T) {
	t.Parallel()
	got, err := openclaw.ReadRequest(strings.NewReader(`{"protocolVersion":1,"provider":"keytray","ids":["a","b"],"new":{}}`))
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("ReadRequest = %q, %v", got, err)
	}
	many := `{"protocolVersion":1,"ids":[` + strings.Repeat(`"x",`, 512) + `"x"]}`
	for _, q := range []string{
		"", "{}", "[]", `{"protocolVersion":2,"ids":[]}`, `{"protocolVersion":1,"ids":"a"}`, `{"protocolVersion":1,"ids":[1]}`,
		many, `{"protocolVersion":1,"ids":["` + strings.Repeat("x", 256<<10) + `"]}`,
	} {
		if got, err := openclaw.ReadRequest(strings.NewReader(q)); !errors.Is(err, openclaw.ErrRequest) {
			t.Errorf("ReadRequest(%.40q) = %q, %v; want ErrRequest", q, got, err)
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(`{"protocolVersion":1,"provider":"keytray","ids":["p/0123456789abcdef"]}`))
	f.Add([]byte(`{"protocolVersion":1,"ids":null}`))
	f.Add([]byte(`{"protocolVersion":1e0,"IDS":["\ud800"]} `))
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := openclaw.ReadRequest(strings.NewReader(string(b)))
		if err != nil && ids != nil {
			t.Errorf("an error with ids: %q, %v", ids, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("an error that repeats the request: %v", err)
		}
	})
}
