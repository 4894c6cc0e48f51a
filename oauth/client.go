package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 20 * time.Second
	totalTimeout  = 30 * time.Second
	maxBody       = 1 << 20
)

var (
	errNoContent = errors.New("answer without a usable token")
	errProxy     = errors.New("the proxy setting is not a usable URL")
)

// Client talks to token endpoints. The zero value is ready and safe for
// concurrent use: no redirects, no connection kept or shared, TLS 1.2 or later,
// proxies by CONNECT only, 30 s for a request and 1 MiB for an answer.
type Client struct {
	// Transport replaces the network, for simulation. It is asked once per
	// call, and is expected to call the [httptrace] hooks GetConn and GotConn as
	// [http.Transport] does: an error after GetConn and without GotConn (or
	// WroteHeaders) is NotSent, every other one Ambiguous.
	Transport http.RoundTripper
}

// Refresh exchanges a refresh token for new tokens, with exactly one POST. It
// blocks at most 30 s. A context that ends before the request leaves is NotSent;
// later it is Ambiguous, so callers that cannot afford that detach it. The error
// is an [*Error]; see the package comment for a Token that comes with one.
func (c *Client) Refresh(ctx context.Context, p provider.OAuth, refresh secret.Text) (Token, error) {
	if err := p.Validate(); err != nil {
		return Token{}, &Error{Class: Misconfigured, cause: err}
	}
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {refresh.Reveal()},
		"client_id":     {p.ClientID},
	}
	return c.grant(ctx, p, form, p.RefreshJSON, refresh)
}

// grant posts one token request and reads its answer.
func (c *Client) grant(ctx context.Context, p provider.OAuth, form url.Values, asJSON bool, secrets ...secret.Text) (Token, error) {
	start := time.Now()
	r, err := c.post(ctx, p.TokenEndpoint, form, asJSON)
	if err != nil {
		return Token{}, err
	}
	return r.token(start, p, secrets...)
}

// response is an answer of the token endpoint, as far as it was received.
type response struct {
	status int
	header http.Header
	body   []byte
	broken error // why the body is not whole
}

func (c *Client) post(ctx context.Context, endpoint string, form url.Values, asJSON bool) (response, error) {
	if err := ctx.Err(); err != nil {
		return response{}, failure(statusNotSent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	var asked, connected atomic.Bool
	req, err := newRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		// Once there is a connection the request may be written at any moment,
		// also while RoundTrip is giving up: so this, and not WroteHeaders alone.
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteHeaders: func() { connected.Store(true) },
	}), endpoint, form, asJSON)
	if err != nil {
		return response{}, failure(statusNotSent, err)
	}
	answer, err := c.transport().RoundTrip(req)
	if errors.Is(err, errProxy) || err != nil && asked.Load() && !connected.Load() {
		return response{}, failure(statusNotSent, err)
	}
	if err != nil {
		return response{}, failure(statusNoAnswer, err)
	}
	defer func() { _ = answer.Body.Close() }()
	r := response{status: answer.StatusCode, header: answer.Header}
	r.body, r.broken = io.ReadAll(io.LimitReader(answer.Body, maxBody)) // a longer one is no JSON object any more
	return r, nil
}

func newRequest(ctx context.Context, endpoint string, form url.Values, asJSON bool) (*http.Request, error) {
	body, contentType := []byte(form.Encode()), "application/x-www-form-urlencoded"
	if asJSON {
		members := make(map[string]string, len(form))
		for name := range form {
			members[name] = form.Get(name)
		}
		var err error
		if body, err = json.Marshal(members); err != nil {
			return nil, err
		}
		contentType = "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // nothing may send it twice
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "keytray")
	return req, nil
}

// transport is used without an [http.Client]: that would follow a redirect and
// take the refresh token along (307, 308), and puts URLs into its errors.
func (c *Client) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return newTransport(http.ProxyFromEnvironment)
}

func newTransport(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 resends on GOAWAY and REFUSED_STREAM
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" {
				return nil, nil //nolint:nilnil // means no proxy: one would see the token
			}
			u, err := proxy(r)
			if err != nil {
				return nil, errProxy // the text may hold the proxy's password
			}
			return u, nil
		},
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		DisableKeepAlives:      true, // a fresh connection is never replayed
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              protocols,
	}
}
