//go:build linux

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
)

// binary is the keytray under test, built as it is shipped.
var binary string

// programsVariable names a folder with binary in it, for a test that runs itself.
const programsVariable = "E2E_PROGRAMS"

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for tokens to expire, rather than compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	hearSignals()
	os.Exit(buildAndRun(m))
}

// hearSignals undoes what nohup, and a shell's &, did to this process: a signal that
// is ignored when a program starts stays ignored in it, and in all that it starts.
func hearSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // what is caught is reset in children
		}
	}
}

func buildAndRun(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	if dir := os.Getenv(programsVariable); dir != "" {
		binary = filepath.Join(dir, "keytray")
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "keytray-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "keytray")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/keytray")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building keytray: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// touchSources looks at all that the result of these tests depends on. The go
// command repeats an old result while nothing has changed that a test has
// looked at; what its children read it does not see, nor what TestMain does.
func touchSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			_, _ = os.Stat(filepath.Join(path, ".installed")) // whether it is there or not
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".mjs", ".json", ".mod", ".sum", ".sh", ".nsi", ".manifest", ".svg":
			_, err = os.Stat(path)
		}
		return err
	})
}

// need skips the test unless all these programs are there. Where CI=true it
// fails it: a part that went missing must not look like a success.
func need(tb testing.TB, programs ...string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("a real desktop takes seconds, and this is -short")
	}
	if err := touchSources(); err != nil {
		tb.Fatal(err)
	}
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, filepath.Base(p))
		}
	}
	if len(missing) == 0 {
		return
	}
	const format = "missing: %s (e2e/setup.sh installs them)"
	if os.Getenv("CI") == "true" {
		tb.Fatalf(format, strings.Join(missing, ", "))
	}
	tb.Skipf(format, strings.Join(missing, ", "))
}

// rig is a private desktop with an authorization server, and the keytray that
// lives there. Everything it writes lies in dir.
type rig struct {
	t    testing.TB
	dir  string
	root string // the state root
	home string
	bus  *session.Session
	srv  *server
	env  []string
	// display is the X server's, if there is one, and frame its picture.
	display, frame string
	// under is a program around keytray, with its arguments; program is another
	// keytray than binary.
	under   []string
	program string

	mu   sync.Mutex // guards what follows
	ran  []result
	logs int
	seen map[string]bool // arguments and environments of processes
}

// result is what one run of keytray said.
type result struct {
	args           []string
	stdout, stderr string
	code           int
	took           time.Duration
}

// newRig starts a private desktop and the server, and writes the provider file
// by which keytray knows it. When the test ends, all that the rig holds is
// searched for secrets.
func newRig(tb testing.TB) *rig {
	tb.Helper()
	need(tb, "dbus-daemon", "gnome-keyring-daemon", node)
	return newRigAt(tb, startServer(tb))
}

// newRigAt is newRig with another server.
func newRigAt(tb testing.TB, srv *server) *rig {
	tb.Helper()
	dir := shortDir(tb)
	r := &rig{t: tb, dir: dir, root: filepath.Join(dir, "root"), home: filepath.Join(dir, "home"), srv: srv, seen: map[string]bool{}}
	for _, d := range []string{"home", "tmp", "log", "session", "root/providers"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	bus, err := session.Start(tb.Context(), filepath.Join(dir, "session"))
	if err != nil {
		tb.Fatalf("starting the private session: %v", err)
	}
	tb.Cleanup(func() {
		if end := bus.KeyringEnd(); tb.Failed() && end != "" {
			tb.Log(end)
		}
		bus.Close()
	})
	r.bus = bus
	r.env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}, bus.Env(), []string{
		"HOME=" + r.home,
		"TMPDIR=" + filepath.Join(dir, "tmp"),
		"XDG_CONFIG_HOME=" + filepath.Join(r.home, ".config"),
		"XDG_STATE_HOME=" + filepath.Join(r.home, ".local/state"),
		"KEYTRAY_STATE_DIR=" + r.root,
	})
	r.write(filepath.Join(r.root, "providers/rig.json"), r.srv.providerFile())
	tb.Cleanup(r.noSecretsAnywhere)
	return r
}

// shortDir is a t.TempDir without the name of the test: a socket's path holds
// 107 bytes, and Chromium's alone needs half of them.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

