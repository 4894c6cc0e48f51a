package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

func TestAgentsAreAddedOnce(t *testing.T) {
	w := newWorld(t)
	a, err := w.open().AddAgent(t.Context(), "work", "")
	must(t, err)
	if fi, err := os.Stat(a.Dir); err != nil || !fi.IsDir() || a.Workspace != filepath.Join(w.dir, "workspace-work") {
		t.Errorf("agent %+v, its folder %v", a, err)
	}
	elsewhere := filepath.Join(t.TempDir(), "space")
	if a, err = w.open().AddAgent(t.Context(), "other", elsewhere); err != nil || a.Workspace != elsewhere {
		t.Errorf("agent %+v (%v), want the workspace %s", a, err, elsewhere)
	}
	for name, want := range map[string]error{
		"work": sink.ErrAgentExists, "main": sink.ErrAgentExists, "": sink.ErrAgentName, "Work": sink.ErrAgentName, "_x": sink.ErrAgentName, "../x": sink.ErrAgentName,
		strings.Repeat("a", 65): sink.ErrAgentName, "a b": sink.ErrAgentName, "é": sink.ErrAgentName,
	} {
		if _, err := w.open().AddAgent(t.Context(), name, ""); !errors.Is(err, want) {
			t.Errorf("AddAgent(%q) = %v, want %v", name, err, want)
		}
	}
	var ids []string
	for _, a := range w.open().AllAgents() {
		ids = append(ids, a.ID)
	}
	if got := strings.Join(ids, " "); got != "main other work" {
		t.Errorf("agents %s, want main other work", got)
	}
	if a := w.open().Agent("other"); a.Workspace != elsewhere {
		t.Errorf("the workspace %s was not kept", elsewhere)
	}
}

func TestOneOfManyAddsAnAgent(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	var added atomic.Int32
	for range 8 {
		all.Go(func() {
			_, err := w.open().AddAgent(t.Context(), "work", "")
			if err == nil {
				added.Add(1)
			} else if !errors.Is(err, sink.ErrAgentExists) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if added.Load() != 1 {
		t.Errorf("%d added the agent, want 1", added.Load())
	}
}

func TestOnlyStaticLoginsAreCopied(t *testing.T) {
	w := newWorld(t)
	w.login(credential("1", time.Hour))
	key := credential("key", 0)
	key.Kind, key.Refresh, key.Life = sink.KindAPIKey, secret.Text{}, sink.Life{}
	from := sink.Ref{Agent: "main", ID: "acme:key"}
	must(t, w.open().Update(t.Context(), from, func(tx *sink.Tx) error { return tx.Received(key) }))
	before := w.ofMain()
	if err := w.open().Copy(t.Context(), alice, sink.Ref{Agent: "work", ID: alice.ID}); !errors.Is(err, sink.ErrRenews) {
		t.Errorf("copying an OAuth login = %v, want ErrRenews", err)
	}
	if err := w.open().Copy(t.Context(), sink.Ref{Agent: "main", ID: "acme:x"}, sink.Ref{Agent: "work", ID: "acme:x"}); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("copying nobody = %v, want ErrUnknownProfile", err)
	}
	to := sink.Ref{Agent: "work", ID: "acme:key"}
	for range 2 {
		must(t, w.open().Copy(t.Context(), from, to))
		p, err := w.open().Profile(to)
		must(t, err)
		if token, err := w.open().Token(t.Context(), p, 0); err != nil || token.Reveal() != "access-key" || p.Generation != 1 {
			t.Errorf("the copy is %q, generation %d (%v)", token.Reveal(), p.Generation, err)
		}
	}
	must(t, w.open().Remove(t.Context(), to, nil))
	after := w.ofMain()
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s of main changed", name)
		}
	}
}

func TestAgentNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"main": true, "0": true, "a-b_c": true, strings.Repeat("a", 64): true,
		"": false, "-a": false, "_a": false, "Main": false, "a b": false, "ä": false, "a\n": false, strings.Repeat("a", 65): false,
	} {
		if err := sink.CheckAgent(name); (err == nil) != want {
			t.Errorf("CheckAgent(%q) = %v", name, err)
		}
	}
}
