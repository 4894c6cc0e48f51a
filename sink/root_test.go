package sink_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/sink"
)

func TestFindRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  []string // below the home folder; those that end in / are folders
		places sink.Places
		want   string // below the home folder
		notice bool
	}{
		{name: "nothing there", want: "state/keytray"},
		{name: "OpenClaw of the JSON era", files: []string{".openclaw/"}, want: ".openclaw"},
		{name: "a file of that name", files: []string{".openclaw"}, want: "state/keytray"},
		{name: "one database for all", files: []string{".openclaw/state/openclaw.sqlite"}, want: "state/keytray", notice: true},
		{name: "a database an agent", files: []string{".openclaw/agents/main/agent/openclaw-agent.sqlite"}, want: "state/keytray", notice: true},
		{name: "OPENCLAW_STATE_DIR", places: sink.Places{OpenClaw: sink.OpenClaw{StateDir: "~/claw"}}, want: "claw"},
		{name: "a newer one there", files: []string{"claw/state/openclaw.sqlite"}, places: sink.Places{OpenClaw: sink.OpenClaw{StateDir: "~/claw"}}, want: "state/keytray", notice: true},
		{name: "KEYTRAY_STATE_DIR", files: []string{".openclaw/"}, places: sink.Places{Keytray: "~/mine", OpenClaw: sink.OpenClaw{StateDir: "~/claw"}}, want: "mine"},
		{name: "OPENCLAW_HOME", files: []string{".openclaw/", "there/.openclaw/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Home: "~/there"}}, want: "there/.openclaw"},
		{name: "OPENCLAW_HOME without it", files: []string{".openclaw/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Home: "~/there"}}, want: "state/keytray"},
		{name: "a tilde is OPENCLAW_HOME", places: sink.Places{OpenClaw: sink.OpenClaw{Home: "~/there", StateDir: "~/claw"}}, want: "there/claw"},
		{name: "OPENCLAW_PROFILE", files: []string{".openclaw/", ".openclaw-dev/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "dev"}}, want: ".openclaw-dev"},
		{name: "the profile's is a newer one", files: []string{".openclaw/", ".openclaw-dev/state/openclaw.sqlite"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "dev"}}, want: "state/keytray", notice: true},
		{name: "a profile that is not there", files: []string{".openclaw/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "dev"}}, want: "state/keytray"},
		{name: "the default profile", files: []string{".openclaw/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "Default"}}, want: ".openclaw"},
		{name: "no name of a profile", files: []string{".openclaw/", ".openclaw-x/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "x/../y"}}, want: ".openclaw"},
		{name: "too long a name", files: []string{".openclaw/", ".openclaw-" + strings.Repeat("x", 65) + "/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: strings.Repeat("x", 65)}}, want: ".openclaw"},
		{name: "the folder before the profile", files: []string{".openclaw-dev/"}, places: sink.Places{OpenClaw: sink.OpenClaw{Profile: "dev", StateDir: "~/claw"}}, want: "claw"},
		{name: "a database in OPENCLAW_AGENT_DIR", files: []string{".openclaw/", "a/openclaw-agent.sqlite"}, places: sink.Places{OpenClaw: sink.OpenClaw{AgentDir: "~/a"}}, want: "state/keytray", notice: true},
		{name: "what a person names is not gated", files: []string{"mine/state/openclaw.sqlite"}, places: sink.Places{Keytray: "~/mine"}, want: "mine"},
		{name: "the flag", places: sink.Places{Flag: "~/flag", Keytray: "~/mine"}, want: "flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			for _, f := range c.files {
				path := filepath.Join(home, f)
				if f[len(f)-1] == '/' {
					must(t, os.MkdirAll(path, 0o700))
					continue
				}
				must(t, os.MkdirAll(filepath.Dir(path), 0o700))
				must(t, os.WriteFile(path, nil, 0o600))
			}
			c.places.Home, c.places.State = home, filepath.Join(home, "state")
			got := sink.FindRoot(c.places)
			if want := filepath.Join(home, c.want); got.Dir != want || (got.Notice != "") != c.notice {
				t.Errorf("FindRoot = %+v, want %s, notice %v", got, want, c.notice)
			}
			if base := filepath.Base(got.Dir); got.OpenClaw != (strings.HasPrefix(base, ".openclaw") || base == "claw") {
				t.Errorf("FindRoot = %+v: OpenClaw's or not is wrong", got)
			}
		})
	}
}

func TestAnAgentsFilesMayLieElsewhere(t *testing.T) {
	w := newWorld(t)
	elsewhere := filepath.Join(filepath.Dir(w.dir), "elsewhere")
	must(t, os.MkdirAll(filepath.Join(w.dir, "agents", "work"), 0o700))
	root := sink.FindRoot(sink.Places{OpenClaw: sink.OpenClaw{StateDir: w.dir, AgentDir: elsewhere, OAuthDir: elsewhere}})
	s := w.open()
	if got, want := s.Credentials(), filepath.Join(w.dir, "credentials"); got != want {
		t.Errorf("Credentials = %s, want %s", got, want)
	}
	s.AgentDirs, s.OAuthDir = root.AgentDirs, root.OAuthDir
	if got := s.Credentials(); got != elsewhere {
		t.Errorf("Credentials = %s, want %s", got, elsewhere)
	}
	must(t, s.Update(t.Context(), alice, func(tx *sink.Tx) error { return tx.Received(credential("1", time.Hour)) }))
	if p, err := s.Profile(alice); err != nil || p.Generation != 1 {
		t.Errorf("profile = %+v, %v", p, err)
	}
	for path, want := range map[string]bool{elsewhere: true, filepath.Join(w.dir, "agents", "main"): false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
	if got := s.Agents(); !slices.Equal(got, []string{"main", "work"}) {
		t.Errorf("Agents = %v", got)
	}
}

func TestAgentDirsOfOpenClawsConfig(t *testing.T) {
	home := t.TempDir()
	claw := filepath.Join(home, ".openclaw")
	must(t, os.MkdirAll(claw, 0o700))
	config := func(text string) {
		must(t, os.WriteFile(filepath.Join(claw, "openclaw.json"), []byte(text), 0o600))
	}
	find := func(c sink.OpenClaw) sink.Root {
		return sink.FindRoot(sink.Places{Home: home, State: filepath.Join(home, "state"), OpenClaw: c})
	}
	at := func(name string) string { return filepath.Join(home, name) }
	config(`{
		// JSON5, as OpenClaw reads it
		meta: {lastTouchedVersion: '2026.5.28',},
		agents: {
			list: [{id: 'Work', agentDir: '~/work'}, {id: 'same', agentDir: '~/work'}, {id: '../x', agentDir: '~/x'}, {id: 'plain'},
				{id: 'usual', agentDir: '~/.openclaw/agents/usual/agent'}],
			entries: {home: {agentDir: '~/home'}},
		},
		auth: {order: {acme: ['acme:a']}},
	}`)
	want := map[string]string{"work": at("work"), "home": at("home")}
	if got := find(sink.OpenClaw{}).AgentDirs; !maps.Equal(got, want) {
		t.Errorf("AgentDirs = %v, want %v", got, want)
	}
	want["main"] = at("main")
	if got := find(sink.OpenClaw{AgentDir: "~/main"}).AgentDirs; !maps.Equal(got, want) {
		t.Errorf("AgentDirs with the variable = %v, want %v", got, want)
	}
	must(t, os.MkdirAll(at("home"), 0o700))
	must(t, os.WriteFile(filepath.Join(at("home"), "openclaw-agent.sqlite"), nil, 0o600))
	if got := find(sink.OpenClaw{}); got.Passed == nil || got.Passed.Dir != claw {
		t.Errorf("a database in a folder elsewhere: root %+v, want %s passed over", got, claw)
	}
	must(t, os.Remove(filepath.Join(at("home"), "openclaw-agent.sqlite")))
	for version, passed := range map[string]bool{
		"2026.6.1": false, "2026.5.28": false, "2026.6.5": true, "2026.6.2-beta.1": true, "2026.10.1": true, "2027.1.1": true,
		"": false, "nonsense": false, "2026.6": false, "99999.9.9": false,
	} {
		config(`{meta: {lastTouchedVersion: "` + version + `"}}`)
		got := find(sink.OpenClaw{})
		at := &got
		if got.Passed != nil {
			at = got.Passed
		}
		if (got.Passed != nil) != passed || at.Dir != claw || at.Version != version {
			t.Errorf("written by %q: root %+v, want passed over: %v", version, got, passed)
		}
	}
	config(`{agents: {list: "nonsense"`)
	if got := find(sink.OpenClaw{}); got.Dir != claw || len(got.AgentDirs) > 0 {
		t.Errorf("a config that cannot be read: root %+v", got)
	}
}

// TestAnUpdateOfOpenClawIsNoticed: it can happen while a process of ours runs, and
// then no file of ours may come to be in its folder any more.
func TestAnUpdateOfOpenClawIsNoticed(t *testing.T) {
	for _, database := range []string{"state/openclaw.sqlite", "agents/work/agent/openclaw-agent.sqlite", "../elsewhere/openclaw-agent.sqlite"} {
		w := newWorld(t)
		w.login(credential("1", time.Hour))
		s := w.open()
		s.AgentDirs = map[string]string{"other": filepath.Join(filepath.Dir(w.dir), "elsewhere")}
		p, err := s.Profile(alice)
		must(t, err)
		update := func() {
			path := filepath.Join(w.dir, filepath.FromSlash(database))
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.Remove(w.mirror()))
		}
		err = s.Update(t.Context(), alice, func(tx *sink.Tx) error {
			must(t, tx.Sending())
			update()
			return tx.Received(credential("2", time.Hour))
		})
		if m := (*sink.MirrorError)(nil); !errors.As(err, &m) || !errors.Is(err, sink.ErrDatabase) {
			t.Errorf("%s: a renewal meanwhile: %v, want a MirrorError that is ErrDatabase", database, err)
		}
		for what, err := range map[string]error{
			"restoring":          s.Restore(t.Context(), alice),
			"removing":           s.Remove(t.Context(), alice, nil),
			"before a sign-in":   s.Ready(t.Context()),
			"looking":            s.CheckRoot(),
			"spending its token": s.Update(t.Context(), alice, func(*sink.Tx) error { t.Error("a renewal went on"); return nil }),
		} {
			if !errors.Is(err, sink.ErrDatabase) {
				t.Errorf("%s: %s: %v, want ErrDatabase", database, what, err)
			}
		}
		must(t, s.Pin(t.Context(), p, "talk"))
		if left, _ := filepath.Glob(filepath.Join(w.dir, "agents", "*", "agent", "*.json")); len(left) > 0 {
			t.Errorf("%s: written all the same: %v", database, left)
		}
		if database == "../elsewhere/openclaw-agent.sqlite" {
			continue
		}
		if _, err := w.openNew().MoveFrom(t.Context(), s); err != nil {
			t.Errorf("%s: moving: %v", database, err)
		}
		w.dir = w.newDir()
		if c, ok := w.current(); !ok || c.Refresh.Reveal() != "refresh-2" {
			t.Errorf("%s: the renewed login is lost: %v", database, ok)
		}
	}
}

// TestAnUpdateOfOpenClawKeepsOrderAndUsage: neither is written behind its back.
func TestAnUpdateOfOpenClawKeepsOrderAndUsage(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(w.mirror()), "auth-state.json"), []byte(`{}`), 0o600))
	must(t, os.MkdirAll(filepath.Join(w.dir, "state"), 0o700))
	must(t, os.WriteFile(filepath.Join(w.dir, "state", "openclaw.sqlite"), nil, 0o600))
	before := w.files()
	s := w.open()
	_, reportErr := s.Report(t.Context(), alice, route.RateLimit, "")
	for what, err := range map[string]error{
		"order":  s.SetOrder(t.Context(), "main", "acme", alice.ID),
		"report": reportErr,
	} {
		if !errors.Is(err, sink.ErrDatabase) {
			t.Errorf("%s: %v, want ErrDatabase", what, err)
		}
	}
	if after := w.files(); !maps.Equal(after, before) {
		t.Errorf("files changed: %v", after)
	}
}

// TestANamedRootMayBeOpenClaws: as the resolver's always is.
func TestANamedRootMayBeOpenClaws(t *testing.T) {
	home := t.TempDir()
	at := func(name string) string { return filepath.Join(home, name) }
	for _, dir := range []string{"claw", ".openclaw", "mine"} {
		must(t, os.MkdirAll(at(dir), 0o700))
	}
	must(t, os.MkdirAll(filepath.Join(at(".openclaw"), "state"), 0o700))
	must(t, os.WriteFile(filepath.Join(at(".openclaw"), "state", "openclaw.sqlite"), nil, 0o600))
	config := []byte(`{agents: {list: [{id: 'work', agentDir: '~/work'}]}, meta: {lastTouchedVersion: '2026.9.1'}}`)
	must(t, os.WriteFile(filepath.Join(at("claw"), "openclaw.json"), config, 0o600))
	must(t, os.Symlink(at(".openclaw"), at("link")))
	for _, c := range []struct {
		dir   string
		claw  bool
		dirs  map[string]string
		oauth string
	}{
		{"mine", false, nil, ""},
		{"claw", true, map[string]string{"work": at("work")}, ""}, // the variables are of another one
		{".openclaw", true, map[string]string{"main": at("main")}, at("oauth")},
		{"link", true, map[string]string{"main": at("main")}, at("oauth")},
	} {
		variables := sink.OpenClaw{AgentDir: "~/main", OAuthDir: "~/oauth"}
		for _, p := range []sink.Places{{Flag: at(c.dir)}, {Keytray: "~/" + c.dir}} {
			p.Home, p.State, p.OpenClaw = home, at("state"), variables
			got := sink.FindRoot(p)
			if got.Dir != at(c.dir) || got.OpenClaw != c.claw || !maps.Equal(got.AgentDirs, c.dirs) || got.OAuthDir != c.oauth || got.Notice != "" {
				t.Errorf("%s: root %+v, want OpenClaw's: %v, with %v and %q", c.dir, got, c.claw, c.dirs, c.oauth)
			}
		}
	}
}
