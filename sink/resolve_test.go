package sink_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

func (w *world) resolve(r sink.Request) (sink.Resolved, error) {
	if r.Agent == "" {
		r.Agent = "main"
	}
	return w.open().Resolve(r)
}

// want checks which login a request means and why.
func (w *world) want(r sink.Request, id string, why route.Reason) {
	w.t.Helper()
	x, err := w.resolve(r)
	if err != nil || x.Profile.ID != id || x.Choice.Why != why {
		w.t.Errorf("%+v: %s (%s), error %v, want %s (%s)", r, x.Profile.ID, x.Choice.Why, err, id, why)
	}
}

func (w *world) report(id string, f route.Failure, model string) {
	w.t.Helper()
	_, err := w.open().Report(w.t.Context(), sink.Ref{Agent: "main", ID: id}, f, model)
	must(w.t, err)
}

func (w *world) cache() string { return filepath.Join(filepath.Dir(w.mirror()), "auth.json") }

func (w *world) config(text string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(w.dir, 0o700))
	must(w.t, os.WriteFile(filepath.Join(w.dir, "openclaw.json"), []byte(text), 0o600))
}

func TestAModelSaysWhichLogin(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b@example.org")
	w.want(sink.Request{Model: "acme/large"}, "acme:a", route.FirstDefault)
	w.want(sink.Request{Model: "Large@acme:b@example.org"}, "acme:b@example.org", route.Named)
	w.want(sink.Request{Model: "other/large@acme:a"}, "acme:a", route.Named)
	w.want(sink.Request{Name: "ACME"}, "acme:a", route.FirstDefault)
	for model, want := range map[string]error{
		"large": route.ErrBareModel, "/large": route.ErrBareModel, "acme/": route.ErrBareModel,
		"large@acme:nobody": sink.ErrUnknownProfile, "nobody/large": sink.ErrUnknownProfile,
		"large@20241022": route.ErrBareModel,
	} {
		if x, err := w.resolve(sink.Request{Model: model}); !errors.Is(err, want) {
			t.Errorf("%s: %s, %v, want %v", model, x.Profile.ID, err, want)
		}
	}
}

func TestASessionKeepsItsLogin(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	p, err := w.open().Profile(sink.Ref{Agent: "main", ID: "acme:b"})
	must(t, err)
	must(t, w.open().Pin(t.Context(), p, "chat-1"))
	w.want(sink.Request{Name: "acme", Session: "chat-1"}, "acme:b", route.Pinned)
	w.want(sink.Request{Model: "Acme/large", Session: "chat-1"}, "acme:b", route.Pinned)
	w.want(sink.Request{Name: "acme", Session: "chat-2"}, "acme:a", route.FirstDefault)
	w.want(sink.Request{Name: "acme"}, "acme:a", route.FirstDefault)
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:a"))
	w.report("acme:b", route.Billing, "")
	w.want(sink.Request{Name: "acme", Session: "chat-1"}, "acme:b", route.Pinned) // never another account in its place
	must(t, w.open().Remove(t.Context(), sink.Ref{Agent: "main", ID: "acme:b"}, nil))
	w.want(sink.Request{Name: "acme", Session: "chat-1"}, "acme:a", route.Only)
	must(t, w.open().Unpin(t.Context(), "main", "chat-1"))
	if strings.Contains(w.files()[w.cache()], "chat-1") {
		t.Errorf("the pin is still there:\n%s", w.files()[w.cache()])
	}
	for _, key := range []string{"", strings.Repeat("x", 257)} {
		if err := w.open().Pin(t.Context(), p, key); !errors.Is(err, sink.ErrSessionKey) {
			t.Errorf("Pin with a key of %d bytes = %v, want ErrSessionKey", len(key), err)
		}
	}
}

