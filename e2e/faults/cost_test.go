//go:build linux

package faults

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// cost is what a renewal spends its time on, and how much it asks for: calls of the
// keychain, and bytes that go to it and to the disk.
type cost struct {
	lock, reads, journal, http, server, writes, mirror atomic.Int64

	calls, stored, written atomic.Int64
}

func measure(into *atomic.Int64) (done func()) {
	began := time.Now()
	return func() { into.Add(int64(time.Since(began))) }
}

// costlyKeychain, costlyDisk, costlyLocker and costlyNetwork are the real ones
// with a clock beside them.
type costlyKeychain struct {
	sink.Secrets
	*cost
}

func (k costlyKeychain) Get(ctx context.Context, name string) ([]byte, error) {
	defer measure(&k.reads)()
	k.calls.Add(1)
	return k.Secrets.Get(ctx, name)
}

func (k costlyKeychain) Set(ctx context.Context, name string, value []byte) error {
	defer measure(&k.writes)()
	k.calls.Add(1)
	k.stored.Add(int64(len(value)))
	return k.Secrets.Set(ctx, name, value)
}

func (k costlyKeychain) Delete(ctx context.Context, name string) error {
	defer measure(&k.writes)()
	k.calls.Add(1)
	return k.Secrets.Delete(ctx, name)
}

func (k costlyKeychain) Barrier(ctx context.Context) error {
	defer measure(&k.reads)()
	k.calls.Add(1)
	return k.Secrets.Barrier(ctx)
}

type costlyDisk struct {
	sink.Disk
	*cost
}

func (d costlyDisk) of(path string) *atomic.Int64 {
	if strings.HasSuffix(path, ".json") {
		return &d.mirror
	}
	return &d.journal
}

func (d costlyDisk) Prepare(base string, below ...string) error {
	defer measure(&d.mirror)()
	return d.Disk.Prepare(base, below...)
}

func (d costlyDisk) Read(path string, limit int64) ([]byte, error) {
	defer measure(d.of(path))()
	return d.Disk.Read(path, limit)
}

func (d costlyDisk) Replace(path string, b []byte) error {
	defer measure(d.of(path))()
	d.written.Add(int64(len(b)))
	return d.Disk.Replace(path, b)
}

func (d costlyDisk) Reserve(path string, size int) error {
	defer measure(d.of(path))()
	d.written.Add(int64(size))
	return d.Disk.Reserve(path, size)
}

func (d costlyDisk) Fill(reserved, path string, b []byte) error {
	defer measure(d.of(path))()
	d.written.Add(int64(len(b)))
	return d.Disk.Fill(reserved, path, b)
}

func (d costlyDisk) Remove(paths ...string) error {
	defer measure(d.of(paths[0]))()
	return d.Disk.Remove(paths...)
}

type costlyLocker struct {
	sink.Locker
	*cost
}

func (l costlyLocker) TryLock(path string) (func(), error) {
	defer measure(&l.lock)()
	return l.Locker.TryLock(path)
}

func (l costlyLocker) WriteBody(path string, b sink.LockBody) error {
	defer measure(&l.lock)()
	return l.Locker.WriteBody(path, b)
}

type costlyNetwork struct {
	http.RoundTripper
	*cost
}

func (n costlyNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	defer measure(&n.http)()
	return n.RoundTripper.RoundTrip(r)
}

