package oauth_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
)

// attempt is a login that waits, as someone on this machine sees it.
type attempt struct {
	*oauth.Login

	server *oauthtest.Server
	result chan error
	token  oauth.Token
	query  url.Values // of the authorization URL
}

func start(t *testing.T) *attempt {
	t.Helper()
	s := startServer(t, oauthtest.Options{Approve: "ada"})
	l, err := new(oauth.Client).StartLogin(t.Context(), *s.Provider().OAuth)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Listening(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	a := &attempt{Login: l, server: s, result: make(chan error, 1), query: u.Query()}
	go func() {
		var err error
		a.token, err = l.Wait(t.Context())
		l.Close(err)
		a.result <- err
	}()
	t.Cleanup(func() { l.Close(context.Canceled) })
	return a
}

// redirect is the redirect URI.
func (a *attempt) redirect() string { return a.query.Get("redirect_uri") }

// port is where the login listens.
func (a *attempt) port() string {
	u, _ := url.Parse(a.redirect())
	return u.Port()
}

// answer asks the server for a good authorization response.
func (a *attempt) answer(t *testing.T) url.Values {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	u, err := r.Location()
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// raw sends bytes to the listener and returns the status of the answer.
func (a *attempt) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, request)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", request, err)
	}
	b, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	return r
}

func get(target, host string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// finish gives the good answer and expects the login to succeed, with one
// exchange.
func (a *attempt) finish(t *testing.T, answer url.Values) {
	t.Helper()
	r := a.raw(t, get("/callback?"+answer.Encode(), "127.0.0.1:"+a.port()))
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/done" {
		t.Errorf("the good answer got %d to %q, want 303 to /done", r.StatusCode, r.Header.Get("Location"))
	}
	checkHeaders(t, r)
	done := a.raw(t, get("/done", "127.0.0.1:"+a.port()))
	if b, _ := io.ReadAll(done.Body); done.StatusCode != http.StatusOK || !strings.Contains(string(b), "Signed in") {
		t.Errorf("/done got %d", done.StatusCode)
	}
	checkHeaders(t, done)
	if err := <-a.result; err != nil {
		t.Errorf("Wait: %v", err)
	}
	if got := a.server.Stats(); got.Logins != 1 || got.Reuses != 0 || got.Refused != 0 {
		t.Errorf("the server saw %+v, want one login", got)
	}
}

