// Package clientauth proves a confidential client to its token endpoint: with a
// secret (RFC 6749 §2.3.1) or a signature (RFC 7523). It keeps nothing; where the
// secret or key comes from is the caller's business.
package clientauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

var (
	// ErrMissing means that a client that has to prove itself has nothing to do it
	// with.
	ErrMissing = errors.New("the client's secret is missing")
	// ErrSecret means that a text cannot be a secret.
	ErrSecret = errors.New("not a client's secret: that is printable ASCII, in one line")
	// ErrKey means that a text cannot be a key.
	ErrKey = errors.New("not a private key: an RSA key of 2048 bits, P-256 or Ed25519, as PEM (PKCS #8) or JWK")
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// life of an assertion: it is used at once.
	life      = time.Minute
	minRSA    = 2048 // bits
	maxSecret = 8 << 10
)

// Clean returns what was typed, pasted or read from a file as the secret or key
// that p needs, or [ErrMissing], [ErrSecret] or [ErrKey].
func Clean(p provider.OAuth, text secret.Text) (secret.Text, error) {
	s := strings.TrimSpace(text.Reveal())
	if s == "" {
		return secret.Text{}, ErrMissing
	}
	if p.ClientAuth == provider.KeyJWT {
		_, err := parseKey(s)
		return secret.New(s), err
	}
	if len(s) > maxSecret || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return secret.Text{}, ErrSecret
	}
	return secret.New(s), nil
}

// Add puts into a request's form what tells the server who asks, and returns the
// value of its Authorization header, if there is to be one.
func Add(p provider.OAuth, form url.Values, key secret.Text) (header string, err error) {
	if p.ClientAuth.Confidential() && key.Empty() {
		return "", ErrMissing
	}
	switch p.ClientAuth {
	case provider.SecretBasic:
		pair := url.QueryEscape(p.ClientID) + ":" + url.QueryEscape(key.Reveal())
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), nil
	case provider.SecretPost:
		form.Set("client_secret", key.Reveal())
	case provider.KeyJWT:
		assertion, err := sign(p, key, time.Now())
		if err != nil {
			return "", err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	form.Set("client_id", p.ClientID)
	return "", nil
}

// sign makes the assertion of RFC 7523 §2.2: good once, for a minute, at this
// server.
func sign(p provider.OAuth, key secret.Text, now time.Time) (string, error) {
	k, err := parseKey(key.Reveal())
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm(k), Key: k}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", ErrKey
	}
	payload, err := json.Marshal(map[string]any{
		"iss": p.ClientID, "sub": p.ClientID, "aud": p.TokenEndpoint, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", ErrKey
	}
	return signed.CompactSerialize()
}

// parseKey reads a JWK, or PEM with PKCS #8 or one of its predecessors.
func parseKey(s string) (jose.JSONWebKey, error) {
	var k jose.JSONWebKey
	if strings.HasPrefix(s, "{") {
		if k.UnmarshalJSON([]byte(s)) != nil || !k.Valid() || k.IsPublic() {
			return jose.JSONWebKey{}, ErrKey
		}
	} else {
		key, err := parsePEM(s)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		k = jose.JSONWebKey{Key: key}
	}
	if algorithm(k) == "" || k.Algorithm != "" && k.Algorithm != string(algorithm(k)) {
		return jose.JSONWebKey{}, ErrKey
	}
	return k, nil
}

func parsePEM(s string) (crypto.PrivateKey, error) {
	block, rest := pem.Decode([]byte(s))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, ErrKey
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, ErrKey
}

// algorithm is what a key signs with; empty if with nothing that is known here.
func algorithm(k jose.JSONWebKey) jose.SignatureAlgorithm {
	switch key := k.Key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() >= minRSA {
			if k.Algorithm == string(jose.PS256) {
				return jose.PS256
			}
			return jose.RS256
		}
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return jose.ES256
		}
	case ed25519.PrivateKey:
		return jose.EdDSA
	}
	return ""
}
