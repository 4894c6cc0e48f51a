package oauth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// Verdict is what a provider makes of a secret, in OpenClaw's words.
type Verdict string

// The verdicts.
const (
	Works       Verdict = "ok"
	Unwanted    Verdict = "auth" // the secret is not accepted
	RateLimited Verdict = "rate_limit"
	Unpaid      Verdict = "billing"
	TimedOut    Verdict = "timeout"
	Malformed   Verdict = "format" // request or answer are not what they should be
	Unknown     Verdict = "unknown"
	NoModel     Verdict = "no_model"
)

// errNotOurs is an answer of somebody else than an API.
var errNotOurs = errors.New("the answer is not JSON: something between here and the server may have made it")

// Probe sends one GET with the secret, in a header of its own where one is named
// and as a bearer token else, and judges the answer. The error says why
// it is not well, and is an [*Error] where the server answered or could not be
// reached; it is nil with [Works] alone. Redirects are not followed.
func (c *Client) Probe(ctx context.Context, p provider.Probe, header string, s secret.Text, limit time.Duration) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint, http.NoBody)
	if err != nil {
		return Malformed, &Error{Class: Misconfigured, cause: errMalformed}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "keytray")
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	if header != "" {
		req.Header.Set(header, s.Reveal())
	} else {
		req.Header.Set("Authorization", "Bearer "+s.Reveal())
	}
	answer, err := c.transport().RoundTrip(req)
	if err != nil {
		return unreached(failure(statusNoAnswer, err))
	}
	defer func() { _ = answer.Body.Close() }()
	r := response{status: answer.StatusCode, header: answer.Header}
	r.body, err = io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return unreached(failure(statusNoAnswer, err))
	}
	return r.verdict(s)
}

func unreached(e *Error) (Verdict, error) {
	if errors.Is(e, context.DeadlineExceeded) {
		return TimedOut, e
	}
	return Unknown, e
}

func (r response) verdict(s secret.Text) (Verdict, error) {
	b := bytes.TrimSpace(r.body)
	isAPI := len(b) > 0 && (b[0] == '{' || b[0] == '[')
	if r.status >= 200 && r.status <= 299 {
		if !isAPI {
			return Malformed, errNotOurs
		}
		return Works, nil
	}
	body, _ := parseObject(r.body)
	e := refusal(r, body, s)
	if r.status == http.StatusForbidden && len(b) > 0 && !isAPI {
		e.cause = errNotOurs // a firewall's page says nothing of the secret
		return Unknown, e
	}
	return judge(r.status, e.Code), e
}

func judge(status int, code string) Verdict {
	switch code {
	case "insufficient_quota", "billing_not_active", "billing_hard_limit_reached":
		return Unpaid
	case "model_not_found":
		return NoModel
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Unwanted
	case http.StatusPaymentRequired:
		return Unpaid
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return TimedOut
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return Malformed
	}
	return Unknown
}
