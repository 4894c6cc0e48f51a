//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"keytray": main, "tray": tray, // tray runs itself as keytray
	})
}

// TestScripts runs the command as people do: the program as it is shipped, for each
// script a real keyring in a session of its own, and an authorization server of
// ours on a real socket.
func TestScripts(t *testing.T) {
	requireSession(t)
	shipped := ship(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", shipped+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return prepareScript(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"signin":     signin,
			"entercode":  enterCode,
			"offercodes": offerCodes,
			"addcorp":    addCorp,
			"lifetime":   lifetime,
			"server":     serverSaw,
			"revoked":    serverRevoked,
			"lock":       lock,
			"unlock":     unlock,
			"fault":      fault,
			"await":      await,
			"grant":      grant,
			"asked":      serverAsked,
		},
	})
}

// ship builds the command, with the names that git and docker call it by, and says
// where. It is this test binary as well, but what the race detector has been put into
// is slow to start.
func ship(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "keytray"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building keytray: %v\n%s", err, out)
	}
	for _, name := range []string{"git-credential-keytray", "docker-credential-keytray"} {
		if err := os.Symlink("keytray", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// requireSession skips where a program is missing, which only a person's
// machine may lack.
func requireSession(t *testing.T) {
	t.Helper()
	s, err := session.Start(t.Context(), t.TempDir())
	if _, missing := errors.AsType[*session.MissingError](err); missing && os.Getenv("CI") != "true" {
		t.Skipf("no keyring to test with: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// prepareScript gives each script a session, a home, a server and the provider "demo"
// that names it. Its access tokens live an hour.
func prepareScript(e *testscript.Env) error {
	desk, err := session.Start(context.Background(), filepath.Join(e.WorkDir, "session"))
	if err != nil {
		return err
	}
	e.Defer(func() { _ = desk.Close() })
	e.Values["desk"] = desk
	e.Vars = append(e.Vars, desk.Env()...)
	home := filepath.Join(e.WorkDir, "home")
	root := filepath.Join(home, ".local", "state", "keytray")
	if err := os.MkdirAll(filepath.Join(root, "providers"), 0o700); err != nil {
		return err
	}
	e.Setenv("HOME", home)
	e.Setenv("ROOT", root)
	e.Setenv("MIRROR", filepath.Join(root, "agents", "main", "agent", "auth-profiles.json"))
	server := oauthtest.New(oauthtest.Options{Device: true})
	if err := server.Start(context.Background(), "127.0.0.1:0"); err != nil {
		return err
	}
	e.Defer(func() { _ = server.Close() })
	e.Values["server"] = server
	e.Setenv("ISSUER", server.URL)
	return writeProvider(e.Getenv("ROOT"), server, false)
}

// writeProvider writes the file of the provider "demo", with its login with a
// code or without.
func writeProvider(root string, s *oauthtest.Server, codes bool) error {
	p := s.Provider()
	if !codes {
		p.OAuth.DeviceAuthorizationEndpoint = ""
	}
	return writeEntry(root, p)
}

func writeEntry(root string, p provider.Provider) error {
	b, err := json.MarshalIndent(p, "", "  ")
	return errors.Join(err, os.WriteFile(filepath.Join(root, "providers", p.ID+".json"), b, 0o600))
}

// addcorp SECRET adds the provider "corp", a server of its own, whose client proves
// itself with a secret.
func addCorp(ts *testscript.TestScript, _ bool, args []string) {
	s := oauthtest.New(oauthtest.Options{ClientSecret: args[0]})
	ts.Check(s.Start(context.Background(), "127.0.0.1:0"))
	ts.Defer(func() { _ = s.Close() })
	p := s.Provider()
	p.ID = "corp"
	ts.Check(writeEntry(ts.Getenv("ROOT"), p))
}

// offercodes lets people sign in to demo with a code too.
func offerCodes(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(writeProvider(ts.Getenv("ROOT"), server(ts), true))
}

func lock(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value("desk").(*session.Session).Lock(context.Background()))
}

func unlock(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value("desk").(*session.Session).Unlock(context.Background()))
}

func server(ts *testscript.TestScript) *oauthtest.Server {
	return ts.Value("server").(*oauthtest.Server)
}

var address = regexp.MustCompile(`https?://\S+`)

// signin USER ARGS... runs "keytray ARGS..." and signs in as USER on the page
// that it names. What the command prints follows in stdout and stderr.
func signin(ts *testscript.TestScript, neg bool, args []string) {
	runAnswered(ts, neg, args[1:], func(ctx context.Context, stderr io.Reader) { openFirstAddress(ctx, stderr, args[0]) })
}

// entercode USER ARGS... runs "keytray ARGS..." and enters the code that it shows
// as USER; nobody says no.
func enterCode(ts *testscript.TestScript, neg bool, args []string) {
	runAnswered(ts, neg, args[1:], func(_ context.Context, stderr io.Reader) {
		next := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			line := strings.TrimSpace(lines.Text())
			if next && line != "" {
				if err := server(ts).Decide(line, strings.TrimPrefix(args[0], "nobody")); err != nil {
					ts.Logf("%s: %v", line, err)
				}
				next = false
			}
			next = next || line == "and enter the code"
		}
	})
}

// runAnswered runs "keytray ARGS..." while answer reads its stderr to the end.
func runAnswered(ts *testscript.TestScript, neg bool, args []string, answer func(context.Context, io.Reader)) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if p := filepath.Join(dir, "keytray"); path == "" && exists(p) {
			path = p
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "SSH_CONNECTION", "DISPLAY"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Stdout = ts.Stdout()
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	answer(ctx, io.TeeReader(stderr, ts.Stderr()))
	if err := cmd.Wait(); (err != nil) != neg {
		ts.Fatalf("keytray %v: %v", args, err)
	}
}

// openFirstAddress reads what a login prints to its end, and signs in as user on
// the page that it names.
func openFirstAddress(ctx context.Context, stderr io.Reader, user string) {
	opened := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if url := address.FindString(lines.Text()); url != "" && !opened {
			opened = true
			go func() { _, _ = oauthtest.Browser{User: user}.Open(ctx, url) }()
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lifetime D sets that of access tokens issued from now on.
func lifetime(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	server(ts).SetLifetime(d)
}

// server N refreshes checks how many the server has seen, and that none came
// with a spent token; server reuse 0 the latter alone.
func serverSaw(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "reuse" {
		args = []string{strconv.Itoa(server(ts).Stats().Refreshes)}
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if st := server(ts).Stats(); st.Refreshes != want || st.Reuses != 0 {
		ts.Fatalf("the server saw %+v, want %d refreshes and no reuse", st, want)
	}
}

// revoked N checks how many logins the server was told to end.
func serverRevoked(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := server(ts).Stats().Revoked; got != want {
		ts.Fatalf("the server was told to end %d logins, want %d", got, want)
	}
}

// asked N checks how often the server was asked by an access token.
func serverAsked(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := server(ts).Stats().Asked; got != want {
		ts.Fatalf("the server was asked %d times, want %d", got, want)
	}
}

// fault JSON... lets the coming token requests fail as the JSON says.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	for _, arg := range args {
		var f oauthtest.Fault
		ts.Check(json.Unmarshal([]byte(arg), &f))
		server(ts).Fail(f)
	}
}

// await FILE PATTERN... waits until the file has a line for each pattern, in
// this order.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?ms)" + strings.Join(args[1:], ".*?"))
	deadline := time.Now().Add(40 * time.Second)
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %s in %s (%v):\n%s", want, args[0], err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// grant USER FILE gives another program a login of USER, by putting its tokens in
// place of ACCESS, REFRESH and EXPIRES in the program's file. The refresh token
// also goes to the variable REFRESH.
func grant(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	l, err := (&oauth.Client{}).StartLogin(ctx, *server(ts).Provider().OAuth)
	ts.Check(err)
	go func() { _, _ = oauthtest.Browser{User: args[0]}.Open(ctx, l.URL) }()
	t, err := l.Wait(ctx)
	l.Close(err)
	ts.Check(err)
	path := ts.MkAbs(args[1])
	text, err := os.ReadFile(path)
	ts.Check(err)
	fill := strings.NewReplacer("ACCESS", t.Access.Reveal(), "REFRESH", t.Refresh.Reveal(), "EXPIRES", strconv.FormatInt(t.Expiry.UnixMilli(), 10))
	ts.Check(os.WriteFile(path, []byte(fill.Replace(string(text))), 0o600))
	ts.Setenv("REFRESH", t.Refresh.Reveal())
}