func TestAFailureLetsALoginRest(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	w.report("acme:a", route.RateLimit, "")
	w.want(sink.Request{Name: "acme"}, "acme:b", route.FirstDefault)
	x, err := w.resolve(sink.Request{Name: "acme"})
	must(t, err)
	if o := x.Choice.Others; len(o) != 1 || o[0].Reason != route.Resting || o[0].Cause != "rate_limit" || !strings.HasPrefix(o[0].Sentence(time.Now()), "rests for another 30s") {
		t.Errorf("others = %+v", o)
	}
	w.report("acme:a", "", "")
	w.want(sink.Request{Name: "acme"}, "acme:b", route.FirstDefault) // the other was used just now
	w.report("acme:b", "", "")
	w.want(sink.Request{Name: "acme"}, "acme:a", route.FirstDefault)
	var file struct {
		LastGood map[string]string      `json:"lastGood"`
		Usage    map[string]route.Usage `json:"usageStats"`
	}
	must(t, json.Unmarshal([]byte(w.files()[w.cache()]), &file))
	if file.LastGood["acme"] != "acme:b" || file.Usage["acme:a"].LastUsed == 0 || file.Usage["acme:a"].CooldownUntil != 0 {
		t.Errorf("the cache is %+v", file)
	}
	if _, err := w.open().Report(t.Context(), sink.Ref{Agent: "main", ID: "acme:x"}, route.Auth, ""); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("a report on nobody = %v, want ErrUnknownProfile", err)
	}
}

// A limit of one model does not keep the login from another.
func TestAModelsLimit(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	w.report("acme:a", route.RateLimit, "acme/large")
	w.want(sink.Request{Model: "acme/large"}, "acme:b", route.FirstDefault)
	w.want(sink.Request{Model: "acme/small"}, "acme:a", route.FirstDefault)
	w.want(sink.Request{Name: "acme"}, "acme:b", route.FirstDefault)
}

func TestALoginThatNeedsItsPersonIsTheLastResort(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:a", "acme:b"))
	broken := func(id string) {
		must(t, w.open().Update(t.Context(), sink.Ref{Agent: "main", ID: id}, func(tx *sink.Tx) error {
			tx.Mark(sink.StateNeedsLogin, "revoked", time.Time{})
			return nil
		}))
	}
	broken("acme:a")
	w.report("acme:b", route.RateLimit, "")
	w.want(sink.Request{Name: "acme"}, "acme:b", route.FirstStored)
	broken("acme:b")
	w.want(sink.Request{Name: "acme"}, "acme:a", route.FirstStored)
}

func TestTheConfiguredOrder(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"acme:a", "acme:b", "acme:c"} {
		w.signIn("main", id)
	}
	w.config("{ // JSON5\n auth: { order: { acme: ['acme:b', 'acme:a',], }, profiles: { 'acme:b': {provider: 'acme', mode: 'oauth'} } } }")
	w.want(sink.Request{Name: "acme"}, "acme:b", route.FirstConfig)
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:c"))
	w.want(sink.Request{Name: "acme"}, "acme:c", route.FirstStored)
	must(t, w.open().SetOrder(t.Context(), "main", "acme"))
	must(t, w.open().PutFirst(t.Context(), sink.Ref{Agent: "main", ID: "acme:c"}))
	w.wantOrder("main", "acme:c", "acme:b", "acme:a")
	must(t, w.open().SetOrder(t.Context(), "main", "acme"))
	w.config(`{"auth": {"order": {"acme": []}}}`)
	if x, err := w.resolve(sink.Request{Name: "acme"}); !errors.Is(err, sink.ErrNoChoice) || len(x.Choice.Others) != 3 {
		t.Errorf("an empty order chooses %q (%v), want none", x.Profile.ID, err)
	}
	w.want(sink.Request{Name: "acme:a"}, "acme:a", route.Named)
}

// What OpenClaw sees as a token may be configured as one or as OAuth.
func TestAConfiguredModeFitsOurMirror(t *testing.T) {
	for mode, fits := range map[string]bool{"oauth": true, "token": true, "api_key": false, "": false} {
		w := newWorld(t)
		w.signIn("main", "acme:a")
		w.config(fmt.Sprintf(`{"auth": {"profiles": {"acme:a": {"provider": "acme", "mode": %q}}}}`, mode))
		if _, err := w.resolve(sink.Request{Name: "acme"}); (err == nil) != fits {
			t.Errorf("mode %q: %v, want it to fit: %v", mode, err, fits)
		}
	}
}

