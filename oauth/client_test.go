package oauth_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// at returns a provider whose token endpoint is url.
func at(url string) provider.OAuth {
	p := *oauthtest.New(oauthtest.Options{}).Provider().OAuth
	p.Issuer, p.AuthorizationEndpoint, p.RevocationEndpoint = "https://as.test", "https://as.test/a", ""
	p.TokenEndpoint = url
	return p
}

func refresh(t *testing.T, p provider.OAuth) (oauth.Token, error) {
	t.Helper()
	return new(oauth.Client).Refresh(t.Context(), p, secret.New("rt_SECRET"))
}

func wantClass(t *testing.T, err error, want oauth.Class) *oauth.Error {
	t.Helper()
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		t.Fatalf("err = %v, want an *Error", err)
	}
	if e.Class != want {
		t.Errorf("class = %v (%v), want %v", e.Class, err, want)
	}
	if strings.Contains(err.Error(), "rt_SECRET") || strings.Contains(err.Error(), "?") {
		t.Errorf("the error shows too much: %v", err)
	}
	return e
}

func TestRefreshRequest(t *testing.T) {
	var got []byte
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		header = r.Header
		_, _ = io.WriteString(w, `{"access_token":"a"}`)
	}))
	defer srv.Close()
	p := at(srv.URL + "/token?tenant=1")
	if _, err := refresh(t, p); err != nil {
		t.Fatal(err)
	}
	want := "client_id=keytray-demo&grant_type=refresh_token&refresh_token=rt_SECRET"
	if string(got) != want || header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("form = %s (%s), want %s", got, header.Get("Content-Type"), want)
	}
	if header.Get("Accept") != "application/json" || header.Get("Authorization") != "" || header.Get("Idempotency-Key") != "" {
		t.Errorf("header = %v", header)
	}
	p.RefreshJSON = true
	if _, err := refresh(t, p); err != nil {
		t.Fatal(err)
	}
	want = `{"client_id":"keytray-demo","grant_type":"refresh_token","refresh_token":"rt_SECRET"}`
	if string(got) != want || header.Get("Content-Type") != "application/json" {
		t.Errorf("JSON = %s (%s), want %s", got, header.Get("Content-Type"), want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var leaked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var asked atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, other.URL, status)
		}))
		_, err := refresh(t, at(srv.URL))
		wantClass(t, err, oauth.Transient)
		if asked.Load() != 1 || leaked.Load() != 0 {
			t.Errorf("%d: asked %d times, the other origin %d times", status, asked.Load(), leaked.Load())
		}
		srv.Close()
	}
}

func TestNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	_ = l.Close()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = quiet()
	untrusted.StartTLS()
	defer untrusted.Close()
	plain := httptest.NewServer(http.NotFoundHandler()) // no TLS where TLS is expected
	defer plain.Close()
	for name, url := range map[string]string{
		"refused":     closed,
		"no name":     "https://name.invalid/token",
		"certificate": untrusted.URL,
		"no TLS":      strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := refresh(t, at(url))
			wantClass(t, err, oauth.NotSent)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := new(oauth.Client).Refresh(ctx, at(plain.URL), secret.New("rt_SECRET"))
		wantClass(t, err, oauth.NotSent)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want context.Canceled in it", err)
		}
	})
	t.Run("http without permission", func(t *testing.T) {
		url, conns := rawServer(t, -1, "")
		p := at(url)
		p.AllowHTTP = false
		_, err := refresh(t, p)
		wantClass(t, err, oauth.Misconfigured)
		if conns.Load() != 0 {
			t.Error("it was sent")
		}
	})
}

