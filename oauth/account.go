package oauth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// ErrNoAccount is returned by Wait for a provider that must name the
// account but did not. The Token that comes with it is whole.
var ErrNoAccount = errors.New("the token does not say which account it is for")

// ErrUserinfo means that the server's userinfo is not of the account that its ID
// token names (OpenID Connect Core §5.3.2).
var ErrUserinfo = errors.New("the server tells of another account than it signed in")

// signedIn completes the token of a sign-in: verified where the server's keys are
// known, with what userinfo says of the account besides. The token comes back
// with every error.
func (c *Client) signedIn(ctx context.Context, p provider.OAuth, t Token, nonce secret.Text) (Token, error) {
	if t.Scope == "" {
		t.Scope = strings.Join(p.Scopes, " ") // RFC 6749 §5.1
	}
	net := wire.Client{Transport: c.Transport}
	if p.JWKSURI != "" {
		if err := idtoken.Verify(ctx, net, p, idtoken.Issued{ID: t.ID, Access: t.Access, Nonce: nonce}); err != nil {
			return t, err
		}
	}
	if p.UserinfoEndpoint != "" && t.Account.lacks(p.Identity) {
		info := userinfo(ctx, net, p, t)
		if !info.tellsOf(t) {
			return t, ErrUserinfo
		}
		t.Account = t.Account.with(info, p.Identity)
	}
	if p.Identity.Required && t.Account.ID == "" {
		return t, ErrNoAccount
	}
	if p.Exchange != nil {
		return c.traded(ctx, p, t)
	}
	return t, nil
}

// lacks reports whether something is wanted of an account that is not known yet.
func (a Account) lacks(id provider.Identity) bool {
	return a.ID == "" || a.Email == "" || a.Plan == "" && id.Plan != nil
}

// with fills what is not known yet.
func (a Account) with(o object, id provider.Identity) Account {
	id = defaults(id)
	return Account{
		ID:    cmp.Or(a.ID, o.claim(id.Account)),
		Email: cmp.Or(a.Email, o.claim(id.Email)),
		Plan:  cmp.Or(a.Plan, o.claim(id.Plan)),
	}
}

func defaults(id provider.Identity) provider.Identity {
	if id.Account == nil {
		id.Account = []string{"sub"}
	}
	if id.Email == nil {
		id.Email = []string{"email"}
	}
	return id
}

// userinfo asks whose an access token is. An answer that is none is no error: what
// it would have said stays unknown.
func userinfo(ctx context.Context, net wire.Client, p provider.OAuth, t Token) object {
	answer, err := net.Get(ctx, p.UserinfoEndpoint, http.Header{"Authorization": {"Bearer " + t.Access.Reveal()}})
	if err != nil || !answer.OK() {
		return nil
	}
	o, err := parseObject(answer.Body)
	if err != nil {
		return nil
	}
	return o
}

// tellsOf reports whether userinfo is of the account that the ID token names, if
// there are both.
func (o object) tellsOf(t Token) bool {
	sub, named := claims(t.ID).text("sub")
	said, ok := o.text("sub")
	return !named || o == nil || ok && said == sub
}

const maxClaim = 320 // an e-mail address at its longest

// Inspect reads what a stored token says of itself: whose it is and when it ends,
// zero if it does not say. Nothing of it is verified; a token that lied would not
// work for the account that it names.
func Inspect(t Token, p provider.OAuth) (a Account, end time.Time) {
	return accountOf(t, p.Identity), expiry(nil, t.Access, time.Now())
}

// accountOf reads the identity claims; what is missing or odd stays empty.
func accountOf(t Token, id provider.Identity) Account {
	source := t.ID
	if id.Token == "access_token" {
		source = t.Access
	}
	return Account{}.with(claims(source), id)
}

// claims decodes a JWT's payload. The signature is not looked at: the token
// came from the token endpoint over TLS (OpenID Connect Core §3.1.3.7), and where
// keys are known package idtoken has.
func claims(token secret.Text) object {
	_, rest, _ := strings.Cut(token.Reveal(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return nil
	}
	o, err := parseObject(b)
	if err != nil {
		return nil
	}
	return o
}

// claim follows a path of member names to a string.
func (o object) claim(path []string) string {
	for i, name := range path {
		if i == len(path)-1 {
			s, ok := o.text(name)
			if !ok && name != "sub" { // which is text, OpenID Connect Core §5.1
				s = number(o.raw(name))
			}
			return cleanClaim(s)
		}
		o, _ = parseObject(o.raw(name))
	}
	return ""
}

// number is an account that is a whole number, as GitHub's are.
func number(raw json.RawMessage) string {
	if s := string(raw); s != "" && strings.Trim(s, "0123456789") == "" {
		return s
	}
	return ""
}

// cleanClaim refuses what could not be an id or an address: it will be shown,
// and compared.
func cleanClaim(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(s) > maxClaim || strings.ContainsFunc(s, odd) {
		return ""
	}
	return s
}