// InOrder lists what Resolve would choose first of each provider.
func TestInOrder(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"acme:a", "acme:b", "acme:c"} {
		w.signIn("main", id)
	}
	other := credential("o", time.Hour)
	other.Provider = "Able"
	must(t, w.open().Update(t.Context(), sink.Ref{Agent: "main", ID: "able:1"}, func(tx *sink.Tx) error { return tx.Received(other) }))
	list := func() string {
		all, err := w.open().InOrder("main")
		must(t, err)
		var ids []string
		for _, p := range all {
			ids = append(ids, p.ID)
		}
		return strings.Join(ids, " ")
	}
	if got := list(); got != "able:1 acme:a acme:b acme:c" {
		t.Errorf("by default %s", got)
	}
	w.report("acme:a", "", "")
	w.report("acme:b", route.Auth, "")
	if got := list(); got != "able:1 acme:c acme:a acme:b" {
		t.Errorf("after use %s", got)
	}
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:b", "acme:c"))
	if got := list(); got != "able:1 acme:c acme:b acme:a" {
		t.Errorf("with an order %s", got)
	}
}

// A configuration that cannot be read is a warning that shows nothing of it.
func TestADamagedConfigurationIsLeftOut(t *testing.T) {
	for _, text := range []string{"", "{", `{"auth": 7}`, `{"auth": {"order": "canary"}}`, "{\n\"canary", strings.Repeat("[", 1<<20), "{}" + strings.Repeat(" ", 4<<20), `{"auth": {"profiles": ["canary"]}}`} {
		w := newWorld(t)
		w.signIn("main", "acme:a")
		w.config(text)
		x, err := w.resolve(sink.Request{Name: "acme"})
		if err != nil || x.Profile.ID != "acme:a" || x.Warning == nil || strings.Contains(x.Warning.Error(), "canary") {
			t.Errorf("%.20q: %s, %v, warning %v", text, x.Profile.ID, err, x.Warning)
		}
	}
}

func TestAFIFOForAConfigurationDoesNotHang(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	if err := mkfifo(filepath.Join(w.dir, "openclaw.json")); err != nil {
		t.Skipf("no FIFO here: %v", err)
	}
	if x, err := w.resolve(sink.Request{Name: "acme"}); err != nil || x.Warning == nil {
		t.Errorf("%s, %v, warning %v: want the login and a warning", x.Profile.ID, err, x.Warning)
	}
}

// In OpenClaw's root its own files say who rests, and no auth.json is made.
func TestOpenClawsRootGetsNoAuthJSON(t *testing.T) {
	for _, withState := range []bool{false, true} {
		w := newWorld(t)
		w.config(`{"meta": {"lastTouchedVersion": "2026.3.13"}}`)
		w.signIn("main", "acme:a")
		w.signIn("main", "acme:b")
		home := w.mirror()
		if withState {
			home = w.state()
			must(t, os.WriteFile(home, []byte(`{"version": 1, "usageStats": {"acme:a": {"lastProbeAt": 5, "lastUsed": 1}}}`), 0o600))
		}
		p, err := w.open().Profile(sink.Ref{Agent: "main", ID: "acme:b"})
		must(t, err)
		must(t, w.open().Pin(t.Context(), p, "chat"))
		w.report("acme:a", route.Timeout, "")
		w.report("acme:b", "", "")
		w.want(sink.Request{Name: "acme", Session: "chat"}, "acme:b", route.Pinned)
		if x, err := w.resolve(sink.Request{Name: "acme"}); err != nil || x.Profile.ID != "acme:b" {
			t.Errorf("%s, %v, want acme:b while the other rests", x.Profile.ID, err)
		}
		if _, err := os.Stat(w.cache()); err == nil {
			t.Error("there is an auth.json in OpenClaw's root")
		}
		for _, want := range []string{`"cooldownReason": "timeout"`, `"lastGood"`} {
			if !strings.Contains(w.files()[home], want) {
				t.Errorf("no %s in %s:\n%s", want, home, w.files()[home])
			}
		}
		if withState && !strings.Contains(w.files()[home], `"lastProbeAt": 5`) {
			t.Errorf("what only OpenClaw knows is gone:\n%s", w.files()[home])
		}
	}
}

