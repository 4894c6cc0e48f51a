//go:build linux

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

const alice = "demo:alice@example.test"

// claw is an OpenClaw, an authorization server and a model.
type claw struct {
	*rig
	folder, program string
	server          *oauthtest.Server
	model           *model
}

// newClaw is one that knows the model, and gets nothing of the network but that.
func newClaw(tb testing.TB, version string) *claw {
	tb.Helper()
	packages := need(tb, "openclaw-"+version)
	r := &claw{rig: newRig(tb), model: startModel(tb), server: oauthtest.New(oauthtest.Options{})}
	r.folder = filepath.Join(r.home, ".openclaw")
	if err := r.server.Start(tb.Context(), "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.server.Close() })
	r.program = filepath.Join(r.dir, "bin/openclaw")
	if err := os.Symlink(filepath.Join(packages, "openclaw", "openclaw.mjs"), r.program); err != nil { // as npm install -g does
		tb.Fatal(err)
	}
	r.env = append(r.env, "NODE_COMPILE_CACHE="+filepath.Join(packages, ".compiled")) // a second run is faster by it
	tb.Cleanup(func() {
		if files := r.in(r.server.Secrets()); len(files) > 0 {
			tb.Errorf("a token is in clear in %q", files)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	r.write(filepath.Join(r.folder, "openclaw.json"), fmt.Sprintf(`{
  "agents": {"defaults": {"model": {"primary": "demo/m1"}}},
  "models": {"providers": {"demo": {"baseUrl": %q, "api": "openai-completions", "models": [{"id": "m1", "name": "m1"}]}}},
  "gateway": {"mode": "local", "port": %d, "auth": {"mode": "token", "token": "of-this-test-only"}}
}
`, r.model.url, port))
	return r
}

// provider tells keytray of the authorization server, in the state folder root.
func (r *claw) provider(root string) {
	r.t.Helper()
	var b strings.Builder
	if err := r.server.WriteProvider(&b); err != nil {
		r.t.Fatal(err)
	}
	r.write(filepath.Join(root, "providers", "demo.json"), b.String())
}

// signIn signs in as that user.
func (r *claw) signIn(user string) {
	r.t.Helper()
	r.rig.signIn("demo", func(ctx context.Context, url string) error {
		_, err := oauthtest.Browser{User: user}.Open(ctx, url)
		return err
	})
}

func (r *claw) token() string {
	r.t.Helper()
	return strings.TrimSpace(r.must(keytray, "token", alice))
}

// ask has OpenClaw ask the model, and returns the token that it sent.
func (r *claw) ask(how ...string) string {
	r.t.Helper()
	out := r.must(r.program, append([]string{"agent", "--agent", "main", "--session-id", "s1", "-m", "hi", "--json"}, how...)...)
	if !strings.Contains(out, modelSays) {
		r.t.Errorf("openclaw agent did not say what the model says:\n%s", out)
	}
	return r.model.last()
}

// profiles are the names that OpenClaw lists.
func (r *claw) profiles() []string {
	r.t.Helper()
	out := r.must(r.program, "models", "auth", "list", "--json")
	var answer struct{ Profiles []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		r.t.Fatalf("openclaw models auth list: %v\n%s", err, out)
	}
	var names []string
	for _, p := range answer.Profiles {
		names = append(names, p.ID)
	}
	return names
}

// gateway starts one and waits until it is ready. The newest gives its own workers
// five seconds, which a busy machine does not always have, and then ends.
func (r *claw) gateway() (log func() string) {
	r.t.Helper()
	for range 3 {
		log = r.background(r.program, "gateway", "run")
		late := "state lease heartbeat did not become ready"
		r.eventually("a gateway that is ready", func() bool {
			return strings.Contains(log(), "[gateway] ready") || strings.Contains(log(), late)
		})
		if !strings.Contains(log(), late) {
			return log
		}
		r.t.Log("the gateway was too slow for itself; again")
	}
	r.t.Fatalf("no gateway starts:\n%s", log())
	return nil
}

// rotates has a running gateway meet a renewed login: by a command that only
// leaves it owed, and by a watcher that tells the gateway. Reads says that the
// gateway looks at the profile file again when that has changed.
func (r *claw) rotates(reads bool) {
	r.t.Helper()
	log := r.gateway()
	first := r.token()
	if got := r.ask(); got != first {
		r.t.Fatalf("the gateway did not send the token of its start (%d bytes)\n%s", len(got), log())
	}
	r.must(keytray, "refresh", "demo")
	second := r.token()
	if second == first {
		r.t.Fatal("the server did not issue a new token")
	}
	switch got := r.ask(); {
	case got == first: // it keeps what it has read
	case got == second && reads:
	default:
		r.t.Errorf("before the reload the gateway sends neither the old nor, where it reads the profile file anew, the new token (%d bytes)", len(got))
	}
	// One that reads the file has dropped our part of the entry in it.
	if out := r.must(keytray, "openclaw", "status"); !reads && !strings.Contains(out, "owed") {
		r.t.Errorf("keytray openclaw status does not say that a reload is owed:\n%s", out)
	}
	r.background(keytray, "watch")
	r.eventually("a watcher that reloads and restores", func() bool {
		out := r.must(keytray, "openclaw", "status")
		return !strings.Contains(out, "owed") && strings.Contains(out, ": ok")
	})
	if got := r.ask(); got != second {
		r.t.Errorf("after the reload the gateway does not send the new token (%d bytes)", len(got))
	}
}

var reference = regexp.MustCompile(`p/[0-9a-f]{16}`)

// bare asks the resolver as OpenClaw would with an empty passEnv: with no
// environment at all, where only the place of the bus is known.
func (r *claw) bare(root string) {
	r.t.Helper()
	bus := fmt.Sprintf("/run/user/%d/bus", os.Getuid())
	if err := os.MkdirAll(filepath.Dir(bus), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(strings.TrimPrefix(r.bus.Address(), "unix:path="), bus); err != nil {
		r.t.Fatal(err)
	}
	mirror, err := os.ReadFile(filepath.Join(root, "agents", "main", "agent", "auth-profiles.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	id := string(reference.Find(mirror))
	cmd := exec.Command(filepath.Join(r.home, ".local", "share", "keytray", "bin", "keytray"), "openclaw", "resolve", "--state-dir", root)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"protocolVersion":1,"provider":"keytray","ids":[%q]}`, id))
	began := time.Now()
	out, err := cmd.Output()
	r.t.Logf("the resolver without an environment took %s", time.Since(began).Round(time.Millisecond))
	var answer struct{ Values map[string]string }
	if err != nil || json.Unmarshal(out, &answer) != nil || answer.Values[id] != r.token() {
		r.t.Errorf("without an environment the resolver has no token: %v, %d bytes", err, len(out))
	}
}

// TestOpenClawWithFiles is the last OpenClaw but a few that reads the profile file
// which Keytray writes in its folder.
func TestOpenClawWithFiles(t *testing.T) {
	r := newClaw(t, "2026.5.28")
	r.provider(r.folder)
	r.signIn("alice")
	out := r.must(keytray, "openclaw", "connect")
	if !strings.Contains(out, "all of its references") {
		t.Errorf("keytray openclaw connect: no audit in\n%s", out)
	}
	r.bare(r.folder)
	if got := r.profiles(); len(got) != 1 || got[0] != alice {
		t.Errorf("openclaw lists %q, want %q", got, alice)
	}
	if got, want := r.ask("--local"), r.token(); got != want {
		t.Errorf("openclaw sent %d bytes that are not the access token", len(got))
	}
	r.rotates(true)
}

// TestNewestOpenClaw keeps its logins in a database, and would not start beside
// our files.
func TestNewestOpenClaw(t *testing.T) {
	r := newClaw(t, "2026.9.6")
	if got := r.profiles(); len(got) != 0 { // this makes its database
		t.Fatalf("a new openclaw lists %q", got)
	}
	own := filepath.Join(r.home, ".local", "state", "keytray")
	r.provider(own)
	r.signIn("alice")
	if got := r.run("", keytray, "status"); !strings.Contains(got.stderr, own) {
		t.Errorf("no notice that %s is used: %q", own, got.stderr)
	}
	if old, _ := filepath.Glob(filepath.Join(r.folder, "agents", "*", "agent", "auth*.json")); len(old) > 0 {
		t.Fatalf("there are files that keep it from starting: %q", old)
	}
	out := r.must(keytray, "openclaw", "connect")
	const name = "demo:keytray-alice-example.test"
	if !strings.Contains(out, name) {
		t.Errorf("keytray openclaw connect: no %s in\n%s", name, out)
	}
	if got := r.profiles(); len(got) != 1 || got[0] != name {
		t.Errorf("openclaw lists %q, want %q", got, name)
	}
	if got, want := r.ask("--local"), r.token(); got != want {
		t.Errorf("openclaw sent %d bytes that are not the access token", len(got))
	}
	if !testing.Short() { // minutes: each of its commands takes ten seconds, and its gateway more
		r.rotates(false)
		r.connectsAgain(name)
	}
	r.must(keytray, "openclaw", "disconnect")
	if got := r.profiles(); len(got) != 0 {
		t.Errorf("after disconnect openclaw lists %q", got)
	}
	if config, err := os.ReadFile(filepath.Join(r.folder, "openclaw.json")); err != nil || strings.Contains(string(config), "keytray") {
		t.Errorf("after disconnect openclaw.json still names keytray (%v)", err)
	}
}

// connectsAgain connects after a second login came, and after it went.
func (r *claw) connectsAgain(name string) {
	r.t.Helper()
	r.signIn("bob")
	const bobs = "demo:keytray-bob-example.test"
	if out := r.must(keytray, "openclaw", "connect"); strings.Count(out, "connected ") != 2 || !strings.Contains(out, name) || !strings.Contains(out, bobs) {
		r.t.Errorf("connecting again with another login says\n%s", out)
	}
	if got := r.run("", keytray, "logout", "demo:bob@example.test"); !strings.Contains(got.stderr, "openclaw connect") {
		r.t.Errorf("no hint that OpenClaw still asks for it: %q", got.stderr)
	}
	if out := r.must(keytray, "openclaw", "connect"); !strings.Contains(out, "removed       "+bobs) {
		r.t.Errorf("connecting without a login does not remove it:\n%s", out)
	}
	if got := r.profiles(); len(got) != 1 || got[0] != name {
		r.t.Errorf("openclaw lists %q, want %q", got, name)
	}
}

// BenchmarkModelsStatus has OpenClaw, which has no login, and Keytray, which has one,
// tell of that in turn, and reports medians.
func BenchmarkModelsStatus(b *testing.B) {
	r := newClaw(b, "2026.9.6")
	r.profiles() // this makes its database
	r.provider(filepath.Join(r.home, ".local", "state", "keytray"))
	r.signIn("alice")
	took, peak := map[string][]float64{}, map[string][]float64{}
	for b.Loop() {
		for name, program := range map[string]string{"openclaw": r.program, "keytray": keytray} {
			got := r.run("", program, "models", "status", "--json")
			if got.code != 0 || !json.Valid([]byte(got.stdout)) {
				b.Fatalf("%s models status: exit %d\n%s", name, got.code, got.stderr)
			}
			took[name] = append(took[name], got.took.Seconds()*1000)
			peak[name] = append(peak[name], float64(got.peak)/(1<<20))
		}
	}
	for name := range took {
		slices.Sort(took[name])
		slices.Sort(peak[name])
		b.ReportMetric(took[name][b.N/2], name+"-ms")
		b.ReportMetric(peak[name][b.N/2], name+"-MiB")
	}
	b.ReportMetric(0, "ns/op") // of both together
}