// rawServer answers every connection with bytes, after it has read the request
// or at most limit bytes of it, and ends it with a reset.
func rawServer(t *testing.T, limit int64, answer string) (url string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			if limit >= 0 {
				_, _ = io.CopyN(io.Discard, c, limit)
			} else if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(c, answer)
			if answer == "" {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String(), conns
}

// TestSentOnce cuts the connection at every byte of the request.
func TestSentOnce(t *testing.T) {
	request := make(chan int64, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		whole, _ := httputil.DumpRequest(r, true)
		request <- int64(len(whole))
	}))
	defer srv.Close()
	_, _ = refresh(t, at(srv.URL))
	for limit := range <-request - 20 { // a request to a shorter port number fits
		limit++
		url, conns := rawServer(t, limit, "")
		_, err := refresh(t, at(url))
		e, ok := errors.AsType[*oauth.Error](err)
		if !ok || e.Class != oauth.Ambiguous {
			t.Fatalf("reset after %d bytes: %v, want an ambiguous error", limit, err)
		}
		if n := conns.Load(); n != 1 {
			t.Fatalf("reset after %d bytes: %d connections, want 1", limit, n)
		}
	}
}

func TestBrokenAnswers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	tests := []struct {
		name, answer, refresh string
		class                 oauth.Class
	}{
		{"not HTTP", "rt_SECRET\r\n\r\n", "", oauth.Ambiguous},
		{"bad header", "HTTP/1.1 200 OK\r\nrt_SECRET\r\n\r\n", "", oauth.Ambiguous},
		{"head only", head, "", oauth.Ambiguous},
		{"no body", head + "Content-Length: 90\r\n\r\n", "", oauth.Ambiguous},
		{"cut", head + "Content-Length: 90\r\n\r\n" + `{"refresh_token":"R1","access`, "R1", oauth.Transient},
		{"cut but readable", head + "Content-Length: 90\r\n\r\n" + `{"refresh_token":"R1","access_token":"a"}`, "R1", oauth.Transient},
		{"cut chunk", head + "Transfer-Encoding: chunked\r\n\r\n16\r\n" + `{"refresh_token":"R1",`, "R1", oauth.Transient},
		{"huge header", head + "Content-Length: 20\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n" + `{"access_token":"a"}`, "", oauth.Ambiguous},
		{"cut refusal", "HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n" + `{"error":"invalid_grant"`, "", oauth.Permanent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, conns := rawServer(t, -1, tt.answer)
			got, err := refresh(t, at(url))
			wantClass(t, err, tt.class)
			if got.Refresh.Reveal() != tt.refresh || !got.Access.Empty() {
				t.Errorf("refresh token = %q, want %q", got.Refresh.Reveal(), tt.refresh)
			}
			if conns.Load() != 1 {
				t.Errorf("%d connections, want 1", conns.Load())
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, `{"refresh_token":"R1","access_token":"a","x":"`)
	_, _ = z.Write(bytes.Repeat([]byte("x"), 8<<20))
	_, _ = io.WriteString(z, `"}`)
	_ = z.Close()
	var written atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
			return
		}
		_, _ = io.WriteString(w, `{"refresh_token":"R1","x":"`)
		for range 64 { // this one never ends by itself
			n, err := w.Write(bytes.Repeat([]byte("x"), 1<<20))
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	for _, path := range []string{"/plain", "/gzip"} {
		got, err := refresh(t, at(srv.URL+path))
		wantClass(t, err, oauth.Transient)
		if got.Refresh.Reveal() != "R1" {
			t.Errorf("%s: the refresh token before the flood is lost", path)
		}
	}
	srv.Close() // waits for the handler
	if n := written.Load(); n > 32<<20 {
		t.Errorf("%d MiB were taken from the server", n>>20)
	}
}

// TestFaults goes through the answers of a real server.
func TestFaults(t *testing.T) {
	s := startServer(t, oauthtest.Options{})
	token, _, err := signIn(t, s, oauthtest.Browser{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		fault oauthtest.Fault
		class oauth.Class
		after time.Duration
	}{
		{"reset before", oauthtest.Fault{Reset: true}, oauth.Ambiguous, 0},
		{"500", oauthtest.Fault{Status: 500}, oauth.Ambiguous, 0},
		{"502 HTML", oauthtest.Fault{Status: 502, Body: "<html>"}, oauth.Ambiguous, 0},
		{"503", oauthtest.Fault{Status: 503, RetryAfter: "30"}, oauth.Transient, 30 * time.Second},
		{"429", oauthtest.Fault{Status: 429, RetryAfter: "2"}, oauth.Transient, 2 * time.Second},
		{"403 HTML", oauthtest.Fault{Status: 403, Body: "<html>blocked"}, oauth.Transient, 5 * time.Minute},
		{"reused", oauthtest.Fault{Status: 401, Body: `{"error":{"code":"refresh_token_reused"}}`}, oauth.Permanent, 0},
		{"HTML 200", oauthtest.Fault{Status: 200, Body: "<html>captive portal"}, oauth.Ambiguous, 0},
		{"204", oauthtest.Fault{Status: 204}, oauth.Ambiguous, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.Fail(tt.fault)
			_, err := new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh)
			if e := wantClass(t, err, tt.class); e.RetryAfter != tt.after {
				t.Errorf("RetryAfter = %v, want %v", e.RetryAfter, tt.after)
			}
		})
	}
	if _, err := new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh); err != nil {
		t.Errorf("after faults that spent nothing: %v", err)
	}
	if got := s.Stats(); got.Refreshes != 1 || got.Reuses != 0 || got.Faults != len(tests) {
		t.Errorf("the server saw %+v", got)
	}
}

