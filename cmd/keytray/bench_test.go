//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// BenchmarkToken starts, in turn, a process each of: keytray handing out a
// valid token, a ten-line program that reads a secret of that size with
// go-keyring, a Go program that does nothing, nothing, and the tools of others
// that are there. It reports the medians, and keytray's ratio to each.
func BenchmarkToken(b *testing.B) {
	programs, env := contestants(b)
	compare(b, programs, env, func(contestant) {})
}

// BenchmarkTokenFirst is BenchmarkToken for programs that nobody has called for a
// long time: neither they nor the libraries that only they use are in memory.
func BenchmarkTokenFirst(b *testing.B) {
	programs, env := contestants(b)
	compare(b, programs, env, func(p contestant) { p.forget(b) })
}

func compare(b *testing.B, programs map[string]contestant, env []string, before func(contestant)) {
	b.Helper()
	took := map[string][]float64{}
	for b.Loop() {
		for name, p := range programs {
			before(p)
			took[name] = append(took[name], p.time(b, env).Seconds()*1000)
		}
	}
	median := map[string]float64{}
	for name, times := range took {
		slices.Sort(times)
		median[name] = times[len(times)/2]
		b.ReportMetric(median[name], name+"-ms")
	}
	for name := range programs {
		if name != "keytray" && name != "true" {
			b.ReportMetric(median["keytray"]/median[name], "keytray/"+name)
		}
	}
	b.ReportMetric(0, "ns/op") // of all together
}

// BenchmarkTokenCrowd has 200 processes ask at once, and reports how many are
// answered in a second.
func BenchmarkTokenCrowd(b *testing.B) {
	programs, env := contestants(b)
	for _, name := range []string{"keytray", "tenlines", "secret-tool"} {
		b.Run(name, func(b *testing.B) {
			const callers = 200
			for b.Loop() {
				var crowd sync.WaitGroup
				for range callers {
					crowd.Go(func() { programs[name].time(b, env) })
				}
				crowd.Wait()
			}
			b.ReportMetric(float64(callers*b.N)/b.Elapsed().Seconds(), "answers/s")
		})
	}
}

// contestant is a program that hands out a secret.
type contestant struct {
	args  []string
	stdin string
}

// time runs it once.
func (c contestant) time(b *testing.B, env []string) time.Duration {
	b.Helper()
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(c.stdin)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Errorf("%s: %v: %s", c.args[0], err, out)
	}
	return time.Since(began)
}

