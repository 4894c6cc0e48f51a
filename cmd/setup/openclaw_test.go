package setup_test

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// TestTheResolverFollowsThePackage: an OpenClaw that is connected gets the program
// that was installed in place of the one that runs, and keeps its copy when the
// package is removed.
func TestTheResolverFollowsThePackage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("home folders are elsewhere there, and what runs is not replaced")
	}
	c := connect(t)
	program, data, r := c.program, c.data, c.reloads
	var err error
	for _, version := range []string{"one", "one", "two", ""} {
		if version == "" {
			err = os.Remove(program)
		} else { // as packagers do
			err = os.WriteFile(program+".new", []byte(version), 0o755)
			if err == nil {
				err = os.Rename(program+".new", program)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Look(t.Context())
		r.Wait()
		want := version
		if want == "" {
			want = "two"
		}
		if got, err := os.ReadFile(openclaw.Resolver(data)); string(got) != want || err != nil {
			t.Errorf("after version %q OpenClaw runs %q, %v", version, got, err)
		}
	}
}

// TestAGatewayHearsOfARenewal although the copy of the program cannot be renewed.
func TestAGatewayHearsOfARenewal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("home folders are elsewhere there")
	}
	c := connect(t)
	if err := os.WriteFile(c.program, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.program), "openclaw"), []byte("#!/bin/sh\necho \"$@\" >>"+c.home+"/asked\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.data, "keytray"), nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	store := sink.Open(c.reloads.Store.Dir(), filepath.Join(c.home, "locks"), &sinktest.Keychain{})
	for n := range 2 {
		err := store.Update(t.Context(), sink.Ref{Agent: sink.DefaultAgent, ID: "acme:ann"}, func(tx *sink.Tx) error {
			return tx.Received(sink.Credential{Kind: sink.KindToken, Provider: "acme", Access: secret.New(strconv.Itoa(n))})
		})
		if err != nil {
			t.Fatal(err)
		}
		c.reloads.Look(t.Context())
		c.reloads.Wait()
		if asked, err := os.ReadFile(filepath.Join(c.home, "asked")); err != nil || strings.Count(string(asked), "secrets reload") != n+1 {
			t.Errorf("after %d renewals the gateway was told %q, %v", n+1, asked, err)
		}
	}
}

// connection is an OpenClaw that is connected with the logins of a state folder.
type connection struct {
	program, data, home string
	reloads             *setup.Reloads
}

func connect(t *testing.T) connection {
	t.Helper()
	home, bin := t.TempDir(), t.TempDir()
	program, root := filepath.Join(bin, "keytray"), filepath.Join(home, "root")
	w := &setup.World{Environ: []string{"HOME=" + home, "PATH=/usr/bin:/bin"}, Self: program, Stderr: io.Discard, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	data, err := w.Data()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := w.LinkFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	l := openclaw.NewLink(folder, openclaw.Program{Path: filepath.Join(bin, "openclaw")}, filepath.Join(home, "claw"), root, openclaw.Resolver(data), nil)
	l.Profiles = []openclaw.Profile{{Ref: "ref", Agent: sink.DefaultAgent, ID: "acme:ann"}}
	if err := l.Save(); err != nil {
		t.Fatal(err)
	}
	return connection{program, data, home, &setup.Reloads{World: w, Store: sink.Open(root, filepath.Join(home, "locks"), nil)}}
}
