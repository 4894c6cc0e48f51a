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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/worker"
)

// newScreen brings up an X server that nobody sees, and makes it the desktop's.
func newScreen(t *testing.T) {
	t.Helper()
	for _, program := range []string{"Xvfb", "xdotool", "zenity", "xclip"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") != "true" {
			t.Skipf("%s is not installed: see e2e/setup.sh", program)
		}
	}
	for name, value := range map[string]string{
		"DISPLAY": startDisplay(t), "WAYLAND_DISPLAY": "", "XDG_CURRENT_DESKTOP": "", "NO_AT_BRIDGE": "1", "GTK_A11Y": "none",
	} {
		t.Setenv(name, value)
	}
}

// startDisplay starts an X server that nobody sees on a display number of its own:
// servers that look for a free one at the same moment take each other's sockets.
func startDisplay(t *testing.T) (display string) {
	t.Helper()
	for n := 800; n < 800+100; n++ {
		lock, err := os.OpenFile(fmt.Sprintf("/tmp/.keytray-display-%d", n), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			continue
		}
		ok := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && tryDisplay(t, n, lock)
		lock.Close() // Xvfb has it too
		if ok {
			return fmt.Sprintf(":%d", n)
		}
	}
	t.Fatal("starting Xvfb: no display is free, or it does not start")
	return ""
}

func tryDisplay(t *testing.T, n int, lock *os.File) bool {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", fmt.Sprintf(":%d", n), "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset", "-ac")
	cmd.ExtraFiles = []*os.File{w, lock}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it removes its socket
		_ = cmd.Wait()
	}
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		end()
		return false
	}
	t.Cleanup(end)
	return true
}

// printed is what a program prints, "" where it fails or takes too long.
func printed(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// enter types a text into the dialog with that title, and waits for its end.
func enter(t *testing.T, title, text string) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	window := func() string {
		id, _, _ := strings.Cut(printed(t, "xdotool", "search", "--onlyvisible", "--name", title), "\n")
		return id
	}
	first := ""
	for first == "" {
		if first = window(); time.Now().After(deadline) {
			t.Fatalf("no dialog %q", title)
		}
	}
	for window() == first {
		printed(t, "xdotool", "windowfocus", "--sync", first)
		printed(t, "xdotool", "key", "--clearmodifiers", "ctrl+a")
		printed(t, "xdotool", "type", "--delay", "1", text)
		printed(t, "xdotool", "key", "Return")
		if time.Now().After(deadline) {
			t.Fatalf("the dialog %q does not end", title)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// A worker asks in a real dialog, says what was no good there, and keeps what is.
func TestAWorkerAsksInADialog(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an X server")
	}
	newScreen(t)
	d := newDesktop(t)
	token := "sk-ant-oat01-" + strings.Repeat("dialog-", 12)
	var raw strings.Builder
	refused := ""
	err := d.child.Do(t.Context(), worker.Request{Do: "add", Provider: "anthropic", Kind: keeper.SetupToken}, nil, func(e worker.Event) {
		_ = json.NewEncoder(&raw).Encode(e)
		switch {
		case e.Event == "refused":
			refused = e.Message
		case e.Event == "asking" && refused == "":
			enter(t, "Add a setup-token of Anthropic", token[:30])
		case e.Event == "asking":
			enter(t, "Add a setup-token of Anthropic", token)
		}
	})
	if err != nil || refused != "Token looks too short; paste the full setup-token" {
		t.Errorf("add = %v, refused %q", err, refused)
	}
	if got := printed(t, "keytray", "token", "anthropic"); got != token {
		t.Errorf("what is kept has %d bytes, want those that were typed", len(got))
	}
	if strings.Contains(raw.String(), "dialog-") {
		t.Error("the secret passed through the pipe")
	}
}

// A worker holds an access token in the real clipboard until it is told to stop.
func TestAWorkerHoldsTheClipboard(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an X server")
	}
	newScreen(t)
	d := newDesktop(t)
	clipboard := func() string { return printed(t, "xclip", "-o", "-selection", "clipboard") }
	commands := make(chan worker.Command, 1)
	err := d.child.Do(t.Context(), worker.Request{Do: "copy", Profile: d.ref.ID}, commands, func(e worker.Event) {
		if e.Event == "copied" {
			if got := clipboard(); !d.server.Valid(got) {
				t.Errorf("the clipboard has %d bytes that are no access token", len(got))
			}
			commands <- worker.Command{Cmd: "cancel"}
		}
	})
	if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Code != "cancelled" {
		t.Errorf("copy = %v, want a cancellation", err)
	}
	if got := clipboard(); got != "" {
		t.Errorf("the clipboard still has %d bytes", len(got))
	}
}

// Where no dialog can be shown, a worker says so in a word.
func TestAWorkerWithoutADisplaySaysSo(t *testing.T) {
	d := newDesktop(t)
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	for request, want := range map[worker.Request]string{
		{Do: "add", Provider: "openai", Kind: keeper.APIKey}: "no_dialog",
		{Do: "logout", Profile: d.ref.ID, Confirm: true}:     "no_dialog",
		{Do: "copy", Profile: d.ref.ID}:                      "no_clipboard",
	} {
		err := d.child.Do(t.Context(), request, nil, nil)
		if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Code != want || f.Hint == "" {
			t.Errorf("%s: %+v, want %s", request.Do, err, want)
		}
	}
	if g, state := d.generation(); g != 1 || state != "ok" {
		t.Errorf("the login is at generation %d, %s", g, state)
	}
}
