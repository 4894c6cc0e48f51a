//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listenAsManager is systemd's end of sd_notify: a real socket, whose messages come in
// order.
func listenAsManager(t *testing.T, name string) <-chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 100)
	ended := make(chan struct{})
	go func() { // ends with conn
		defer close(ended)
		for b := make([]byte, 4096); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			messages <- string(b[:n])
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return messages
}

// expect wants the next message to be one, and says what it was.
func expect(t *testing.T, messages <-chan string, want string) {
	t.Helper()
	select {
	case got := <-messages:
		if !strings.HasPrefix(got, want) {
			t.Errorf("the service manager was told %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the service manager was not told %q", want)
	}
}

// TestWatchTellsItsServiceManager runs two watches, as of two units, in a home without
// a login: one keeps the seat, the other is as ready.
func TestWatchTellsItsServiceManager(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	start := func(socket string) (messages <-chan string, end func()) {
		messages = listenAsManager(t, socket)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		go func() { // waited for in end
			done <- run(ctx, system{
				args: []string{"watch", "--keychain", "file"}, environ: []string{"HOME=" + home, "NOTIFY_SOCKET=" + socket},
				stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler),
			})
		}()
		return messages, func() {
			t.Helper()
			cancel()
			if code := <-done; code != 0 {
				t.Errorf("keytray watch: exit %d", code)
			}
		}
	}
	first, endFirst := start(filepath.Join(home, "first"))
	expect(t, first, "READY=1")
	expect(t, first, "STATUS=keeps 0 logins fresh")
	second, endSecond := start("@keytray" + filepath.Base(filepath.Dir(home)) + t.Name()) // in the abstract namespace
	expect(t, second, "READY=1")
	expect(t, second, "STATUS=process ")
	endSecond()
	expect(t, second, "STOPPING=1")
	endFirst()
	expect(t, first, "STOPPING=1")
}

// TestAServiceManagerThatIsGoneStopsNothing: of it the log is told.
func TestAServiceManagerThatIsGoneStopsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "full"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	fill := &manager{socket: filepath.Join(dir, "full"), log: slog.New(slog.DiscardHandler)}
	for range 100_000 { // nobody reads; a queue holds some hundred
		if err = fill.send(t.Context(), "STATUS="); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a full queue: %v, want a deadline", err)
	}
	for name, want := range map[string]bool{"": false, filepath.Join(dir, "gone"): true, filepath.Join(dir, "full"): true} {
		var log strings.Builder
		(&manager{socket: name, log: slog.New(slog.NewTextHandler(&log, nil))}).tell(t.Context(), "READY=1")
		if warned := strings.Contains(log.String(), "level=WARN"); warned != want {
			t.Errorf("socket %q: warned %v, want %v: %s", name, warned, want, &log)
		}
	}
}

// TestAStatusIsSaidOnce: what has not changed is not said again.
func TestAStatusIsSaidOnce(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "socket")
	messages := listenAsManager(t, socket)
	m := &manager{socket: socket, log: slog.New(slog.DiscardHandler)}
	for _, status := range []string{"one", "one", "two"} {
		m.describe(t.Context(), status)
	}
	expect(t, messages, "STATUS=one")
	expect(t, messages, "STATUS=two")
}