// A root is OpenClaw's by its name, by its configuration, or because it was found
// as such.
func TestWhoseRootItIs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege here")
	}
	for name, c := range map[string]struct {
		dir    string
		claw   bool
		shared bool
	}{
		"ours": {dir: "root"}, "found": {dir: "root", claw: true, shared: true}, "named": {dir: ".openclaw", shared: true}, "profile": {dir: ".openclaw-work", shared: true},
		"linked": {dir: ".openclaw", shared: true},
	} {
		w := newWorld(t)
		w.dir = filepath.Join(filepath.Dir(w.dir), c.dir)
		p, err := w.open().Profile(w.signIn("main", "acme:a"))
		must(t, err)
		if name == "linked" {
			must(t, os.Symlink(w.dir, w.dir+"-link"))
			w.dir += "-link"
		}
		s := w.open()
		s.OpenClaw = c.claw
		must(t, s.Pin(t.Context(), p, "chat"))
		_, err = s.Report(t.Context(), p.Ref, route.Auth, "")
		must(t, err)
		if _, err := os.Stat(w.cache()); (err == nil) == c.shared {
			t.Errorf("%s: auth.json: %v", name, err)
		}
	}
}

func TestAReportNeedsAFileThatCanBeRead(t *testing.T) {
	w := newWorld(t)
	a := w.signIn("main", "acme:a")
	w.config("{}")
	must(t, os.WriteFile(w.state(), []byte("{"), 0o600))
	if _, err := w.open().Report(t.Context(), a, route.Auth, ""); err == nil {
		t.Error("a report was written beside a damaged auth-state.json")
	}
	if x, err := w.resolve(sink.Request{Name: "acme"}); err != nil || x.Warning == nil {
		t.Errorf("%s, %v, warning %v: want the login and a warning", x.Profile.ID, err, x.Warning)
	}
}

// Another program's login is nothing to hand out, also not by its name.
func TestAForeignLoginIsNotChosen(t *testing.T) {
	w := newWorld(t)
	w.writeMirror(`{"profiles": {"acme:theirs": {"type": "oauth", "provider": "acme", "access": "theirs", "refresh": "theirs"}}}`)
	for _, r := range []sink.Request{{Name: "acme:theirs"}, {Model: "m@acme:theirs"}} {
		if x, err := w.resolve(r); !errors.Is(err, sink.ErrNoChoice) {
			t.Errorf("%+v: %q, %v, want ErrNoChoice", r, x.Profile.ID, err)
		}
	}
	w.signIn("main", "acme:a")
	must(t, w.open().SetOrder(t.Context(), "main", "acme", "acme:theirs"))
	if x, err := w.resolve(sink.Request{Name: "acme"}); !errors.Is(err, sink.ErrNoChoice) {
		t.Errorf("%q, %v, want ErrNoChoice", x.Profile.ID, err)
	}
}