func checkHeaders(t *testing.T, r *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"Cache-Control":                "no-store",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Access-Control-Allow-Origin":  "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !r.Close {
		t.Error("the connection stays open")
	}
	csp := r.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.HasSuffix(csp, "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'") {
		t.Errorf("CSP = %q", csp)
	}
	b, _ := io.ReadAll(r.Body)
	for _, bad := range []string{"<script", "http:", "https:", "code=", "state="} {
		if strings.Contains(string(b), bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	r.Body = io.NopCloser(strings.NewReader(string(b)))
}

// TestStrayRequestsDoNotEndTheWait sends each of them, and then logs in.
func TestStrayRequestsDoNotEndTheWait(t *testing.T) {
	a := start(t)
	good := a.answer(t)
	host := "127.0.0.1:" + a.port()
	with := func(change func(url.Values)) string {
		q := url.Values{}
		for name, values := range good {
			q[name] = append([]string(nil), values...)
		}
		change(q)
		return "/callback?" + q.Encode()
	}
	ok := with(func(url.Values) {})
	tests := []struct {
		name, request string
		status        int
	}{
		{"wrong state", get(with(func(q url.Values) { q.Set("state", "x") }), host), 400},
		{"state in another case", get(with(func(q url.Values) { q.Set("state", strings.ToLower(q.Get("state"))) }), host), 400},
		{"empty state", get(with(func(q url.Values) { q.Set("state", "") }), host), 400},
		{"no state", get(with(func(q url.Values) { q.Del("state") }), host), 400},
		{"state twice", get(with(func(q url.Values) { q.Add("state", q.Get("state")) }), host), 400},
		{"code twice", get(with(func(q url.Values) { q.Add("code", "x") }), host), 400},
		{"code and error", get(with(func(q url.Values) { q.Set("error", "access_denied") }), host), 400},
		{"error with wrong state", get(with(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("state", "x") }), host), 400},
		{"no code", get(with(func(q url.Values) { q.Del("code") }), host), 400},
		{"empty code", get(with(func(q url.Values) { q.Set("code", "") }), host), 400},
		{"code with a line break", get(with(func(q url.Values) { q.Set("code", "a\r\nb") }), host), 400},
		{"long code", get(with(func(q url.Values) { q.Set("code", strings.Repeat("a", 4097)) }), host), 400},
		{"no iss", get(with(func(q url.Values) { q.Del("iss") }), host), 400},
		{"iss with a slash", get(with(func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }), host), 400},
		{"iss in another case", get(with(func(q url.Values) { q.Set("iss", strings.ToUpper(q.Get("iss"))) }), host), 400},
		{"another iss", get(with(func(q url.Values) { q.Set("iss", "https://evil.test") }), host), 400},
		{"iss twice", get(with(func(q url.Values) { q.Add("iss", q.Get("iss")) }), host), 400},
		{"bad escape", get("/callback?code=%zz", host), 400},
		{"semicolon", get("/callback?code=a;state=b", host), 400},
		{"no query", get("/callback", host), 400},
		{"fragment only", get("/callback#access_token=a", host), 404},
		{"favicon", get("/favicon.ico", host), 404},
		{"cancel", get("/cancel", host), 404},
		{"root", get("/", host), 404},
		{"longer path", get(strings.Replace(ok, "/callback", "/callback/", 1), host), 404},
		{"doubled slash", get("/"+ok, host), 404},
		{"dots", get("/x/.."+ok, host), 404},
		{"done too early", get("/done", host), 404},
		{"failed too early", get("/failed", host), 404},
		{"another host", get(ok, "evil.test:"+a.port()), 403},
		{"host without port", get(ok, "127.0.0.1"), 403},
		{"host with another port", get(ok, "127.0.0.1:1"), 403},
		{"host with a dot", get(ok, "localhost.:"+a.port()), 403},
		{"absolute form", get("http://"+host+ok, host), 403},
		{"HTTP/1.0 without host", "GET " + ok + " HTTP/1.0\r\n\r\n", 403},
		{"no host", "GET " + ok + " HTTP/1.1\r\n\r\n", 400},
		{"two hosts", get(ok, host, "Host: evil.test"), 400},
		{"foreign origin", get(ok, host, "Origin: https://evil.test"), 403},
		{"image", get(ok, host, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"), 403},
		{"frame", get(ok, host, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"), 403},
		{"fetch", get(ok, host, "Sec-Fetch-Mode: cors"), 403},
		{"HEAD", "HEAD " + ok + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", 405},
		{"POST", "POST " + ok + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n", 405},
		{"preflight", "OPTIONS " + ok + " HTTP/1.1\r\nHost: " + host + "\r\nOrigin: https://evil.test\r\nAccess-Control-Request-Private-Network: true\r\n\r\n", 403},
		{"huge query", get("/callback?code="+strings.Repeat("a", 1<<20), host), 431},
	}
	for _, tt := range tests {
		r := a.raw(t, tt.request)
		if r.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, r.StatusCode, tt.status)
		}
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), good.Get("code")) || strings.Contains(string(b), good.Get("state")) || r.Header.Get("Location") != "" {
			t.Errorf("%s: the answer repeats the request", tt.name)
		}
		if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge && !strings.Contains(tt.name, "host") {
			r.Body = io.NopCloser(strings.NewReader(string(b)))
			checkHeaders(t, r)
		}
	}
	a.finish(t, good)
}

// TestBrowsersThatMayAnswer are the ways in which a good request can look.
func TestBrowsersThatMayAnswer(t *testing.T) {
	tests := []struct {
		name, host string
		headers    []string
	}{
		{"plain", "127.0.0.1", nil},
		{"localhost", "localhost", nil},
		{"IPv6 name", "[::1]", nil},
		{"Chromium", "127.0.0.1", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document"}},
		{"null origin", "127.0.0.1", []string{"Origin: null"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := start(t)
			r := a.raw(t, get("/callback?"+a.answer(t).Encode(), tt.host+":"+a.port(), tt.headers...))
			if r.StatusCode != http.StatusSeeOther {
				t.Errorf("status = %d, want 303", r.StatusCode)
			}
			a.raw(t, get("/done", tt.host+":"+a.port()))
			if err := <-a.result; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReplay sends the good answer eight times at once.
func TestReplay(t *testing.T) {
	a := start(t)
	request := get("/callback?"+a.answer(t).Encode(), "127.0.0.1:"+a.port())
	a.server.Fail(oauthtest.Fault{Delay: 300 * time.Millisecond}) // all arrive before the end
	statuses := make(chan int, 8)
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() { statuses <- a.raw(t, request).StatusCode })
	}
	all.Wait()
	seen := make(map[int]int)
	for range cap(statuses) {
		seen[<-statuses]++
	}
	if seen[http.StatusSeeOther] != 1 || seen[http.StatusGone] != 7 {
		t.Errorf("answers = %v, want one 303 and seven 410", seen)
	}
	a.raw(t, get("/done", "127.0.0.1:"+a.port()))
	if err := <-a.result; err != nil || a.server.Stats().Logins != 1 {
		t.Errorf("%v, %+v", err, a.server.Stats())
	}
}

// TestStatesAreNotInterchangeable gives each of two logins the other's answer.
func TestStatesAreNotInterchangeable(t *testing.T) {
	a, b := start(t), start(t)
	for _, swap := range [][2]*attempt{{a, b}, {b, a}} {
		to, from := swap[0], swap[1]
		if r := to.raw(t, get("/callback?"+from.answer(t).Encode(), "127.0.0.1:"+to.port())); r.StatusCode != http.StatusBadRequest {
			t.Errorf("status = %d, want 400", r.StatusCode)
		}
	}
	a.finish(t, a.answer(t))
	b.finish(t, b.answer(t))
}

func TestErrorResponseEndsTheWait(t *testing.T) {
	a := start(t)
	q := a.answer(t)
	q.Del("code")
	q.Set("error", "access_denied")
	q.Set("error_description", "<script>\x00\x1b[2J")
	r := a.raw(t, get("/callback?"+q.Encode(), "127.0.0.1:"+a.port()))
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/failed" {
		t.Errorf("%d to %q, want 303 to /failed", r.StatusCode, r.Header.Get("Location"))
	}
	if r := a.raw(t, get("/done", "127.0.0.1:"+a.port())); r.StatusCode != http.StatusNotFound {
		t.Errorf("/done got %d after a failure, want 404", r.StatusCode)
	}
	failed := a.raw(t, get("/failed", "127.0.0.1:"+a.port()))
	if b, _ := io.ReadAll(failed.Body); strings.Contains(string(b), "script") {
		t.Error("the page repeats the description")
	}
	err := <-a.result
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Code != "access_denied" || strings.ContainsAny(err.Error(), "\x00\x1b") {
		t.Errorf("Wait: %q", err)
	}
	if a.server.Stats().Logins != 0 {
		t.Error("a code was exchanged")
	}
}

// TestExchangeOnce: the code is not sent again when its answer is lost.
func TestExchangeOnce(t *testing.T) {
	a := start(t)
	answer := a.answer(t)
	a.server.Fail(oauthtest.Fault{Commit: true, Reset: true})
	a.raw(t, get("/callback?"+answer.Encode(), "127.0.0.1:"+a.port()))
	a.raw(t, get("/failed", "127.0.0.1:"+a.port()))
	wantClass(t, <-a.result, oauth.Ambiguous)
	if got := a.server.Stats(); got.Logins != 1 || got.Faults != 1 || got.Reuses != 0 {
		t.Errorf("the server saw %+v, want one exchange", got)
	}
}

// TestHalfOpenConnections: they neither fill the listener nor keep the browser out.
func TestHalfOpenConnections(t *testing.T) {
	a := start(t)
	answer := a.answer(t)
	for i := range 200 {
		c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /callback?code=x HTTP/1.1\r\nHost: ")
		}
	}
	began := time.Now()
	a.finish(t, answer)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the browser waited %v behind half-open connections", d)
	}
}

// TestOldestConnectionsGoFirst: at most 64 wait, and the ones that came first
// are closed to let others in.
func TestOldestConnectionsGoFirst(t *testing.T) {
	a := start(t)
	var conns []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		conns = append(conns, c)
	}
	for i, c := range conns[:36] {
		if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of 100 is still open", i)
		}
	}
	_ = conns[36].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conns[36].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection 36 is closed: %v", err)
	}
}

