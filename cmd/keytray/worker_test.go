//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

// tray is a program that does one operation through a worker, as the tray does,
// and prints the worker's events.
func tray() {
	c := worker.Child{Path: "/proc/self/exe", Args: []string{"keytray", "__worker"}, Stderr: os.Stderr}
	err := c.Do(context.Background(), worker.Request{Do: os.Args[1], Profile: os.Args[2]}, nil, func(e worker.Event) {
		_ = json.NewEncoder(os.Stdout).Encode(e)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "tray:", err)
		os.Exit(1)
	}
}

// desktop is a session with a keyring, a home with one login, and a server. The
// test's own environment is that of the session.
type desktop struct {
	t       *testing.T
	session *session.Session
	server  *oauthtest.Server
	child   worker.Child
	ref     sink.Ref
}

func newDesktop(t *testing.T) *desktop {
	t.Helper()
	requireSession(t)
	s, err := session.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(s.KeyringPID(), syscall.SIGCONT)
		_ = s.Close()
	})
	home := t.TempDir()
	providers := filepath.Join(home, ".local", "state", "keytray", "providers")
	if err := os.MkdirAll(providers, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	for _, entry := range s.Env() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	for _, name := range []string{"XDG_STATE_HOME", "KEYTRAY_STATE_DIR", "OPENCLAW_STATE_DIR"} {
		t.Setenv(name, "")
	}
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	f, err := os.Create(filepath.Join(providers, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.WriteProvider(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("keytray")
	if err != nil {
		t.Fatal(err)
	}
	d := &desktop{t: t, session: s, server: server, child: worker.Child{Path: path, Args: []string{"keytray", "__worker"}, Stderr: os.Stderr}}
	d.login()
	return d
}

// login signs in through a worker.
func (d *desktop) login() {
	d.t.Helper()
	err := d.child.Do(d.t.Context(), worker.Request{Do: "login", Provider: "demo"}, nil, func(e worker.Event) {
		switch e.Event {
		case "url":
			go func() { _, _ = oauthtest.Browser{User: "alice"}.Open(d.t.Context(), e.URL) }()
		case "done":
			d.ref = sink.Ref{Agent: e.Profile.Agent, ID: e.Profile.ID}
		}
	})
	if err != nil || d.ref.ID == "" {
		d.t.Fatalf("login: %+v, %v", d.ref, err)
	}
}

// generation is the login's, as status tells it.
func (d *desktop) generation() (g uint64, state string) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "keytray", "status", "--json").Output()
	if err != nil {
		d.t.Fatalf("status: %v", err)
	}
	var r statusReport
	if err := json.Unmarshal(out, &r); err != nil {
		d.t.Fatal(err)
	}
	for _, p := range r.Auth.OAuth.Profiles {
		if p.ProfileID == d.ref.ID {
			return p.Generation, p.State
		}
	}
	return 0, ""
}

// reach waits until the login is saved in a generation.
func (d *desktop) reach(want uint64) {
	d.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		g, state := d.generation()
		if g == want && state == "ok" {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("generation %d, %s, want %d", g, state, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// alive checks that the login can be renewed and that no token was spent twice.
func (d *desktop) alive(refreshes int) {
	d.t.Helper()
	if err := d.child.Do(d.t.Context(), worker.Request{Do: "refresh", Profile: d.ref.ID}, nil, nil); err != nil {
		d.t.Errorf("refresh in the end: %v", err)
	}
	if s := d.server.Stats(); s.Refreshes != refreshes+1 || s.Reuses != 0 {
		d.t.Errorf("the server saw %+v, want %d refreshes and no reuse", s, refreshes+1)
	}
}

// The tray is killed while its worker is under way; the worker goes on.
func TestAKilledTrayLosesNothing(t *testing.T) {
	d := newDesktop(t)
	for i, at := range []string{"started", "sending", "journalled", "committed"} {
		d.server.Fail(oauthtest.Fault{Delay: 300 * time.Millisecond})
		cmd := exec.Command("tray", "refresh", d.ref.ID)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e worker.Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			pid = max(pid, e.PID)
			if e.Event == at {
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if pid == 0 {
			t.Fatal("no worker started")
		}
		d.reach(uint64(i + 2))
	}
	d.alive(4)
}

// The keyring hangs before anything is sent: the worker ends, the refresh token
// is unspent.
func TestAHungKeyringEndsTheWorkerBeforeItSends(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for what hangs")
	}
	d := newDesktop(t)
	d.child.Limit = time.Second
	if err := syscall.Kill(d.session.KeyringPID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	request := worker.Request{Do: "refresh", Profile: d.ref.ID}
	if err := d.child.Do(t.Context(), request, nil, nil); !errors.Is(err, worker.ErrHung) {
		t.Errorf("on a hung keyring: %v, want ErrHung", err)
	}
	_ = syscall.Kill(d.session.KeyringPID(), syscall.SIGCONT)

	// A worker that does not even hear that it shall stop is killed.
	pid := 0
	err := d.child.Do(t.Context(), request, nil, func(e worker.Event) {
		if e.Event == "started" {
			pid = e.PID
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	})
	if !errors.Is(err, worker.ErrHung) || syscall.Kill(pid, 0) == nil {
		t.Errorf("a stopped worker: %v, alive %v", err, syscall.Kill(pid, 0) == nil)
	}
	if n := d.server.Stats().Refreshes; n != 0 {
		t.Errorf("the server saw %d refreshes", n)
	}
	d.child.Limit = 0
	d.alive(0)
}

// The keyring hangs while the answer is on its way: the worker is left, and saves
// it when the keyring is back.
func TestAWorkerThatHasSentIsNotKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for what hangs")
	}
	d := newDesktop(t)
	time.Sleep(2 * time.Second) // the least pause between two requests
	d.child.Limit = time.Second
	d.server.Fail(oauthtest.Fault{Delay: 2 * time.Second})
	pid := 0
	err := d.child.Do(t.Context(), worker.Request{Do: "refresh", Profile: d.ref.ID}, nil, func(e worker.Event) {
		pid = max(pid, e.PID)
		if e.Event == "sending" {
			_ = syscall.Kill(d.session.KeyringPID(), syscall.SIGSTOP)
		}
	})
	if !errors.Is(err, worker.ErrLeft) || syscall.Kill(pid, 0) != nil {
		t.Fatalf("Do = %v; the worker: %v", err, syscall.Kill(pid, 0))
	}
	time.Sleep(3 * time.Second) // until the answer is there, and the keyring is not
	_ = syscall.Kill(d.session.KeyringPID(), syscall.SIGCONT)
	d.reach(2)
	d.child.Limit = 0
	d.alive(1)
}

// A worker's errors say what the command's exit code and hint say.
func TestAWorkerExplainsItsErrors(t *testing.T) {
	d := newDesktop(t)
	if err := d.session.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := d.child.Do(t.Context(), worker.Request{Do: "refresh", Profile: d.ref.ID}, nil, nil)
	if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Code != "keychain_locked" || f.Exit != setup.ExitKeychain || f.Hint == "" {
		t.Errorf("locked: %+v", err)
	}
	if err := d.session.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.server.Fail(oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
	err = d.child.Do(t.Context(), worker.Request{Do: "refresh", Profile: d.ref.ID}, nil, nil)
	want := worker.Failure{
		Code: "needs_login", Exit: setup.ExitLogin, Reason: "invalid_grant",
		Message: "the provider revoked this login (invalid_grant); sign in again", Hint: "keytray login demo --profile-id " + d.ref.ID,
	}
	if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Failure != want {
		t.Errorf("revoked: %+v, want %+v", err, want)
	}
}
