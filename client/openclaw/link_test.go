package openclaw

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
)

func link(t *testing.T) Link {
	t.Helper()
	folder := t.TempDir()
	p := Program{Path: filepath.Join(folder, "openclaw"), Beside: []string{folder}, Vars: map[string]string{"OPENCLAW_PROFILE": "work"}}
	l := NewLink(folder, p, filepath.Join(folder, "claw"), filepath.Join(folder, "root"), filepath.Join(folder, "resolver"), nil)
	l.Profiles = []Profile{{Agent: "main", ID: "demo:a", Name: "demo:keytray-a", Provider: "demo", Kind: sink.KindOAuth, Ref: "p/0123456789abcdef", Before: []string{"demo:x"}}}
	return l
}

func TestALinkIsFoundAgain(t *testing.T) {
	t.Parallel()
	l := link(t)
	if got, err := Links(filepath.Join(l.folder, "nowhere")); got != nil || err != nil {
		t.Errorf("Links of no folder = %v, %v", got, err)
	}
	if err := l.Save(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.folder, "other"+suffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Links(l.folder)
	if err == nil || len(got) != 1 || !reflect.DeepEqual(got[0], l) {
		t.Errorf("Links = %+v, %v; want the one that was saved and an error of the other", got, err)
	}
	if again := NewLink(l.folder, l.Program, l.Dir, l.Root, l.Resolver, got); !reflect.DeepEqual(again.Profiles, l.Profiles) {
		t.Errorf("connecting again forgets %v", l.Profiles)
	}
	if other := NewLink(l.folder, l.Program, l.Dir, "/elsewhere", l.Resolver, got); other.Profiles != nil {
		t.Errorf("another root's link has %v", other.Profiles)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if got, _ := Links(l.folder); len(got) != 0 {
		t.Errorf("after Remove: %v", got)
	}
}

func TestAReloadIsOwedUntilItWasServed(t *testing.T) {
	t.Parallel()
	l := link(t)
	first, second := Generations{"p/a": 1, "p/b": 5}, Generations{"p/a": 2, "p/b": 5}
	if !l.Owed(first) {
		t.Error("nothing is owed to a gateway that was never told")
	}
	if err := l.Serve(first); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		now  Generations
		want bool
	}{{first, false}, {second, true}, {Generations{"p/a": 1}, false}, {Generations{}, false}, {Generations{"p/c": 1}, true}} {
		if got := l.Owed(tt.now); got != tt.want {
			t.Errorf("after %v, Owed(%v) = %v, want %v", first, tt.now, got, tt.want)
		}
	}
	if err := os.WriteFile(l.servedFile(), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !l.Owed(first) {
		t.Error("with its note lost nothing is owed")
	}
}

func TestNamesInOpenClaw(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"anthropic:work": "work", "openai-codex:Me+You@Example.org": "me-you-example.org",
		"demo:": "", "x": "x", "a:b:c": "b-c", "a:日本": "", "a:..": "",
	} {
		if got := slug(id); got != want {
			t.Errorf("slug(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestThePlanIsWhatOpenClawTakes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	got, err := json.MarshalIndent(Connect("/home/a/bin/keytray", "/home/a/state", []Profile{
		{Agent: "main", Name: "anthropic:keytray-work", Provider: "anthropic", Kind: sink.KindToken, Ref: "p/0123456789abcdef"},
		{Agent: "work", Name: "openai:keytray-key", Provider: "openai", Kind: sink.KindAPIKey, Ref: "p/fedcba9876543210"},
	}, now), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.TrimSpace(string(want)) {
		t.Errorf("the plan is\n%s", got)
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add([]byte(`{"v":1,"program":{"path":"/bin/openclaw","vars":{"OPENCLAW_PROFILE":"x"}},"dir":"/a","root":"/b"}`))
	f.Add([]byte(`{"v":1,"program":{"path":"/bin/openclaw","vars":{"LD_PRELOAD":"x"}},"dir":"/a","root":"/b"}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLink(b)
		if err != nil {
			return
		}
		if !filepath.IsAbs(l.Program.Path) || !filepath.IsAbs(l.Root) {
			t.Errorf("a program is taken that is not pinned: %+v", l)
		}
		for _, entry := range l.Program.environ() {
			if name, _, _ := strings.Cut(entry, "="); !strings.HasPrefix(name, "OPENCLAW_") && name != "PATH" && name != "NO_COLOR" {
				t.Errorf("the file sets %q", entry)
			}
		}
	})
}

func FuzzSaid(f *testing.F) {
	f.Add([]byte(`{"ok":false,"error":{"type":"cli_error","message":"Gateway not reachable at ws://127.0.0.1:1 (ECONNREFUSED).\nStart it"}}`), []byte(""))
	f.Add([]byte(""), []byte("[log] x\nCould not reload secrets because the Gateway did not respond: \x1b[31mgateway closed\n"))
	f.Fuzz(func(t *testing.T, out, complaint []byte) {
		if s := said(out, complaint); len([]rune(s)) > 300 || strings.ContainsAny(s, "\n\x1b") {
			t.Errorf("said = %q", s)
		}
		var x struct{ Order []string }
		_ = decode(out, &x)
	})
}

func TestAGatewayThatIsNotThere(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"Gateway not reachable at ws://127.0.0.1:18799 (ECONNREFUSED).":                                         true,
		"Could not reload secrets because the Gateway did not respond: gateway closed (1006 abnormal closure":   true,
		"secrets.reload failed: required secrets are unavailable":                                               false,
		"Could not reload secrets because the Gateway did not respond: gateway closed (1008): pairing required": false,
		"": false,
	} {
		if got := absent(s); got != want {
			t.Errorf("absent(%q) = %v, want %v", s, got, want)
		}
	}
}