// TestSlowRequestIsCut sends a header a byte at a time.
func TestSlowRequestIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	a := start(t)
	c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for range ticks.C {
		if _, err := io.WriteString(c, "G"); err != nil {
			break
		}
		if time.Since(began) > 8*time.Second {
			t.Fatal("still connected after 8 s")
		}
	}
	a.finish(t, a.answer(t))
}

// TestAnswerIsHeldUntilSaved: the tab sees nothing before Close, however long
// the exchange and the keychain take.
func TestAnswerIsHeldUntilSaved(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s: longer than any limit of the listener")
	}
	s := startServer(t, oauthtest.Options{Approve: "ada"})
	l, err := new(oauth.Client).StartLogin(t.Context(), *s.Provider().OAuth)
	if err != nil {
		t.Fatal(err)
	}
	pages := make(chan oauthtest.Page, 1)
	go func() {
		p, err := oauthtest.Browser{}.Open(t.Context(), l.URL)
		if err != nil {
			t.Errorf("browser: %v", err)
		}
		pages <- p
	}()
	if _, err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-pages:
		t.Fatalf("the browser got %d before the token was saved", p.Status)
	case <-time.After(12 * time.Second):
	}
	l.Close(nil)
	if p := <-pages; !strings.HasSuffix(p.URL, "/done") {
		t.Errorf("the browser ended at %s, want /done", p.URL)
	}
}

