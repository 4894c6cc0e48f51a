//go:build linux

// Package parsers feeds what `keytray helper` prints to the programs and libraries
// that it is printed for: git, curl, docker's client, client-go, the AWS SDK. It
// is a module of its own because of what those need.
package parsers

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// keytray is the program under test, built as it is shipped, at a path with a space.
var keytray string

// TestMain gives this process, and so all that it starts, a home, a keyring and a
// login of the provider "demo" at an authorization server of ours.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Fprintln(os.Stderr, "real programs take seconds, and this is -short")
		return
	}
	code, err := prepareAndRun(m)
	if _, missing := errors.AsType[*session.MissingError](err); missing && os.Getenv("CI") != "true" {
		fmt.Fprintf(os.Stderr, "skipped: %v\n", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "keytray parsers-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	keytray = filepath.Join(dir, "keytray")
	build := exec.Command("go", "build", "-trimpath", "-o", keytray, "./cmd/keytray")
	build.Dir = "../.." // another module, with its own versions
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building keytray: %w\n%s", err, out)
	}
	desk, err := session.Start(context.Background(), filepath.Join(dir, "session"))
	if err != nil {
		return 0, err
	}
	defer desk.Close()
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(context.Background(), "127.0.0.1:0"); err != nil {
		return 0, err
	}
	defer server.Close()
	if err := settle(filepath.Join(dir, "home"), desk.Env(), server); err != nil {
		return 0, err
	}
	if err := login(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// settle moves this process to another home.
func settle(home string, env []string, server *oauthtest.Server) error {
	path := os.Getenv("PATH")
	os.Clearenv()
	env = append(env, "HOME="+home, "PATH="+path, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1")
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		os.Setenv(name, value)
	}
	providers := filepath.Join(home, ".local", "state", "keytray", "providers")
	if err := os.MkdirAll(providers, 0o700); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(providers, "demo.json"))
	if err != nil {
		return err
	}
	return errors.Join(server.WriteProvider(f), f.Close())
}

var address = regexp.MustCompile(`https?://\S+`)

func login() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, keytray, "login", "demo", "--no-browser")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	said := new(strings.Builder)
	opened := false
	for lines := bufio.NewScanner(io.TeeReader(stderr, said)); lines.Scan(); {
		if url := address.FindString(lines.Text()); url != "" && !opened {
			opened = true
			go oauthtest.Browser{User: "alice"}.Open(ctx, url)
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("signing in: %w\n%s", err, said)
	}
	return nil
}

// ask runs keytray with stdin, and returns what it prints.
func ask(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return run(t, stdin, keytray, args...)
}

func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	said := new(strings.Builder)
	cmd.Stderr = said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, said)
	}
	return string(out)
}

func token(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(ask(t, "", "token", "demo"))
}

// need skips where a program is missing, which only a person's machine may lack.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("missing: %s (e2e/setup.sh installs it)", program)
		}
		t.Skipf("missing: %s (e2e/setup.sh installs it)", program)
	}
}

// write makes a file, with all folders, in the home or elsewhere.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
