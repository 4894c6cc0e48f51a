package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const (
	totalTimeout = 30 * time.Second
	maxBody      = 1 << 20
)

var (
	errNoContent = errors.New("answer without a usable token")
	errTokenType = errors.New("the server issues tokens that are bound to a key (DPoP or the like), which Keytray cannot use")
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
	// Key is the secret or key by which the client of one provider proves itself;
	// others do without.
	Key secret.Text
}

// Refresh exchanges a refresh token for new tokens, with exactly one POST. It
// blocks at most 30 s. A context that ends before the request leaves is NotSent;
// later it is Ambiguous, so callers that cannot afford that detach it. The error
// is an [*Error]; see the package comment for a Token that comes with one.
func (c *Client) Refresh(ctx context.Context, p provider.OAuth, refresh secret.Text) (Token, error) {
	if err := p.Validate(); err != nil {
		return Token{}, &Error{Class: Misconfigured, cause: err}
	}
	if p.Exchange != nil {
		return c.trade(ctx, p, refresh)
	}
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {refresh.Reveal()},
	}
	t, err := c.grant(ctx, p, form, p.RefreshJSON, refresh)
	if err != nil || p.JWKSURI == "" || t.ID.Empty() {
		return t, err
	}
	if err := idtoken.Renewed(p, t.ID); err != nil {
		return Token{Refresh: t.Refresh}, failure(statusOf(t), err)
	}
	return t, nil
}

// grant posts one token request and reads its answer.
func (c *Client) grant(ctx context.Context, p provider.OAuth, form url.Values, asJSON bool, secrets ...secret.Text) (Token, error) {
	start := time.Now()
	r, err := c.ask(ctx, p, p.TokenEndpoint, form, asJSON)
	if err != nil {
		return Token{}, err
	}
	return r.token(start, p, append(secrets, c.Key)...)
}

// ask posts a form to one of p's endpoints, as p's client, which proves itself if
// it has to.
func (c *Client) ask(ctx context.Context, p provider.OAuth, endpoint string, form url.Values, asJSON bool) (response, error) {
	authorization, err := clientauth.Add(p, form, c.Key)
	if err != nil {
		return response{}, &Error{Class: Misconfigured, cause: err}
	}
	return c.post(ctx, endpoint, authorization, form, asJSON)
}

// response is an answer of the token endpoint, as far as it was received.
type response struct {
	status int
	header http.Header
	body   []byte
	broken error // why the body is not whole
}

// post sends a form once. Authorization is the value of that header, if there is
// to be one.
func (c *Client) post(ctx context.Context, endpoint, authorization string, form url.Values, asJSON bool) (response, error) {
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
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	answer, err := c.transport().RoundTrip(req)
	if errors.Is(err, wire.ErrProxy) || err != nil && asked.Load() && !connected.Load() {
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

func (c *Client) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return wire.New(http.ProxyFromEnvironment)
}
