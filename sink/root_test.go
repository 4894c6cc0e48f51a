package sink_test

import (
	"os"
	"path/filepath"
	"testing"

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
		{name: "OPENCLAW_STATE_DIR", places: sink.Places{OpenClaw: "~/claw"}, want: "claw"},
		{name: "a newer one there", files: []string{"claw/state/openclaw.sqlite"}, places: sink.Places{OpenClaw: "~/claw"}, want: "state/keytray", notice: true},
		{name: "KEYTRAY_STATE_DIR", files: []string{".openclaw/"}, places: sink.Places{Keytray: "~/mine", OpenClaw: "~/claw"}, want: "mine"},
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
			if base := filepath.Base(got.Dir); got.OpenClaw != (base == ".openclaw" || base == "claw") {
				t.Errorf("FindRoot = %+v: OpenClaw's or not is wrong", got)
			}
		})
	}
}
