//go:build linux

package keychain_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/keytray/keytray/keychain"
)

const (
	benchVariable = "KEYTRAY_TEST_GET"
	benchService  = "bench"
	benchItem     = "item"
)

// benchClient is the main of a process that reads one item, by us or by
// go-keyring as it is.
func benchClient(how string) int {
	var err error
	if how == "go-keyring" {
		_, err = keyring.Get(benchService, benchItem)
	} else {
		k := keychain.Open(keychain.Options{Service: benchService, Bus: os.Getenv("DBUS_SESSION_BUS_ADDRESS")})
		_, err = k.Get(context.Background(), benchItem)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// BenchmarkProcess starts a process for each read of a token's size, in turn, so
// that a busy machine is busy for all of them: this package, go-keyring alone,
// libsecret's tool, and no keychain at all. It reports the medians.
func BenchmarkProcess(b *testing.B) {
	s := gnome(b)
	k := keychain.Open(keychain.Options{Service: benchService, Bus: s.Address()})
	if err := k.Set(b.Context(), benchItem, bytes.Repeat([]byte("x"), 4000)); err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	programs := map[string][]string{
		"keychain":    {self},
		"go-keyring":  {self},
		"secret-tool": {"secret-tool", "lookup", "service", benchService, "username", benchItem},
		"true":        {"true"},
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for name, args := range programs {
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(append(os.Environ(), s.Env()...), benchVariable+"="+name)
			began := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%s: %v: %s", name, err, out)
			}
			took[name] = append(took[name], time.Since(began))
		}
	}
	for name, times := range took {
		slices.Sort(times)
		b.ReportMetric(times[len(times)/2].Seconds()*1000, name+"-ms")
	}
}

func BenchmarkGet(b *testing.B) {
	gnome(b)
	k := open(b)
	if err := k.Set(b.Context(), "item", bytes.Repeat([]byte("x"), 2000)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := k.Get(b.Context(), "item"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	gnome(b)
	k := open(b)
	value := bytes.Repeat([]byte("x"), 2000)
	for b.Loop() {
		if err := k.Set(b.Context(), "item", value); err != nil {
			b.Fatal(err)
		}
	}
}
