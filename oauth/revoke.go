package oauth

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// revokeTimeout is how long a sign-out waits for the server.
const revokeTimeout = 5 * time.Second

// ErrNoRevocation means that a provider has no way to end a login from here.
var ErrNoRevocation = errors.New("the provider has no way to be told")

// Revoke has the server end the login that t belongs to (RFC 7009): it revokes
// the refresh token, with which the access tokens go; the access token where
// there is no other. A token that the server does not know any more is a success.
// It blocks at most 5 s, and never sends a token twice. The error is an [*Error],
// or [ErrNoRevocation].
func (c *Client) Revoke(ctx context.Context, p provider.OAuth, t Token) error {
	if p.RevocationEndpoint == "" || t.Refresh.Empty() && t.Access.Empty() {
		return ErrNoRevocation
	}
	if err := p.Validate(); err != nil {
		return &Error{Class: Misconfigured, cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if t.Refresh.Empty() {
		return c.revoke(ctx, p, t.Access, "access_token")
	}
	err := c.revoke(ctx, p, t.Refresh, "refresh_token")
	if e, ok := errors.AsType[*Error](err); ok && e.Code == "unsupported_token_type" && !t.Access.Empty() {
		_ = c.revoke(ctx, p, t.Access, "access_token") // better than nothing, but the login lives on
	}
	return err
}

func (c *Client) revoke(ctx context.Context, p provider.OAuth, token secret.Text, kind string) error {
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {kind}}
	r, err := c.ask(ctx, p, p.RevocationEndpoint, form, p.RevocationJSON)
	if err != nil {
		return err
	}
	if r.status >= 200 && r.status <= 299 {
		return nil // whatever it says, §2.2
	}
	body, _ := parseObject(r.body)
	e := refusal(r, body, token, c.Key)
	if e.Status == 400 && e.Code == "invalid_token" {
		return nil // so Google has it for a token that is dead already
	}
	return e
}
