package oauth

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// ErrNoAccount is returned by Wait for a provider that must name the
// account but did not. The Token that comes with it is whole.
var ErrNoAccount = errors.New("the token does not say which account it is for")

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
	if id.Account == nil {
		id.Account = []string{"sub"}
	}
	if id.Email == nil {
		id.Email = []string{"email"}
	}
	c := claims(source)
	return Account{ID: c.claim(id.Account), Email: c.claim(id.Email), Plan: c.claim(id.Plan)}
}

// claims decodes a JWT's payload. The signature is not looked at: the token
// came from the token endpoint over TLS (OpenID Connect Core §3.1.3.7).
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
			s, _ := o.text(name)
			return cleanClaim(s)
		}
		o, _ = parseObject(o.raw(name))
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
