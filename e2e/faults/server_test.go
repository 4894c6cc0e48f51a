//go:build linux

package faults

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

// authServer is the rotating server with a ledger of its own, and with a hook
// in front of each refresh.
type authServer struct {
	*oauthtest.Server
	address string
	srv     *http.Server

	mu     sync.Mutex // guards what follows
	ledger []sent
	busy   int
	hook   func(w http.ResponseWriter, r *http.Request, next http.Handler)
	revoke func(w http.ResponseWriter, r *http.Request, next http.Handler)
	accept func()
}

// sent is a request that carried a refresh token.
type sent struct {
	token string
	at    time.Time
}

func startServer(tb testing.TB, o oauthtest.Options) *authServer {
	tb.Helper()
	if o.Approve == "" {
		o.Approve = "ada"
	}
	a := &authServer{Server: oauthtest.New(o)}
	a.up(tb, "127.0.0.1:0")
	a.URL = "http://" + a.address
	tb.Cleanup(func() {
		a.down()
		a.Close()
	})
	return a
}

// up listens; down ends that and all connections.
func (a *authServer) up(tb testing.TB, address string) {
	tb.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	a.address = l.Addr().String()
	a.srv = &http.Server{Handler: a}
	go a.srv.Serve(listener{l, a}) // ends with down
}

func (a *authServer) down() { a.srv.Close() }

// ServeHTTP notes each refresh token that arrives, and lets the hook decide.
func (a *authServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	revoke := a.revoke
	a.mu.Unlock()
	if r.URL.Path == "/revoke" && revoke != nil {
		revoke(w, r, a.Server)
		return
	}
	if r.URL.Path != "/token" {
		a.Server.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("grant_type") != "refresh_token" {
		a.Server.ServeHTTP(w, r)
		return
	}
	a.mu.Lock()
	a.ledger = append(a.ledger, sent{form.Get("refresh_token"), time.Now()})
	hook := a.hook
	a.busy++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.busy--
	}()
	if hook == nil {
		a.Server.ServeHTTP(w, r)
		return
	}
	hook(w, r, a.Server)
}

// idle reports whether no refresh is being served.
func (a *authServer) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busy == 0
}

// sends is how many refresh tokens arrived.
func (a *authServer) sends() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ledger)
}

// onRefresh sets the hook; nil takes it away.
func (a *authServer) onRefresh(hook func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hook = hook
}

// onRevoke sets the hook in front of revocations; nil takes it away.
func (a *authServer) onRevoke(hook func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoke = hook
}

// onAccept sets what happens to a connection before anything is read from it;
// afterwards it is closed.
func (a *authServer) onAccept(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accept = f
}

type listener struct {
	net.Listener
	a *authServer
}

// Accept implements [net.Listener].
func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.a.mu.Lock()
		f := l.a.accept
		l.a.mu.Unlock()
		if f == nil {
			return c, nil
		}
		f()
		c.Close()
	}
}
