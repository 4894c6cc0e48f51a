//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// BenchmarkToken starts, in turn, a process each of: keytray handing out a
// valid token, a ten-line program that reads a secret of that size with
// go-keyring, libsecret's own tool, and nothing. It reports the medians, and
// keytray's ratio to the two.
func BenchmarkToken(b *testing.B) {
	desk, err := session.Start(b.Context(), b.TempDir())
	if _, missing := errors.AsType[*session.MissingError](err); missing {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer desk.Close()
	bin := build(b)
	home := b.TempDir()
	env := append(desk.Env(), "HOME="+home, "PATH="+os.Getenv("PATH"))
	signInForBench(b, bin, home, env)
	store := exec.Command("secret-tool", "store", "--label=bench", "service", "bench", "username", "item")
	store.Env = env
	store.Stdin = bytes.NewReader(bytes.Repeat([]byte("x"), 4000))
	if out, err := store.CombinedOutput(); err != nil {
		b.Skipf("secret-tool: %v: %s (Debian: apt-get install libsecret-tools)", err, out)
	}
	programs := map[string][]string{
		"keytray":     {filepath.Join(bin, "keytray"), "token", "demo"},
		"tenlines":    {filepath.Join(bin, "tenlines")},
		"secret-tool": {"secret-tool", "lookup", "service", "bench", "username", "item"},
		"true":        {"true"},
	}
	took := map[string][]float64{}
	for b.Loop() {
		for name, args := range programs {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = env
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%s: %v: %s", name, err, out)
			}
			took[name] = append(took[name], time.Since(began).Seconds()*1000)
		}
	}
	median := map[string]float64{}
	for name, times := range took {
		slices.Sort(times)
		median[name] = times[len(times)/2]
		b.ReportMetric(median[name], name+"-ms")
	}
	b.ReportMetric(median["keytray"]/median["tenlines"], "keytray/tenlines")
	b.ReportMetric(median["keytray"]/median["secret-tool"], "keytray/secret-tool")
}

// build makes the programs as a packager would.
func build(b *testing.B) (dir string) {
	b.Helper()
	dir = b.TempDir()
	for name, pkg := range map[string]string{"keytray": ".", "tenlines": "./testdata/tenlines"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("building %s: %v: %s", name, err, out)
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