// TestLostAnswer is the case that rotation punishes: the server rotated, nobody
// heard, and the old token comes again.
func TestLostAnswer(t *testing.T) {
	for rotation, want := range map[oauthtest.Rotation]bool{oauthtest.Rotate: false, oauthtest.Grace: true, oauthtest.Keep: true} {
		s := startServer(t, oauthtest.Options{Rotation: rotation})
		token, _, err := signIn(t, s, oauthtest.Browser{User: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		s.Fail(oauthtest.Fault{Commit: true, Reset: true})
		_, err = new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh)
		wantClass(t, err, oauth.Ambiguous)
		_, err = new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh)
		if (err == nil) != want {
			t.Errorf("%s: sent again: %v, want success %t", rotation, err, want)
		}
		if !want {
			wantClass(t, err, oauth.Permanent)
		}
	}
}

// TestHangEnds uses the time of a bubble; the network in it is a RoundTripper.
func TestHangEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &oauth.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.GetBody != nil {
				t.Error("the request can be sent again")
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		start := time.Now()
		_, err := c.Refresh(t.Context(), at("https://as.test/token"), secret.New("rt_SECRET"))
		wantClass(t, err, oauth.Ambiguous)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want a deadline", err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("gave up after %v, want 30 s", d)
		}
	})
}