// BenchmarkRefresh renews a login with tokens of real size: real keyring, real
// disk, real HTTP. It prints the engine's own milliseconds by step, beside and
// without the server's.
func BenchmarkRefresh(b *testing.B) {
	need(b, "dbus-daemon", "gnome-keyring-daemon")
	dir := b.TempDir()
	bus, err := session.Start(b.Context(), filepath.Join(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer bus.Close()
	c := new(cost)
	as := startServer(b, oauthtest.Options{Size: 3000})
	as.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		defer measure(&c.server)()
		next.ServeHTTP(w, r)
	})
	var ahead atomic.Int64 // of the real time: the least pause passes at once
	clock := func() sink.Moment {
		m := sink.Now()
		m.Wall = m.Wall.Add(time.Duration(ahead.Load()))
		return m
	}
	k := &keeper.Keeper{
		Store: sink.OpenOn(filepath.Join(dir, "root"), filepath.Join(dir, "locks"),
			costlyKeychain{keychain.Open(keychain.Options{Bus: bus.Address()}), c},
			sink.Seams{Disk: costlyDisk{sink.RealDisk{}, c}, Locker: costlyLocker{sink.RealLocker{}, c}, Clock: clock}),
		Client:    &oauth.Client{Transport: costlyNetwork{&http.Transport{DisableKeepAlives: true}, c}},
		Providers: provider.Catalog{as.Provider()},
		Log:       slog.New(slog.DiscardHandler),
		Clock:     clock,
	}
	p, err := k.Login(b.Context(), keeper.LoginRequest{
		Agent: sink.DefaultAgent, Provider: "demo",
		Show: func(url string, _ error) error {
			go oauthtest.Browser{User: "ada"}.Open(context.WithoutCancel(b.Context()), url) // ends with the login
			return nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	steps := []struct {
		name string
		of   *atomic.Int64
	}{{"lock", &c.lock}, {"reads", &c.reads}, {"journal", &c.journal}, {"http", &c.http}, {"server", &c.server}, {"writes", &c.writes}, {"mirror", &c.mirror}}
	for _, s := range steps {
		s.of.Store(0)
	}
	c.calls.Store(0)
	c.stored.Store(0)
	c.written.Store(0)
	for b.Loop() {
		ahead.Add(int64(2 * time.Hour))
		if _, err := k.Token(b.Context(), p, 0); err != nil {
			b.Fatal(err)
		}
		if p, err = k.Store.Profile(p.Ref); err != nil {
			b.Fatal(err)
		}
	}
	if got := as.Stats(); got.Refreshes < b.N || got.Reuses != 0 {
		b.Errorf("%d renewals in %d rounds, %d with a spent token", got.Refreshes, b.N, got.Reuses)
	}
	per := func(of *atomic.Int64) float64 { return float64(of.Load()) / float64(b.N) / float64(time.Millisecond) }
	c.http.Add(-c.server.Load())
	all := b.Elapsed().Seconds()*1000/float64(b.N) - per(&c.server)
	rest := all
	for _, s := range steps {
		if s.of == &c.server {
			continue
		}
		rest -= per(s.of)
		b.ReportMetric(per(s.of), s.name+"-ms")
	}
	b.ReportMetric(rest, "rest-ms")
	b.ReportMetric(float64(c.calls.Load())/float64(b.N), "keychain-calls")
	b.ReportMetric(float64(c.stored.Load())/float64(b.N), "keychain-bytes")
	b.ReportMetric(float64(c.written.Load())/float64(b.N), "disk-bytes")
	b.ReportMetric(all, "own-ms")
	b.ReportMetric(0, "ns/op") // own-ms says it
}

// BenchmarkRefreshSyscalls has strace count what a keytray token that renews asks of
// the disk.
func BenchmarkRefreshSyscalls(b *testing.B) {
	need(b, "strace")
	s := newStage(b, options{})
	log := filepath.Join(b.TempDir(), "strace")
	for b.Loop() {
		s.expired()
		got := s.start([]string{"strace", "-f", "-qq", "-o", log, "-e", "trace=fsync,fdatasync,rename,renameat,renameat2"}, "token", profileID).wait()
		s.check(got, 0)
	}
	calls, err := os.ReadFile(log) // of the last one
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes.Count(calls, []byte("sync("))), "fsyncs")
	b.ReportMetric(float64(bytes.Count(calls, []byte(" rename"))), "renames")
	b.ReportMetric(0, "ns/op") // mostly that of signing in
}
