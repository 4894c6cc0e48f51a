//go:build linux

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// command is the keytray under test, built as it is shipped.
var command string

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for tokens to expire, rather than compute.
	if err := flag.Set("test.parallel", "16"); err != nil {
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
	dir, err := os.MkdirTemp("", "keytray-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	command = filepath.Join(dir, "keytray")
	build := exec.Command("go", "build", "-trimpath", "-o", command, "../../cmd/keytray")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building keytray: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// touchSources looks at what the result of these tests depends on, or the go
// command would repeat an old one: what TestMain reads it does not see.
func touchSources() error {
	return filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".sum":
			_, err = os.Stat(path)
		}
		return err
	})
}

// need skips the test unless all these programs are there; where CI=true it
// fails.
func need(tb testing.TB, programs ...string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("real processes take seconds, and this is -short")
	}
	if err := touchSources(); err != nil {
		tb.Fatal(err)
	}
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		lack(tb, strings.Join(missing, ", ")+" (e2e/setup.sh installs them)")
	}
}

func lack(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal("missing: " + what)
	}
	tb.Skip("missing: " + what)
}

const (
	profileID = "demo:ada"
	// spacing is the least time between two renewals of one login, and a bit.
	spacing = 2100 * time.Millisecond
)

// stage is a private desktop with a server and the keytray that lives there.
type stage struct {
	t     testing.TB
	dir   string
	root  string // the state root
	home  string
	bus   *session.Session
	relay *relay
	as    *authServer
	env   []string
	// tracer gets the end of each strace that was attached.
	tracer chan chan struct{}

	mu   sync.Mutex // guards what follows
	logs int
}

// options are what differs between stages; the zero value is a strict server.
type options struct {
	server oauthtest.Options
	// files keeps secrets in encrypted files, and there is no bus.
	files bool
	// prepare runs before anything is written to the stage's folder.
	prepare func(s *stage)
}

// newStage builds a stage. When the test ends all that it holds is searched for
// secrets.
func newStage(tb testing.TB, o options) *stage {
	tb.Helper()
	if o.files {
		need(tb)
	} else {
		need(tb, "dbus-daemon", "gnome-keyring-daemon")
	}
	dir := tb.TempDir()
	s := &stage{t: tb, dir: dir, root: filepath.Join(dir, "root"), home: filepath.Join(dir, "home"), tracer: make(chan chan struct{}, 8)}
	for _, d := range []string{"home", "root", "tmp", "log", "session"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	if o.prepare != nil {
		o.prepare(s)
	}
	address := "unix:path=" + filepath.Join(dir, "session", "none")
	if !o.files {
		address = s.startBus()
	}
	s.as = startServer(tb, o.server)
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"DBUS_SESSION_BUS_ADDRESS=" + address,
		"HOME=" + s.home,
		"TMPDIR=" + filepath.Join(dir, "tmp"),
		"XDG_STATE_HOME=" + filepath.Join(s.home, ".local/state"),
		"KEYTRAY_STATE_DIR=" + s.root,
	}
	s.provide()
	if o.files {
		s.chooseFiles()
	}
	tb.Cleanup(s.noSecrets)
	return s
}

// startBus brings up the bus and the keyring, and the relay before them.
func (s *stage) startBus() (address string) {
	s.t.Helper()
	bus, err := session.Start(s.t.Context(), filepath.Join(s.dir, "session"))
	if err != nil {
		s.t.Fatalf("starting the private session: %v", err)
	}
	s.t.Cleanup(func() { bus.Close() })
	s.bus = bus
	s.relay = startRelay(s.t, bus.Address())
	return s.relay.address
}

// provide writes down the server as a provider of the root.
func (s *stage) provide() {
	t := s.t
	t.Helper()
	if err := os.MkdirAll(filepath.Join(s.root, "providers"), 0o700); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := s.as.WriteProvider(&file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.root, "providers/demo.json"), file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process is a running keytray.
type process struct {
	*exec.Cmd
	s      *stage
	args   []string
	began  time.Time
	stdout bytes.Buffer
	log    string // the file that gets its stderr
}

// result is what one run of keytray said. Code is -1 when it was killed.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// start runs keytray in a session of its own, beneath another program if under
// is not empty.
func (s *stage) start(under []string, args ...string) *process {
	s.t.Helper()
	return s.launch(slices.Concat(under, []string{command}, args)...)
}

// launch starts a program in the stage's environment.
func (s *stage) launch(argv ...string) *process {
	s.t.Helper()
	s.mu.Lock()
	s.logs++
	name := filepath.Join(s.dir, "log", fmt.Sprintf("%04d.stderr", s.logs))
	s.mu.Unlock()
	log, err := os.Create(name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	p := &process{Cmd: exec.Command(argv[0], argv[1:]...), s: s, args: argv, log: name, began: time.Now()}
	p.Env, p.Dir, p.Stdout, p.Stderr = s.env, s.dir, &p.stdout, log
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p *process) kill() { _ = p.Process.Kill() }

func (p *process) signal(sig syscall.Signal) {
	p.s.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.s.t.Fatal(err)
	}
}

func (p *process) stderr() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.s.t.Error(err)
	}
	return string(b)
}

// wait waits for the end of the process, at most two minutes: no command of
// ours may take longer.
func (p *process) wait() result {
	p.s.t.Helper()
	overdue := time.AfterFunc(2*time.Minute, func() { p.Process.Kill() })
	err := p.Wait()
	if !overdue.Stop() {
		p.s.t.Errorf("%s did not end", strings.Join(p.args, " "))
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.s.t.Fatal(err)
	}
	return result{p.stdout.String(), p.stderr(), p.ProcessState.ExitCode(), time.Since(p.began)}
}

