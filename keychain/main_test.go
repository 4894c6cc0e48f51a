//go:build linux

package keychain_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/session"
)

// desktop is the session of all tests: go-keyring holds on to the first bus of
// a process. It is nil where a program is missing.
var desktop *session.Session

func TestMain(m *testing.M) {
	if dir := os.Getenv(keychain.StandInVariable); dir != "" {
		os.Exit(keychain.StandIn(dir, os.Args[1:]))
	}
	if how := os.Getenv(benchVariable); how != "" {
		os.Exit(benchClient(how))
	}
	if address := os.Getenv(clientVariable); address != "" {
		os.Exit(modelClient(address, os.Stdin, os.Stdout))
	}
	if address := os.Getenv(deadVariable); address != "" {
		os.Exit(deadClient(address))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kt-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	desktop, err = session.Start(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no keyring session:", err)
		if _, ok := errors.AsType[*session.MissingError](err); !ok || os.Getenv("CI") == "true" {
			return 1
		}
		return m.Run()
	}
	defer desktop.Close()
	return m.Run()
}

// gnome gives the real keyring, unlocked.
func gnome(tb testing.TB) *session.Session {
	tb.Helper()
	if desktop == nil {
		tb.Skip("no keyring session: see the first line of the output")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := desktop.Unlock(ctx); err != nil {
		tb.Fatal(err)
	}
	return desktop
}

// open gives a keychain on the session's bus, with a service of the test's own.
func open(tb testing.TB) *keychain.Keychain {
	tb.Helper()
	return keychain.Open(keychain.Options{Service: service(tb), Bus: desktop.Address()})
}
