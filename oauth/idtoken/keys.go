package idtoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
)

const (
	maxKeys = 100
	minRSA  = 2048 // bits
)

var errNoKey = errors.New("no key fits")

// keySet are the public keys of a server. It is an [oidc.KeySet] that takes a
// token without a key id only if a single key can be meant (Core §10.1).
type keySet []jose.JSONWebKey

// fetch gets a server's keys, once.
func fetch(ctx context.Context, net wire.Client, uri string) (keySet, error) {
	answer, err := net.Get(ctx, uri, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if !answer.OK() {
		return nil, fmt.Errorf("%w: the server answered with status %d", ErrKeys, answer.Status)
	}
	return parseKeys(answer.Body)
}

// parseKeys keeps what can verify a signature and leaves out the rest.
func parseKeys(b []byte) (keySet, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(b, &set); err != nil || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: not a set of keys", ErrKeys)
	}
	var keys keySet
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		var purpose struct {
			Ops []string `json:"key_ops"` // which go-jose does not look at
		}
		if json.Unmarshal(raw, &purpose) != nil || purpose.Ops != nil && !slices.Contains(purpose.Ops, "verify") {
			continue
		}
		if k.UnmarshalJSON(raw) == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// VerifySignature implements [oidc.KeySet]. Keys within the token are not looked
// at, nor addresses of keys.
func (s keySet) VerifySignature(_ context.Context, token string) ([]byte, error) {
	var algs []jose.SignatureAlgorithm
	for _, a := range provider.Algorithms() {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	sig, err := jose.ParseSignedCompact(token, algs)
	if err != nil || len(sig.Signatures) != 1 {
		return nil, errNoKey
	}
	header := sig.Signatures[0].Header
	var fitting keySet
	for _, k := range s {
		if (header.KeyID == "" || k.KeyID == header.KeyID) && fits(k, header.Algorithm) {
			fitting = append(fitting, k)
		}
	}
	if header.KeyID == "" && len(fitting) > 1 {
		return nil, errNoKey
	}
	for _, k := range fitting {
		if payload, err := sig.Verify(k.Key); err == nil && salted(k, header.Algorithm, token, sig.Signatures[0].Signature) {
			return payload, nil
		}
	}
	return nil, errNoKey
}

// salted reports whether the salt of a PS256 signature has the length that it
// must have (RFC 7518 §3.5); go-jose takes any.
func salted(k jose.JSONWebKey, alg, token string, signature []byte) bool {
	key, ok := k.Key.(*rsa.PublicKey)
	if !ok || alg != "PS256" {
		return true
	}
	sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	return rsa.VerifyPSS(key, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// fits reports whether a key is made for that algorithm, and strong enough.
func fits(k jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return (alg == "RS256" || alg == "PS256") && key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return alg == "ES256" && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