// An auth.json that is not ours holds somebody's credentials.
func TestAForeignAuthJSONIsLeftAlone(t *testing.T) {
	for _, theirs := range []string{`{"acme": {"type": "oauth", "refresh": "theirs"}}`, "", "{"} {
		w := newWorld(t)
		w.signIn("main", "acme:a")
		p, err := w.open().Profile(sink.Ref{Agent: "main", ID: "acme:a"})
		must(t, err)
		must(t, os.WriteFile(w.cache(), []byte(theirs), 0o600))
		must(t, w.open().Pin(t.Context(), p, "chat"))
		w.report("acme:a", route.Auth, "")
		if got := w.files()[w.cache()]; got != theirs {
			t.Errorf("their file became %q", got)
		}
		w.want(sink.Request{Name: "acme", Session: "chat"}, "acme:a", route.Pinned)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	a := w.signIn("main", "acme:a")
	p, err := w.open().Profile(a)
	must(t, err)
	sessions := map[string]any{}
	for i := range 1000 {
		sessions[fmt.Sprint("s", i)] = map[string]any{"pins": map[string]string{"acme": "acme:a"}, "at": i + 1}
	}
	b, err := json.Marshal(map[string]any{"version": 1, "owner": "keytray", "sessions": sessions, "usageStats": map[string]any{"acme:gone": map[string]any{"lastUsed": 1}}})
	must(t, err)
	must(t, os.WriteFile(w.cache(), b, 0o600))
	must(t, w.open().Pin(t.Context(), p, "new"))
	w.report("acme:a", "", "")
	text := w.files()[w.cache()]
	if strings.Contains(text, `"s0"`) || !strings.Contains(text, `"s1"`) || !strings.Contains(text, `"new"`) {
		t.Error("not the oldest session was forgotten")
	}
	if strings.Contains(text, "acme:gone") {
		t.Error("a login that is gone is remembered")
	}
}

// Reports and pins of many processes at once are all kept.
func TestReportsAtOnce(t *testing.T) {
	w := newWorld(t)
	p, err := w.open().Profile(w.signIn("main", "acme:a"))
	must(t, err)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := w.open().Pin(t.Context(), p, fmt.Sprint("chat", i)); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := w.open().Report(t.Context(), p.Ref, "", ""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 8 {
		w.want(sink.Request{Name: "acme", Session: fmt.Sprint("chat", i)}, "acme:a", route.Pinned)
	}
}

// TestAgentsNeverMeet does at random what can be done to one agent, and looks
// at every file and keychain item of the other.
func TestAgentsNeverMeet(t *testing.T) {
	w := newWorld(t)
	for _, agent := range []string{"main", "work"} {
		for _, id := range []string{"acme:a", "acme:b", "acme:c"} {
			w.signIn(agent, id)
		}
	}
	before := w.ofMain()
	answer, err := w.resolve(sink.Request{Name: "acme", Session: "chat"})
	must(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	ids := []string{"acme:a", "acme:b", "acme:c"}
	for range rounds(200) {
		ref := sink.Ref{Agent: "work", ID: ids[r.IntN(3)]}
		w.disturb(r.IntN(8), ref)
	}
	if after := w.ofMain(); !reflect.DeepEqual(after, before) {
		t.Errorf("main changed:\n%v\nbefore:\n%v", after, before)
	}
	again, err := w.resolve(sink.Request{Name: "acme", Session: "chat"})
	must(t, err)
	if again.Choice.Why != answer.Choice.Why || again.Profile != answer.Profile {
		t.Errorf("main's answer changed: %+v, before %+v", again, answer)
	}
}

// rounds are fewer where time is short: each round waits for a disk.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func (w *world) disturb(what int, ref sink.Ref) {
	w.t.Helper()
	s := w.open()
	p, err := s.Profile(ref)
	if err != nil {
		w.signIn(ref.Agent, ref.ID)
		return
	}
	switch what {
	case 0:
		err = s.SetOrder(w.t.Context(), ref.Agent, "acme", ref.ID)
	case 1:
		err = s.SetOrder(w.t.Context(), ref.Agent, "acme")
	case 2:
		err = s.PutFirst(w.t.Context(), ref)
	case 3:
		err = s.Pin(w.t.Context(), p, "chat")
	case 4:
		_, err = s.Report(w.t.Context(), ref, "", "")
	case 5:
		_, err = s.Report(w.t.Context(), ref, route.Billing, "")
	case 6:
		err = s.Remove(w.t.Context(), ref, nil)
	case 7:
		err = s.Update(w.t.Context(), ref, func(tx *sink.Tx) error { return errors.Join(tx.Sending(), tx.Received(credential("n", time.Hour))) })
	}
	must(w.t, err)
}

// ofMain are the default agent's files and the secrets of its logins.
func (w *world) ofMain() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for path, text := range w.files() {
		if strings.HasPrefix(path, filepath.Join(w.dir, "agents", "main")) {
			all[path] = text
		}
	}
	for p, err := range w.open().Profiles("main") {
		must(w.t, err)
		token, err := w.open().Token(w.t.Context(), p, 0)
		must(w.t, err)
		all[p.ID] = token.Reveal()
	}
	return all
}

// Whatever is asked, asking changes nothing and asking again has the same answer.
func TestAskingChangesNothing(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 6 {
		c := credential("x", time.Hour)
		c.Kind = []sink.Kind{sink.KindOAuth, sink.KindToken, sink.KindAPIKey}[i%3]
		if c.Kind != sink.KindOAuth {
			c.Refresh = secret.Text{}
		}
		ref := sink.Ref{Agent: "main", ID: fmt.Sprintf("acme:%d", i)}
		must(t, w.open().Update(t.Context(), ref, func(tx *sink.Tx) error { return tx.Received(c) }))
	}
	for range rounds(60) {
		id := fmt.Sprintf("acme:%d", r.IntN(6))
		switch r.IntN(4) {
		case 0:
			w.report(id, route.Failures()[r.IntN(4)], "")
		case 1:
			w.report(id, "", "")
		case 2:
			must(t, w.open().PutFirst(t.Context(), sink.Ref{Agent: "main", ID: id}))
		case 3:
			must(t, w.open().SetOrder(t.Context(), "main", "acme"))
		}
		before := w.files()
		first, err := w.resolve(sink.Request{Name: "acme"})
		must(t, err)
		second, err := w.resolve(sink.Request{Name: "acme"})
		must(t, err)
		if first.Profile != second.Profile || !reflect.DeepEqual(first.Choice, second.Choice) {
			t.Fatalf("two answers:\n%+v\n%+v", first, second)
		}
		if n := len(first.Choice.Others); n != 5 || slices.ContainsFunc(first.Choice.Others, func(c route.Candidate) bool { return c.Reason == "" || c.Sentence(time.Now()) == "" }) {
			t.Fatalf("%d others, want 5 with a reason each: %+v", n, first.Choice.Others)
		}
		if !reflect.DeepEqual(w.files(), before) {
			t.Fatal("asking changed a file")
		}
	}
}

// OpenClaw from 2026.5 on drops members that it does not know. Such an entry is
// still ours, and known to nobody until it is restored.
func TestAnEntryThatLostItsMark(t *testing.T) {
	w := newWorld(t)
	w.signIn("main", "acme:a")
	w.signIn("main", "acme:b")
	const stripped = `"acme:b": {"type": "token", "provider": "acme", "tokenRef": {"source": "exec", "provider": "keytray", "id": "p/1"}}`
	var file struct {
		Profiles map[string]json.RawMessage `json:"profiles"`
	}
	must(t, json.Unmarshal([]byte(w.files()[w.mirror()]), &file))
	w.writeMirror(`{"profiles": {"acme:a": ` + string(file.Profiles["acme:a"]) + `, ` + stripped + `}}`)
	if _, err := w.resolve(sink.Request{Name: "acme:b"}); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("by name: %v, want ErrUnknownProfile", err)
	}
	if x, err := w.resolve(sink.Request{Name: "acme"}); err != nil || x.Profile.ID != "acme:a" || !x.Orphans() {
		t.Errorf("by provider: %s, orphans %v, %v", x.Profile.ID, x.Orphans(), err)
	}
	must(t, w.open().Restore(t.Context(), sink.Ref{Agent: "main", ID: "acme:b"}))
	if x, err := w.resolve(sink.Request{Name: "acme"}); err != nil || x.Orphans() {
		t.Errorf("restored: orphans %v, %v", x.Orphans(), err)
	}
	w.want(sink.Request{Name: "acme:b"}, "acme:b", route.Named)
}