// TestCloseIsPrompt and frees the port.
func TestCloseIsPrompt(t *testing.T) {
	tests := []struct {
		name string
		act  func(*testing.T, *attempt)
		most time.Duration
	}{
		{"nobody came", func(*testing.T, *attempt) {}, time.Second},
		{"pasted", func(t *testing.T, a *attempt) {
			t.Helper()
			if err := a.Paste(a.answer(t).Encode()); err != nil {
				t.Error(err)
			}
			<-a.result
		}, time.Second},
		{"the tab was closed", func(t *testing.T, a *attempt) {
			t.Helper()
			a.server.Fail(oauthtest.Fault{Delay: 500 * time.Millisecond})
			c, err := net.Dial("tcp", "127.0.0.1:"+a.port())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, get("/callback?"+a.answer(t).Encode(), "127.0.0.1:"+a.port()))
			time.Sleep(100 * time.Millisecond) // the request arrives
			_ = c.Close()
			<-a.result
		}, 1500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := start(t)
			began := time.Now()
			tt.act(t, a)
			a.Close(errors.New("over"))
			a.Close(nil)
			if d := time.Since(began); d > tt.most {
				t.Errorf("took %v, want at most %v", d, tt.most)
			}
			if c, err := net.Dial("tcp", "127.0.0.1:"+a.port()); err == nil {
				_ = c.Close()
				t.Error("the port is still open")
			}
			if err := a.Paste("late"); err == nil {
				t.Error("an answer was taken after the end")
			}
		})
	}
}

// TestCloseDoesNotWaitForever for a client that never follows the redirect.
func TestCloseDoesNotWaitForever(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	a := start(t)
	began := time.Now()
	a.raw(t, get("/callback?"+a.answer(t).Encode(), "127.0.0.1:"+a.port()))
	if err := <-a.result; err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d < 2500*time.Millisecond || d > 4*time.Second {
		t.Errorf("Close took %v, want about 3 s", d)
	}
}

// TestWaitEnds at the caller's word, or by itself. No port is bound in the
// bubble: every one that is asked for is taken.
func TestWaitEnds(t *testing.T) {
	p := *oauthtest.New(oauthtest.Options{}).Provider().OAuth
	p.Issuer, p.AuthorizationEndpoint, p.TokenEndpoint, p.RevocationEndpoint = "https://as.test", "https://as.test/a", "https://as.test/t", ""
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	p.Redirect = provider.Redirect{Path: "/cb", Ports: []int{busy.Addr().(*net.TCPAddr).Port}}
	tests := []struct {
		deadline, want time.Duration
		err            error
	}{
		{0, 10 * time.Minute, oauth.ErrTimeout},
		{time.Hour, 15 * time.Minute, oauth.ErrTimeout},
		{time.Minute, time.Minute, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			l, err := new(oauth.Client).StartLogin(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := errors.AsType[*oauth.PortError](l.Listening()); !ok {
				t.Fatalf("Listening() = %v, want a PortError", l.Listening())
			}
			ctx := t.Context()
			if tt.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				defer cancel()
			}
			began := time.Now()
			_, err = l.Wait(ctx)
			if d := time.Since(began); !errors.Is(err, tt.err) || d != tt.want {
				t.Errorf("deadline %v: %v after %v, want %v after %v", tt.deadline, err, d, tt.err, tt.want)
			}
			if l.Paste("late") == nil {
				t.Error("an answer was taken after the end")
			}
			l.Close(err)
		})
	}
}
