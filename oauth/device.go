package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// The pace of a device login, RFC 8628 §3.2 and §3.5.
const (
	deviceInterval = 5 * time.Second // if the server names none
	minInterval    = time.Second
	maxInterval    = 5 * time.Minute
	slowDown       = 5 * time.Second // for good, each time the server asks for it
	maxBackOff     = time.Minute     // between two tries without an answer
	deviceLife     = 15 * time.Minute
	maxDeviceLife  = 30 * time.Minute
	maxUserCode    = 64
)

// ErrNoDevice means that the provider lets nobody sign in with a code.
var ErrNoDevice = errors.New("the provider offers no sign-in with a code")

// errNoCode is an answer that begins no device login.
var errNoCode = errors.New("answer without a usable code")

// DeviceCode is what a person needs to sign in with a browser elsewhere. Whoever
// enters the code signs this machine in as themselves (RFC 8628 §5.4): it is for
// the person alone, and in no log and no notification.
type DeviceCode struct {
	// UserCode is to be entered at Page, which passes [CheckBrowserURL].
	UserCode, Page string
	// Complete is Page with the code in it, or empty. It is on the same host.
	Complete string
	Expires  time.Time
}

// Device is one attempt to sign in with a code.
type Device struct {
	DeviceCode

	client   *Client
	provider provider.OAuth
	code     secret.Text // device_code, or device_auth_id
	interval time.Duration
}

// StartDevice asks the server for a code. The error is an [*Error], ErrNoDevice
// or a [*provider.FieldError].
func (c *Client) StartDevice(ctx context.Context, p provider.OAuth) (*Device, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.DeviceAuthorizationEndpoint == "" {
		return nil, ErrNoDevice
	}
	form := url.Values{}
	if len(p.Scopes) > 0 && p.DeviceExchange == nil {
		form.Set("scope", strings.Join(p.Scopes, " "))
	}
	start := time.Now()
	r, err := c.ask(ctx, p, p.DeviceAuthorizationEndpoint, form, p.DeviceExchange != nil)
	if err != nil {
		return nil, err
	}
	d := &Device{client: c, provider: p}
	return d, d.begin(r, start)
}

// begin reads a device authorization response (RFC 8628 §3.2).
func (d *Device) begin(r response, start time.Time) error {
	body, broken := parseObject(r.body)
	if r.status == http.StatusNotFound && d.provider.DeviceExchange != nil {
		return ErrNoDevice // the server, or the person, has not enabled it
	}
	if r.status < 200 || r.status > 299 || body.has("error") {
		return refusal(r, body, d.client.Key)
	}
	if err := errors.Join(r.broken, broken); err != nil {
		return unbegun(r, err)
	}
	d.code, d.Page = body.legal("device_code"), body.first("verification_uri", "verification_url") // Google's
	if x := d.provider.DeviceExchange; x != nil {
		d.code, d.Page = body.legal("device_auth_id"), x.VerificationURI
	}
	d.UserCode = body.first("user_code")
	if d.code.Empty() || !shown(d.UserCode) || CheckBrowserURL(d.Page) != nil {
		return unbegun(r, errNoCode)
	}
	if full := body.first("verification_uri_complete"); CheckBrowserURL(full) == nil && sameHost(full, d.Page) {
		d.Complete = full
	}
	d.interval, d.Expires = pace(body), start.Add(life(body))
	return nil
}

// unbegun is the error for a 2xx answer that begins nothing. Nothing was spent.
func unbegun(r response, cause error) *Error {
	return &Error{Status: r.status, Class: Misconfigured, cause: plain(cause)}
}

// first returns the first of these members that is a text.
func (o object) first(names ...string) string {
	for _, name := range names {
		if s, _ := o.text(name); s != "" {
			return s
		}
	}
	return ""
}

// shown reports whether a person can be shown a code and type it: printable, and
// no spaces that they would have to count.
func shown(code string) bool {
	return code != "" && len(code) <= maxUserCode && isPrintable(code) && strings.Join(strings.Fields(code), " ") == code
}

func sameHost(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Host == y.Host
}

// pace is the interval between two polls. Some servers write it as a string.
func pace(body object) time.Duration {
	seconds, ok := lifetime(body.raw("interval"))
	if !ok {
		return deviceInterval
	}
	return between(seconds, minInterval, maxInterval)
}

// life is how long the code is good. RFC 8628 requires it to be said, ChatGPT's
// server does not say it.
func life(body object) time.Duration {
	seconds, ok := lifetime(body.raw("expires_in"))
	if !ok || seconds <= 0 {
		return deviceLife
	}
	return between(seconds, minInterval, maxDeviceLife)
}