// forget has the kernel forget the program's file and its libraries, as far as
// nobody else uses them.
func (c contestant) forget(b *testing.B) {
	b.Helper()
	program, err := exec.LookPath(c.args[0])
	if err != nil {
		b.Fatal(err)
	}
	libraries, _ := exec.Command("ldd", program).Output() // fails for a static program, and a script
	for _, path := range append(regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1), program) {
		f, err := os.Open(path)
		if err != nil {
			continue // ldd also prints names that are no files
		}
		written := f.Sync() // what is not on the disk yet is not forgotten
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		if err := errors.Join(written, err, f.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// contestants are the programs, each with a secret of 4000 bytes in a keyring of
// the benchmark's. Of others' tools only secret-tool has to be there.
func contestants(b *testing.B) (all map[string]contestant, env []string) {
	b.Helper()
	desk, err := session.Start(b.Context(), b.TempDir())
	if _, missing := errors.AsType[*session.MissingError](err); missing {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = desk.Close() })
	bin := build(b)
	home := b.TempDir()
	env = append(desk.Env(), "HOME="+home, "PATH="+os.Getenv("PATH"))
	signInForBench(b, bin, home, env)
	secret := strings.Repeat("x", 4000)
	all = map[string]contestant{
		"keytray":  {args: []string{filepath.Join(bin, "keytray"), "token", "demo"}},
		"tenlines": {args: []string{filepath.Join(bin, "tenlines")}},
		"hello":    {args: []string{filepath.Join(bin, "hello")}},
		"true":     {args: []string{"true"}},
	}
	b.Cleanup(func() { // pass starts an agent
		stop := exec.Command("gpgconf", "--kill", "all")
		stop.Env = env
		_ = stop.Run()
	})
	const server = "https://bench.example"
	for name, other := range map[string]struct {
		store, fetch contestant
		debian       string
	}{
		"secret-tool": {
			contestant{[]string{"secret-tool", "store", "--label=bench", "service", "bench", "username", "item"}, secret},
			contestant{args: []string{"secret-tool", "lookup", "service", "bench", "username", "item"}},
			"libsecret-tools",
		},
		"docker-credential": {
			contestant{[]string{"docker-credential-secretservice", "store"}, `{"ServerURL":"` + server + `","Username":"item","Secret":"` + secret + `"}`},
			contestant{[]string{"docker-credential-secretservice", "get"}, server},
			"golang-docker-credential-helpers",
		},
		// gh is asked for what it finds in its file, without the keyring that newer ones use.
		"gh": {
			contestant{[]string{"sh", "-c", `mkdir -p "$HOME/.config/gh" && cat >"$HOME/.config/gh/hosts.yml"`}, "github.com:\n  oauth_token: " + secret + "\n  user: item\n"},
			contestant{args: []string{"gh", "auth", "token"}},
			"gh",
		},
		"pass": {
			contestant{[]string{"sh", "-c", `mkdir -m 700 "$HOME/.gnupg" && gpg --batch --quiet --passphrase '' --quick-gen-key bench default default never &&
				pass init bench >/dev/null && pass insert -m bench`}, secret},
			contestant{args: []string{"pass", "show", "bench"}},
			"pass",
		},
	} {
		if _, err := exec.LookPath(other.fetch.args[0]); err != nil {
			b.Logf("without %s (Debian: apt-get install %s)", name, other.debian)
			continue
		}
		other.store.time(b, env)
		all[name] = other.fetch
	}
	if _, ok := all["secret-tool"]; !ok {
		b.Skip("secret-tool is missing")
	}
	if socket, ok := oidcAgent(b, env, secret); ok {
		env = append(env, "OIDC_SOCK="+socket)
		all["oidc-token"] = contestant{args: []string{"oidc-token", "bench"}}
	}
	return all, env
}

// oidcAgent starts an oidc-agent with an account, whose tokens are all that one.
func oidcAgent(b *testing.B, env []string, token string) (socket string, ok bool) {
	b.Helper()
	if _, err := exec.LookPath("oidc-agent"); err != nil {
		b.Log("without oidc-token (Debian: apt-get install oidc-agent-cli)")
		return "", false
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": server.URL, "authorization_endpoint": server.URL + "/authorize", "token_endpoint": server.URL + "/token",
			"scopes_supported": []string{"openid", "offline_access"}, "grant_types_supported": []string{"refresh_token"}, "response_types_supported": []string{"code"},
		})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 36000})
	})
	socket = filepath.Join(b.TempDir(), "agent")
	agent := exec.Command("oidc-agent", "--console", "--socket-path="+socket)
	agent.Env = env
	if err := agent.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	for deadline := time.After(10 * time.Second); ; {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		select {
		case <-deadline:
			b.Fatal("oidc-agent does not listen")
		case <-time.After(10 * time.Millisecond):
		}
	}
	contestant{args: []string{
		"oidc-gen", "--manual", "--iss=" + server.URL, "--client-id=bench", "--client-secret=", "--scope=openid", "--redirect-uri=http://localhost:4711",
		"--rt=bench", "--pw-cmd=echo bench", "--prompt=none", "--confirm-yes", "bench",
	}}.time(b, append(slices.Clone(env), "OIDC_SOCK="+socket))
	return socket, true
}

// build makes the programs as a packager would, and puts them into place as an
// installer does, by a copy: of a file that the linker wrote, through a map, the
// kernel keeps small pieces, and each start of it takes a millisecond longer.
func build(b *testing.B) (dir string) {
	b.Helper()
	dir = b.TempDir()
	for name, pkg := range map[string]string{"keytray": ".", "tenlines": "./testdata/tenlines", "hello": "./testdata/hello"} {
		built := filepath.Join(dir, name+".new")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", built, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("building %s: %v: %s", name, err, out)
		}
		program, err := os.ReadFile(built)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o700); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func signInForBench(b *testing.B, bin, home string, env []string) {
	b.Helper()
	server := oauthtest.New(oauthtest.Options{Size: 4000})
	if err := server.Start(b.Context(), "127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	providers := filepath.Join(home, ".local", "state", "keytray", "providers")
	if err := os.MkdirAll(providers, 0o700); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(providers, "demo.json"))
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(server.WriteProvider(f), f.Close()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "keytray"), "login", "demo")
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	openFirstAddress(ctx, stderr, "ada")
	if err := cmd.Wait(); err != nil {
		b.Fatalf("login: %v", err)
	}
}
