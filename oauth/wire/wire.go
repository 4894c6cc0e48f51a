// Package wire is the network as package oauth and those below it use it: one
// transport without redirects, with bounds for time and size, and errors that
// quote nothing of what was received. It knows no protocol above HTTP.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 20 * time.Second
	getTimeout    = 20 * time.Second
	maxAnswer     = 256 << 10
)

var (
	// ErrProxy means that the proxy setting of this machine is no use.
	ErrProxy = errors.New("the proxy setting is not a usable URL")
	// ErrTooLong means that an answer is longer than anything that is expected.
	ErrTooLong = errors.New("the answer is too long")

	errBroken = errors.New("connection broken")
)

// Client gets documents. The zero value is ready and safe for concurrent use.
type Client struct {
	// Transport replaces the network, for simulation.
	Transport http.RoundTripper
}

// Answer is what a server said. Body is whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK reports whether the document is there.
func (a Answer) OK() bool { return a.Status == http.StatusOK }

// Get asks once for a document of up to 256 KiB, with these headers and Accept:
// application/json. It follows no redirect and blocks at most 20 s.
func (c Client) Get(ctx context.Context, address string, header http.Header) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return Answer{}, errors.New("not an address")
	}
	maps.Copy(req.Header, header)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "keytray")
	}
	answer, err := c.roundTripper().RoundTrip(req)
	if err != nil {
		return Answer{}, Plain(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, Plain(err)
	}
	if len(body) > maxAnswer {
		return Answer{}, ErrTooLong
	}
	return Answer{answer.StatusCode, answer.Header, body}, nil
}

func (c Client) roundTripper() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return New(http.ProxyFromEnvironment)
}

// New returns a transport that keeps no connection, speaks TLS 1.2 or later, and
// asks proxy, by CONNECT, where the address is https. It is used without an
// [http.Client]: that would follow a redirect and take a token along (307, 308),
// and puts URLs into its errors.
func New(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 resends on GOAWAY and REFUSED_STREAM
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" {
				return nil, nil //nolint:nilnil // means no proxy: one would see the token
			}
			u, err := proxy(r)
			if err != nil {
				return nil, ErrProxy // the text may hold the proxy's password
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

// Plain keeps the errors whose text is our own side's and replaces the others:
// net/http quotes what it could not parse, which may be a token.
func Plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return cert
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return context.DeadlineExceeded
	}
	if errors.Is(err, ErrProxy) {
		return ErrProxy
	}
	return errBroken
}