func (s *stage) run(args ...string) result {
	s.t.Helper()
	return s.start(nil, args...).wait()
}

// token runs `keytray token` and expects this exit code, and with 0 a token
// that the server takes.
func (s *stage) token(code int, args ...string) result {
	s.t.Helper()
	got := s.run(append([]string{"token", profileID}, args...)...)
	s.check(got, code)
	return got
}

func (s *stage) check(got result, code int) {
	s.t.Helper()
	if got.code != code {
		s.t.Errorf("exit %d, want %d\n%s", got.code, code, got.stderr)
	}
	if got.code != 0 {
		if got.stdout != "" {
			s.t.Errorf("exit %d with %d bytes on stdout, want none", got.code, len(got.stdout))
		}
		return
	}
	if !s.as.Valid(strings.TrimSpace(got.stdout)) {
		s.t.Error("the token that came out does not work")
	}
}

var signInURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/authorize\?\S+`)

// login signs in. The access token of that login lives for life, the next ones
// for an hour.
func (s *stage) login(life time.Duration) {
	s.t.Helper()
	s.as.SetLifetime(life)
	p := s.start(nil, "login", "demo", "--no-browser", "--profile-id", profileID)
	var url string
	defer func() {
		if url == "" {
			s.t.Logf("the login said:\n%s", p.stderr())
		}
	}()
	s.eventually("the URL of the login", func() bool {
		url = signInURL.FindString(p.stderr())
		return url != ""
	})
	if _, err := (oauthtest.Browser{User: "ada"}).Open(s.t.Context(), url); err != nil {
		s.t.Fatal(err)
	}
	if got := p.wait(); got.code != 0 {
		s.t.Fatalf("keytray login: exit %d, want 0\n%s", got.code, got.stderr)
	}
	s.as.SetLifetime(time.Hour)
}

// expired signs in and waits until the access token is dead and a renewal is
// allowed.
func (s *stage) expired() {
	s.t.Helper()
	s.login(time.Second)
	s.pass(spacing)
}

// due signs in with a token that lives for ten minutes and waits until a renewal
// is allowed; --min-ttl 9m59s asks for one.
func (s *stage) due() {
	s.t.Helper()
	s.login(10 * time.Minute)
	s.pass(spacing)
}

// place is the folder of locks and journals.
func (s *stage) place() string { return filepath.Join(s.home, ".local/state/keytray/locks") }

// file is a file of the one profile: "lock", "journal", "journal.next".
func (s *stage) file(kind string) string {
	s.t.Helper()
	locks, err := filepath.Glob(filepath.Join(s.place(), "*.lock"))
	if err != nil {
		s.t.Fatal(err)
	}
	locks = slices.DeleteFunc(locks, func(p string) bool { return len(filepath.Base(p)) != 64+len(".lock") })
	if len(locks) != 1 {
		s.t.Fatalf("%d profile locks, want 1: %q", len(locks), locks)
	}
	return strings.TrimSuffix(locks[0], "lock") + kind
}

func (s *stage) mirror() string {
	return filepath.Join(s.root, "agents/main/agent/auth-profiles.json")
}

// journal is what the profile's journal says; its phase is "none" if there is
// no journal.
type journal struct {
	Phase   string
	G       uint64
	Attempt int
	Process struct{ PID int }
}

func (s *stage) journal() journal {
	s.t.Helper()
	b, err := os.ReadFile(s.file("journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return journal{Phase: "none"}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var j journal
	if json.Unmarshal(b, &j) != nil {
		return journal{Phase: "torn"}
	}
	return j
}

// state is what the mirror says of the profile.
func (s *stage) state() (state, reason string, generation uint64) {
	s.t.Helper()
	b, err := os.ReadFile(s.mirror())
	if err != nil {
		s.t.Fatal(err)
	}
	var m struct {
		Profiles map[string]struct {
			Keytray struct {
				State, Reason string
				Generation    uint64
			}
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		s.t.Fatal(err)
	}
	k := m.Profiles[profileID].Keytray
	return k.State, k.Reason, k.Generation
}

// ledger checks what the server saw: requests with a refresh token, those that
// it served, and spent ones that came again.
func (s *stage) ledger(sends, served, reused int) {
	s.t.Helper()
	stats := s.as.Stats()
	if got := s.as.sends(); got != sends || stats.Refreshes != served || stats.Reuses != reused {
		s.t.Errorf("the server got %d refresh tokens, served %d and saw %d spent ones again; want %d, %d, %d",
			got, stats.Refreshes, stats.Reuses, sends, served, reused)
	}
}

// noSecrets searches the stage's folder: state root, locks and journals, HOME,
// logs. The keyring's own file is encrypted and searched too.
func (s *stage) noSecrets() {
	secrets := s.as.Secrets()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		for _, secret := range secrets {
			for _, half := range []string{secret[:len(secret)/2], secret[len(secret)/2:]} {
				if bytes.Contains(b, []byte(half)) {
					s.t.Errorf("a secret lies in %s", path)
				}
			}
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}

// eventually waits until ok answers true.
func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("waited in vain: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// pass lets time go by: tokens do not expire faster for a test.
func (s *stage) pass(d time.Duration) {
	s.t.Helper()
	select {
	case <-s.t.Context().Done():
	case <-time.After(d):
	}
}

func (s *stage) killPID(pid int) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Errorf("killing %d: %v", pid, err)
	}
}