func between(seconds float64, low, high time.Duration) time.Duration {
	seconds = min(max(seconds, low.Seconds()), high.Seconds())
	return time.Duration(seconds * float64(time.Second))
}

// Wait asks the server, one request at a time and no faster than it allows,
// until the person has signed in. It ends with [ErrTimeout] when the code has
// expired; with an [*Error] if the person or the server refused; with
// [ErrNoAccount]; or with ctx's error. A server that cannot be reached is tried
// again, less and less often. See the package comment for a Token that comes with
// an error.
func (d *Device) Wait(ctx context.Context) (Token, error) {
	rest, failures := d.interval, 0
	for {
		if err := d.rest(ctx, rest); err != nil {
			return Token{}, err
		}
		t, open, err := d.poll(ctx)
		if open == nil {
			return d.end(ctx, t, err)
		}
		if ctx.Err() != nil {
			return Token{}, ctx.Err()
		}
		switch open.Code {
		case "slow_down":
			d.interval = min(d.interval+slowDown, maxInterval)
			rest, failures = d.interval, 0
		case "authorization_pending":
			rest, failures = d.interval, 0
		default: // RFC 8628 §3.5
			failures = min(failures+1, 8)
			rest = max(d.interval, min(d.interval<<failures, maxBackOff), open.RetryAfter)
		}
	}
}

// rest waits a fifth longer than it is told: clocks that run fast, such as those
// of virtual machines, would ask too early each time (cli/cli#9370).
func (d *Device) rest(ctx context.Context, interval time.Duration) error {
	left := time.Until(d.Expires)
	timer := time.NewTimer(min(interval+interval/5, left))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !time.Now().Before(d.Expires) {
		return ErrTimeout
	}
	return nil
}

// poll asks once. Open says that the login is not over yet, and why.
func (d *Device) poll(ctx context.Context) (t Token, open *Error, err error) {
	if d.provider.DeviceExchange != nil {
		return d.pollExchange(ctx)
	}
	t, err = d.client.grant(ctx, d.provider, url.Values{
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {d.code.Reveal()},
	}, false, d.code)
	return t, pending(t, err), err
}

// pollExchange asks for the person's yes, which is an authorization code. That is
// exchanged once, whatever comes of it (RFC 6749 §4.1.2).
func (d *Device) pollExchange(ctx context.Context) (t Token, open *Error, err error) {
	x := d.provider.DeviceExchange
	r, err := d.client.post(ctx, x.PollEndpoint, "", url.Values{"device_auth_id": {d.code.Reveal()}, "user_code": {d.UserCode}}, true)
	var code, verifier secret.Text
	if err == nil {
		code, verifier, err = d.yes(r)
	}
	if err != nil {
		return t, pending(t, err), err
	}
	t, err = d.client.grant(ctx, d.provider, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code.Reveal()},
		"code_verifier": {verifier.Reveal()},
		"redirect_uri":  {x.RedirectURI},
	}, false, code, verifier)
	return t, nil, err
}

// yes reads the answer to a poll of [provider.DeviceExchange].
func (d *Device) yes(r response) (code, verifier secret.Text, err error) {
	if r.status == http.StatusForbidden || r.status == http.StatusNotFound {
		return code, verifier, &Error{Status: r.status, Code: "authorization_pending", Class: Transient}
	}
	body, broken := parseObject(r.body)
	if r.status < 200 || r.status > 299 || body.has("error") {
		return code, verifier, refusal(r, body, d.code, secret.New(d.UserCode))
	}
	code, verifier = body.legal("authorization_code"), body.legal("code_verifier")
	if err := errors.Join(r.broken, broken); err != nil {
		return code, verifier, unbegun(r, err)
	}
	if code.Empty() || len(code.Reveal()) > maxCode || verifier.Empty() || len(verifier.Reveal()) > maxCode {
		return code, verifier, unbegun(r, errNoCode)
	}
	return code, verifier, nil
}

// pending returns the refusal that leaves the login open, or nil.
func pending(t Token, err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok || !t.Refresh.Empty() {
		return nil
	}
	if e.Code == "authorization_pending" || e.Code == "slow_down" {
		return e
	}
	if e.Status >= 200 && e.Status <= 299 { // the code is spent
		return nil
	}
	if e.Class == NotSent || e.Class == Ambiguous || e.Class == Transient {
		return e
	}
	return nil
}

// end is what an answer that ends the login means.
func (d *Device) end(ctx context.Context, t Token, err error) (Token, error) {
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Code {
		case "expired_token":
			return t, ErrTimeout
		case "access_denied":
			return t, denial(e.Code, e.Description)
		}
	}
	if err != nil {
		return t, err
	}
	return d.client.signedIn(ctx, d.provider, t, secret.Text{})
}