func (r *rig) write(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// writeAll writes files below HOME, with the folders they lie in.
func (r *rig) writeAll(files map[string]string) {
	r.t.Helper()
	for path, text := range files {
		path = filepath.Join(r.home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		r.write(path, text)
	}
}

// process is a running keytray.
type process struct {
	*exec.Cmd
	r      *rig
	args   []string
	began  time.Time
	stdout bytes.Buffer
	log    string // the file that gets its stderr
}

// start runs keytray with no terminal: in a session of its own, with an empty
// stdin unless one is given. Its stderr is a log file, which stays to be
// searched.
func (r *rig) start(stdin io.Reader, args ...string) *process {
	r.t.Helper()
	name := r.newLog("stderr")
	log, err := os.Create(name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	argv := slices.Concat(r.under, []string{cmp.Or(r.program, binary)}, args)
	p := &process{Cmd: exec.Command(argv[0], argv[1:]...), r: r, args: args, log: name, began: time.Now()}
	p.Env, p.Dir, p.Stdin, p.Stdout, p.Stderr = r.env, r.dir, stdin, &p.stdout, log
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.Start(); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// newLog is the path of a file for what a program says.
func (r *rig) newLog(of string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs++
	return filepath.Join(r.dir, "log", fmt.Sprintf("%03d.%s", r.logs, of))
}

// stderr is what the process has written there so far.
func (p *process) stderr() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.r.t.Error(err)
	}
	return string(b)
}

// wait waits for the end of the process, at most two minutes: no command of
// ours may take longer.
func (p *process) wait() result {
	p.r.t.Helper()
	overdue := time.AfterFunc(2*time.Minute, func() { p.Process.Kill() })
	err := p.Wait()
	if !overdue.Stop() {
		p.r.t.Errorf("keytray %s did not end", strings.Join(p.args, " "))
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.r.t.Fatal(err)
	}
	got := result{args: p.args, stdout: p.stdout.String(), stderr: p.stderr(), code: p.ProcessState.ExitCode(), took: time.Since(p.began)}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.ran = append(p.r.ran, got)
	return got
}

func (r *rig) run(args ...string) result {
	r.t.Helper()
	return r.start(nil, args...).wait()
}

// must runs keytray and expects it to succeed.
func (r *rig) must(args ...string) result {
	r.t.Helper()
	got := r.run(args...)
	if got.code != 0 {
		r.t.Fatalf("keytray %s: exit %d, want 0\n%s", strings.Join(args, " "), got.code, got.stderr)
	}
	return got
}

// token asks for the access token of the rig's login.
func (r *rig) token(args ...string) string {
	r.t.Helper()
	got := strings.TrimSuffix(r.must(append([]string{"token", "rig"}, args...)...).stdout, "\n")
	if l := r.srv.ledger(); !slices.Contains(l.Access, got) {
		r.t.Fatalf("keytray token printed %d bytes that are no access token of the server's", len(got))
	}
	return got
}

// place is the folder of locks and journals.
func (r *rig) place() string { return filepath.Join(r.home, ".local/state/keytray") }

// mirror is the path of an agent's auth-profiles.json.
func (r *rig) mirror(agent string) string {
	return filepath.Join(r.root, "agents", cmp.Or(agent, "main"), "agent", "auth-profiles.json")
}

// eventually waits until ok answers true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	eventuallyEach(tb, 10*time.Millisecond, what, ok)
}

// eventuallyEach is eventually where looking is expensive.
func eventuallyEach(tb testing.TB, pace time.Duration, what string, ok func() bool) {
	tb.Helper()
	waitFor(tb, pace, 30*time.Second, what, ok)
}

// eventuallyWithin is eventually for what takes long.
func eventuallyWithin(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	waitFor(tb, 10*time.Millisecond, limit, what, ok)
}

func waitFor(tb testing.TB, pace, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited in vain: %s", what)
		case <-time.After(pace):
		}
	}
}

// pass lets time go by: tokens do not expire faster for a test.
func pass(tb testing.TB, d time.Duration) {
	tb.Helper()
	select {
	case <-tb.Context().Done():
	case <-time.After(d):
	}
}

// sorted is for messages.
func sorted[M ~map[string]V, V any](m M) []string { return slices.Sorted(maps.Keys(m)) }
