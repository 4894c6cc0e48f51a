package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limits of the listener: anyone on this machine can connect to it.
const (
	maxConns       = 64
	maxHeader      = 16 << 10
	readLimit      = 10 * time.Second
	headLimit      = 5 * time.Second
	farewellWindow = 3 * time.Second
)

// page serves the redirect URI and the two pages that end a sign-in.
type page struct {
	path   string
	hosts  []string
	accept func(url.Values) error
	server *http.Server
	crowd  crowd

	serving sync.WaitGroup
	ended   chan struct{} // closed once the outcome is known
	ok      bool          // the outcome; written before ended is closed
	shown   chan struct{} // closed once nobody waits for the outcome any more
	leave   func()        // closes shown

	mu   sync.Mutex // guards held
	held bool       // a browser waits for the outcome
}

func newPage(path string, port int, accept func(url.Values) error) *page {
	p := &page{path: path, accept: accept, ended: make(chan struct{}), shown: make(chan struct{})}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		p.hosts = append(p.hosts, host+":"+strconv.Itoa(port))
	}
	p.leave = sync.OnceFunc(func() { close(p.shown) })
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: headLimit,
		ReadTimeout:       readLimit,
		WriteTimeout:      readLimit,
		MaxHeaderBytes:    maxHeader,
		ConnState:         p.crowd.watch,
		// What it would log quotes requests.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return p
}

// serve returns at once; close ends it.
func (p *page) serve(listeners []net.Listener) {
	for _, l := range listeners {
		p.serving.Go(func() { _ = p.server.Serve(l) })
	}
}

// close shows the outcome to the browser that waits for it, if there is one.
func (p *page) close(ok bool) {
	p.ok = ok
	close(p.ended)
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held {
		ctx, cancel := context.WithTimeout(context.Background(), farewellWindow)
		defer cancel()
		select {
		case <-p.shown:
		case <-ctx.Done():
		}
	}
	_ = p.server.Close()
	p.serving.Wait()
}

// ServeHTTP implements [http.Handler].
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := p.screen(r); status != 0 {
		write(w, status, textRefused)
		return
	}
	switch r.URL.Path {
	case p.path:
		p.callback(w, r)
	case "/done", "/failed":
		p.farewell(w, r)
	default:
		write(w, http.StatusNotFound, textRefused)
	}
}

// screen returns the status for a request that no browser sends when it follows
// an authorization server's redirect, or 0.
func (p *page) screen(r *http.Request) int {
	h := r.Header
	switch {
	case r.Method == http.MethodOptions:
		return http.StatusForbidden
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed
	case r.URL.Host != "" || !slices.Contains(p.hosts, r.Host): // DNS rebinding
		return http.StatusForbidden
	case !absentOr(h, "Origin", "null"),
		!absentOr(h, "Sec-Fetch-Mode", "navigate"),
		!absentOr(h, "Sec-Fetch-Dest", "document"):
		return http.StatusForbidden
	}
	return 0
}

func absentOr(h http.Header, name, value string) bool {
	got, ok := h[name]
	return !ok || len(got) == 1 && got[0] == value
}

func (p *page) callback(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		write(w, http.StatusBadRequest, textRefused)
		return
	}
	if err := p.hold(q); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errUsed) {
			status = http.StatusGone
		}
		write(w, status, textRefused)
		return
	}
	// The caller exchanges and saves: that may take longer than a request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	select {
	case <-p.ended:
	case <-r.Context().Done(): // the tab was closed
		p.leave()
		return
	}
	w.Header().Set("Location", p.outcome()) // the code leaves the address bar
	write(w, http.StatusSeeOther, "")
}

// hold accepts the answer, and marks that its browser waits before anyone can
// see that there is one.
func (p *page) hold(q url.Values) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.accept(q)
	p.held = p.held || err == nil
	return err
}

func (p *page) outcome() string {
	if p.ok {
		return "/done"
	}
	return "/failed"
}

// farewell serves the last page, once there is an outcome and it is this one.
func (p *page) farewell(w http.ResponseWriter, r *http.Request) {
	select {
	case <-p.ended:
	default:
		write(w, http.StatusNotFound, textRefused)
		return
	}
	if r.URL.Path != p.outcome() || r.URL.RawQuery != "" {
		write(w, http.StatusNotFound, textRefused)
		return
	}
	text := textFailed
	if p.ok {
		text = textDone
	}
	write(w, http.StatusOK, text)
	_ = http.NewResponseController(w).Flush()
	p.leave()
}

// The pages are static: nothing of a request is repeated, no script runs,
// nothing else is loaded.
const (
	style   = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;color:#222;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}}"
	prelude = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Keytray</title><style>` + style + `</style></head><body>`

	textDone    = prelude + `<h1>Signed in</h1><p>The login is saved. You can close this tab.</p></body></html>`
	textFailed  = prelude + `<h1>Not signed in</h1><p>Nothing was saved. Keytray says why; you can close this tab and start again.</p></body></html>`
	textRefused = prelude + `<h1>Nothing to see here</h1><p>This request is not one that Keytray waits for.</p></body></html>`

	policy = "default-src 'none'; style-src 'sha256-" + styleHash + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// styleHash is the base64 SHA-256 of style.
	styleHash = "j186iiIrJgm+eDjkGTJPq+S3jZF+raWj0hDosDgb0f4="
)

func write(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a browser that has left needs no page
}

// crowd lets the newest connections in at the cost of the oldest that has not
// sent its request yet: a hundred half-open ones cannot keep the browser out.
type crowd struct {
	mu      sync.Mutex // guards waiting
	waiting []net.Conn
}

// watch is an [http.Server] ConnState hook.
func (c *crowd) watch(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state != http.StateNew {
		c.waiting = slices.DeleteFunc(c.waiting, func(w net.Conn) bool { return w == conn })
		return
	}
	if from, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err != nil || !from.Addr().IsLoopback() {
		_ = conn.Close()
		return
	}
	if len(c.waiting) == maxConns {
		_ = c.waiting[0].Close()
		c.waiting = slices.Delete(c.waiting, 0, 1)
	}
	c.waiting = append(c.waiting, conn)
}
