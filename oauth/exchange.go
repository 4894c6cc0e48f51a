package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// trade gets the short-lived token that a provider's [provider.Exchange] gives for
// the one of the sign-in. Nothing is spent by it: whatever fails, trying again
// later is right, unless the server says otherwise.
func (c *Client) trade(ctx context.Context, p provider.OAuth, long secret.Text) (Token, error) {
	header := http.Header{"Authorization": {"Bearer " + long.Reveal()}}
	for name, value := range p.Exchange.Headers {
		header.Set(name, value)
	}
	answer, err := wire.Client{Transport: c.Transport}.Get(ctx, p.Exchange.Endpoint, header)
	if err != nil {
		return Token{}, &Error{Class: Transient, cause: err}
	}
	r := response{status: answer.Status, header: answer.Header, body: answer.Body}
	body, err := parseObject(r.body)
	if !answer.OK() {
		e := refusal(r, body, long)
		if e.Class == Ambiguous {
			e.Class = Transient
		}
		return Token{}, e
	}
	t := Token{Access: body.legal(p.Exchange.Token), Type: "Bearer"}
	at, ends := lifetime(body.raw(p.Exchange.Expires)) // one that did not end would never be renewed
	if err != nil || !ends || t.Access.Empty() || len(t.Access.Reveal()) > maxAccessToken {
		return Token{}, &Error{Status: r.status, Class: Transient, cause: errNoContent}
	}
	latest := float64(time.Now().Add(maxLife).Unix())
	t.Expiry = time.Unix(int64(min(max(at, 1), latest)), 0).UTC()
	return t, nil
}

// traded is a sign-in's token, traded for the first time: what was issued then is
// what renews. A sign-in is not lost for an exchange that does not answer, or is busy
// or broken: its token is then one that is over already.
func (c *Client) traded(ctx context.Context, p provider.OAuth, t Token) (Token, error) {
	t.Refresh = t.Access
	short, err := c.trade(ctx, p, t.Refresh)
	t.Access, t.Expiry = short.Access, short.Expiry
	if e, ok := errors.AsType[*Error](err); ok && e.Class == Transient && (e.Status == 0 || e.Status == http.StatusTooManyRequests || e.Status >= 500) {
		t.Expiry = time.Now()
		return t, nil
	}
	return t, err
}