func quiet() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestHangingServerIsLeft is the same on a real socket, ended by the caller.
func TestHangingServerIsLeft(t *testing.T) {
	s := startServer(t, oauthtest.Options{})
	s.Fail(oauthtest.Fault{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := new(oauth.Client).Refresh(ctx, *s.Provider().OAuth, secret.New("rt_SECRET"))
	wantClass(t, err, oauth.Ambiguous)
}

// TestProxyOnlyTunnels hands the proxy in, because package http reads the
// environment once per process.
func TestProxyOnlyTunnels(t *testing.T) {
	var lines []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		lines = append(lines, r.Method+" "+r.RequestURI+" "+string(body))
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &oauth.Client{Transport: wire.New(http.ProxyURL(u))}
	_, err = c.Refresh(t.Context(), at("https://as.test/token"), secret.New("rt_SECRET"))
	wantClass(t, err, oauth.NotSent)
	if len(lines) != 1 || lines[0] != "CONNECT as.test:443 " {
		t.Errorf("the proxy saw %q, want one CONNECT", lines)
	}

	s := startServer(t, oauthtest.Options{})
	lines = nil
	_, err = c.Refresh(t.Context(), *s.Provider().OAuth, secret.New("rt_SECRET"))
	wantClass(t, err, oauth.Permanent) // answered by the server itself
	if len(lines) != 0 {
		t.Errorf("plain http went through the proxy: %q", lines)
	}

	broken := func(*http.Request) (*url.URL, error) { return nil, errors.New("http://user:rt_SECRET@proxy") }
	c.Transport = wire.New(broken)
	_, err = c.Refresh(t.Context(), at("https://as.test/token"), secret.New("x"))
	wantClass(t, err, oauth.NotSent)
}

func TestOldTLSIsRefused(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[int]int{1: http.StatusNotFound, 2: http.StatusConflict}[r.ProtoMajor])
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	defer srv.Close()
	tr := wire.New(http.ProxyFromEnvironment)
	if tr.TLSClientConfig.InsecureSkipVerify || tr.TLSClientConfig.MinVersion != 0x0303 || !tr.DisableKeepAlives || tr.ResponseHeaderTimeout != 20*time.Second || tr.TLSHandshakeTimeout != 10*time.Second {
		t.Error("the transport is not hardened")
	}
	pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	tr.TLSClientConfig.RootCAs = pool
	c := &oauth.Client{Transport: tr}
	_, err := c.Refresh(t.Context(), at(srv.URL), secret.New("x"))
	wantClass(t, err, oauth.Misconfigured) // 404: TLS and HTTP/1.1 worked
	old := tr.TLSClientConfig.Clone()
	srv.TLS.MaxVersion = 0x0302
	tr = wire.New(http.ProxyFromEnvironment)
	tr.TLSClientConfig = old
	c.Transport = tr
	_, err = c.Refresh(t.Context(), at(srv.URL), secret.New("x"))
	wantClass(t, err, oauth.NotSent)
}

// TestControlInterface is what tests in other processes use.
func TestControlInterface(t *testing.T) {
	s := startServer(t, oauthtest.Options{})
	post, err := http.Post(s.URL+"/test/faults", "application/json", strings.NewReader(`[{"status":503,"retry_after":"9"}]`))
	if err != nil || post.StatusCode != http.StatusNoContent {
		t.Fatalf("adding a fault: %v, %v", post, err)
	}
	_ = post.Body.Close()
	_, err = refresh(t, *s.Provider().OAuth)
	if e := wantClass(t, err, oauth.Transient); e.RetryAfter != 9*time.Second {
		t.Errorf("RetryAfter = %v", e.RetryAfter)
	}
	for path, want := range map[string]string{"/test/stats": `"faults":1`, "/test/events": `"kind":"fault"`} {
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if !json.Valid(b) || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s = %s, want %s in it", path, b, want)
		}
	}
}

// TestProviderFile reaches the server through the file it writes.
func TestProviderFile(t *testing.T) {
	s := startServer(t, oauthtest.Options{Approve: "ada", Redirect: provider.Redirect{Host: "localhost", Path: "/auth/callback"}})
	var file bytes.Buffer
	if err := s.WriteProvider(&file); err != nil {
		t.Fatal(err)
	}
	catalog, err := provider.Load(fstest.MapFS{"providers/demo.json": {Data: file.Bytes()}}, provider.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	p, ok := catalog.Find("demo")
	if !ok {
		t.Fatal("demo is not in the catalog")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a machine that does not know localhost
	defer cancel()
	l, err := new(oauth.Client).StartLogin(ctx, *p.OAuth)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = oauthtest.Browser{}.Open(ctx, l.URL) }()
	token, err := l.Wait(ctx)
	l.Close(err)
	if err != nil || token.Account.ID != "acct-ada" {
		t.Errorf("account = %+v, %v", token.Account, err)
	}
}

// TestRotationIsKept: a hundred refreshes, no reuse.
func TestRotationIsKept(t *testing.T) {
	s := startServer(t, oauthtest.Options{})
	token, _, err := signIn(t, s, oauthtest.Browser{User: "ada"})
	for i := 0; i < 100 && err == nil; i++ {
		token, err = new(oauth.Client).Refresh(t.Context(), *s.Provider().OAuth, token.Refresh)
	}
	if got := s.Stats(); err != nil || got.Refreshes != 100 || got.Reuses != 0 {
		t.Errorf("%v, the server saw %+v", err, got)
	}
	if events := s.Events(); events[len(events)-1].Generation != 100 {
		t.Errorf("last event = %+v, want generation 100", events[len(events)-1])
	}
}
