// Package idtoken verifies ID tokens (OpenID Connect Core 1.0 §3.1.3.7). It
// fetches the keys that sign them anew for each token, so that a rotated key is
// known, and keeps nothing. A token is taken only if the claims' rules below and
// go-oidc, which also looks at issuer, audience and expiry, both take it.
package idtoken

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

var (
	// ErrInvalid means that the token does not prove whom it is about, or is not
	// meant for us.
	ErrInvalid = errors.New("the ID token is not valid")
	// ErrKeys means that nobody can tell, for want of the server's keys.
	ErrKeys = errors.New("the keys of the ID token cannot be had")
)

const (
	// skew is by how much a clock may be wrong when a token ends, early when it is
	// issued.
	skew  = time.Minute
	early = 5 * time.Minute
	// oldest is the age at which no answer to a sign-in can be any more.
	oldest = 7 * 24 * time.Hour
	maxSub = 255
)

// Issued is what the token endpoint issued, and the nonce that was sent: empty if
// there was none, as in a device login.
type Issued struct{ ID, Access, Nonce secret.Text }

// Verify returns nil if p's server signed this ID token for us, now, in answer to
// the request with that nonce, and with that access token. Errors quote nothing
// of the token.
func Verify(ctx context.Context, net wire.Client, p provider.OAuth, t Issued) error {
	c, err := parse(t.ID)
	if err != nil {
		return err
	}
	if err := c.check(p, t.Nonce); err != nil {
		return err
	}
	if err := c.checkTimes(time.Now()); err != nil {
		return err
	}
	keys, err := fetch(ctx, net, p.JWKSURI)
	if err != nil {
		return err
	}
	verified, err := oidc.NewVerifier(p.Issuer, keys, &oidc.Config{
		ClientID:             p.ClientID,
		SupportedSigningAlgs: algorithms(p),
		Now:                  func() time.Time { return time.Now().Add(-skew) },
	}).Verify(ctx, t.ID.Reveal())
	if err != nil {
		return invalid("it is not signed with a key of the server") // go-oidc's text quotes claims
	}
	if verified.AccessTokenHash != "" && verified.VerifyAccessToken(t.Access.Reveal()) != nil {
		return invalid("at_hash is of another access token")
	}
	return nil
}

// algorithms are those that p's server may sign with.
func algorithms(p provider.OAuth) []string {
	if len(p.IDTokenAlgs) == 0 {
		return []string{oidc.RS256}
	}
	return p.IDTokenAlgs
}

// Renewed returns nil if an ID token that came with a refresh is of the same
// server and for the same client (OpenID Connect Core §12.2). Its signature is
// not looked at: it came from the token endpoint over TLS, and nothing may stand
// between that answer and the keychain, another request least of all. Nor are its
// times: a clock that is wrong here would cost each renewal its access token.
func Renewed(p provider.OAuth, id secret.Text) error {
	c, err := parse(id)
	if err != nil {
		return err
	}
	return c.check(p, secret.Text{})
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// claims are the members of a token's payload, each there once.
type claims map[string]json.RawMessage

func parse(token secret.Text) (claims, error) {
	if token.Empty() {
		return nil, invalid("there is none")
	}
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return nil, invalid("it is not a signed token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, invalid("its payload is not base64")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid("its payload is not an object")
	}
	c := claims{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return nil, invalid("its payload is not JSON")
		}
		if _, repeated := c[name.(string)]; repeated { // the decoder allows nothing else in its place
			return nil, invalid("it has a claim twice")
		}
		c[name.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid("its payload is not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("its payload is not JSON")
	}
	return c, nil
}

// check applies the rules of §3.1.3.7 but for the signature and the times.
func (c claims) check(p provider.OAuth, nonce secret.Text) error {
	if iss, ok := c.text("iss"); !ok || iss != p.Issuer {
		return invalid("iss is not this server")
	}
	if sub, ok := c.text("sub"); !ok || sub == "" || len(sub) > maxSub || strings.ContainsFunc(sub, func(r rune) bool { return r > 0x7e || r < 0x20 }) {
		return invalid("sub is missing, or is none")
	}
	if err := c.checkAudience(p.ClientID); err != nil {
		return err
	}
	if !nonce.Empty() {
		if got, ok := c.text("nonce"); !ok || !nonce.Equal(secret.New(got)) {
			return invalid("nonce is that of another sign-in")
		}
	}
	return nil
}

// checkAudience: the token is for us, and if it is for others as well then it was
// issued to us.
func (c claims) checkAudience(client string) error {
	aud, ok := c.list("aud")
	azp, hasAZP := c.text("azp")
	switch {
	case !ok || !slices.Contains(aud, client):
		return invalid("aud is another client")
	case c["azp"] != nil && (!hasAZP || azp != client):
		return invalid("azp is another client")
	case len(aud) > 1 && !hasAZP:
		return invalid("aud has others besides, and no azp")
	}
	return nil
}

func (c claims) checkTimes(now time.Time) error {
	exp, ok := c.time("exp")
	if !ok {
		return invalid("exp is missing")
	}
	if now.After(exp.Add(skew)) {
		return invalid("it has expired, or the clock of this machine is ahead")
	}
	iat, ok := c.time("iat")
	if !ok {
		return invalid("iat is missing")
	}
	if iat.After(now.Add(early)) {
		return invalid("iat is in the future, or the clock of this machine is behind")
	}
	if iat.Before(now.Add(-oldest)) {
		return invalid("iat is too long ago")
	}
	if nbf := c["nbf"]; nbf != nil && string(nbf) != "null" {
		if from, ok := c.time("nbf"); !ok || from.After(now.Add(early)) {
			return invalid("nbf is in the future, or the clock of this machine is behind")
		}
	}
	return nil
}

func (c claims) text(name string) (string, bool) {
	var s *string
	err := json.Unmarshal(c[name], &s)
	if err != nil || s == nil {
		return "", false
	}
	return *s, true
}

// list is a string, or a list of them.
func (c claims) list(name string) ([]string, bool) {
	if s, ok := c.text(name); ok {
		return []string{s}, true
	}
	var all []string
	err := json.Unmarshal(c[name], &all)
	return all, err == nil
}

// time is a NumericDate (RFC 7519 §2), which may have a fraction.
func (c claims) time(name string) (time.Time, bool) {
	const farthest = 1 << 40 // 36812 AD
	f, err := strconv.ParseFloat(string(c[name]), 64)
	if err != nil || f < 0 || f > farthest {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
