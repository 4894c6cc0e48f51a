package idtoken_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const access = "the access token"

// issuer signs ID tokens, and publishes the keys that it is told to.
type issuer struct {
	p    provider.OAuth
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
	keys []jose.JSONWebKey // published
}

// rsaKeys are made once: they take long.
var rsaKeys = sync.OnceValue(func() [3]*rsa.PrivateKey {
	var keys [3]*rsa.PrivateKey
	for i, bits := range []int{2048, 2048, 1024} {
		keys[i] = must(rsa.GenerateKey(rand.Reader, bits))
	}
	return keys
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	_, ed := must2(ed25519.GenerateKey(rand.Reader))
	i := &issuer{rsa: rsaKeys()[0], ec: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), ed: ed}
	i.publish(i.rsa.Public(), "r")
	i.publish(i.ec.Public(), "e")
	i.publish(i.ed.Public(), "d")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	}))
	tb.Cleanup(srv.Close)
	i.p = provider.OAuth{
		Issuer: "https://as.test", ClientID: "me", JWKSURI: srv.URL,
		IDTokenAlgs: provider.Algorithms(),
	}
	return i
}

func must2[T, U any](t T, u U, err error) (T, U) { return t, must(u, err) }

func (i *issuer) publish(key crypto.PublicKey, kid string) {
	i.keys = append(i.keys, jose.JSONWebKey{Key: key, KeyID: kid})
}

// good are the claims of a token that is taken.
func good() map[string]any {
	now := time.Now().Unix()
	sum := sha256.Sum256([]byte(access))
	return map[string]any{
		"iss": "https://as.test", "aud": "me", "sub": "ada", "nonce": "n-1", "iat": now, "exp": now + 600,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
}

func with(name string, value any) map[string]any {
	c := good()
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// sign makes a token with the header that go-jose gives it, and a key id if there
// is one.
func sign(alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	opts := &jose.SignerOptions{}
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts))
	return must(must(s.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// forge puts another header before a signed token.
func forge(header, token string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// spoil changes the signature.
func spoil(token string) string {
	at := strings.LastIndexByte(token, '.') + 5
	c := byte('A')
	if token[at] == c {
		c = 'B'
	}
	return token[:at] + string(c) + token[at+1:]
}

func (i *issuer) verify(t *testing.T, token string) error {
	t.Helper()
	return idtoken.Verify(t.Context(), wire.Client{}, i.p, idtoken.Issued{
		ID: secret.New(token), Access: secret.New(access), Nonce: secret.New("n-1"),
	})
}

// TestConformanceIDToken are the modules of the OpenID Foundation's client suite
// that are about ID tokens in the code flow, by name, and the lines of OpenID
// Connect Core §3.1.3.7 that it does not have.
func TestConformanceIDToken(t *testing.T) {
	now := time.Now().Unix()
	rs := func(claims map[string]any) func(*issuer) string {
		return func(i *issuer) string { return sign(jose.RS256, i.rsa, "r", claims) }
	}
	for _, tt := range []struct {
		module string
		token  func(*issuer) string
		accept bool
	}{
		{"oidcc-client-test", rs(good()), true},
		{"oidcc-client-test-idtoken-sig-rs256", rs(good()), true},
		{"oidcc-client-test-idtoken-sig-ps256", func(i *issuer) string { return sign(jose.PS256, i.rsa, "r", good()) }, true},
		{"oidcc-client-test-idtoken-sig-es256", func(i *issuer) string { return sign(jose.ES256, i.ec, "e", good()) }, true},
		{"oidcc-client-test-idtoken-sig-eddsa", func(i *issuer) string { return sign(jose.EdDSA, i.ed, "d", with("at_hash", nil)) }, true},
		// The suite lets a client take it if it asked for it; this one never does.
		{"oidcc-client-test-idtoken-sig-none", func(*issuer) string {
			return forge(`{"alg":"none"}`, "x."+base64.RawURLEncoding.EncodeToString(must(json.Marshal(good())))+".")
		}, false},
		{"oidcc-client-test-invalid-null-alg", func(i *issuer) string { return forge(`{"alg":null}`, sign(jose.RS256, i.rsa, "r", good())) }, false},
		{"oidcc-client-test-invalid-sig-rs256", func(i *issuer) string { return spoil(sign(jose.RS256, i.rsa, "r", good())) }, false},
		{"oidcc-client-test-invalid-sig-es256", func(i *issuer) string { return spoil(sign(jose.ES256, i.ec, "e", good())) }, false},
		{"oidcc-client-test-invalid-sig-hs256", func(*issuer) string {
			return sign(jose.HS256, []byte(strings.Repeat("k", 32)), "", good())
		}, false},
		{"the public key as a shared one", func(i *issuer) string {
			return sign(jose.HS256, must(json.Marshal(i.keys[0])), "r", good())
		}, false},
		{"oidcc-client-test-invalid-signature", func(*issuer) string { return sign(jose.RS256, rsaKeys()[1], "r", good()) }, false},
		{"oidcc-client-test-invalid-alternate-alg", func(i *issuer) string {
			i.p.IDTokenAlgs = []string{"RS256"}
			return sign(jose.ES256, i.ec, "e", good())
		}, false},
		{"RS256 where nothing is said", func(i *issuer) string {
			i.p.IDTokenAlgs = nil
			return sign(jose.PS256, i.rsa, "r", good())
		}, false},
		{"oidcc-client-test-kid-absent-single-jwks", func(i *issuer) string {
			i.keys = i.keys[:1]
			return sign(jose.RS256, i.rsa, "", good())
		}, true},
		{"oidcc-client-test-kid-absent-multiple-jwks", func(i *issuer) string {
			i.publish(rsaKeys()[1].Public(), "r2")
			return sign(jose.RS256, i.rsa, "", good())
		}, false},
		{"kid of nobody", func(i *issuer) string { return sign(jose.RS256, i.rsa, "x", good()) }, false},
		{"rp-key-rotation-op-sign-key", func(i *issuer) string {
			i.keys = nil
			i.publish(rsaKeys()[1].Public(), "r2")
			return sign(jose.RS256, rsaKeys()[1], "r2", good())
		}, true},
		{"rp-discovery-jwks_uri-keys (each of them)", func(i *issuer) string { return sign(jose.ES256, i.ec, "e", good()) }, true},
		{"rp-discovery-jwks_uri-keys (of another's address)", func(i *issuer) string {
			i.p.JWKSURI = newIssuer(t).p.JWKSURI
			i.keys = nil
			i.publish(rsaKeys()[1].Public(), "r2")
			return sign(jose.RS256, rsaKeys()[1], "r2", good())
		}, false},
		{"a key that was withdrawn", func(i *issuer) string {
			i.keys = i.keys[1:]
			return sign(jose.RS256, i.rsa, "r", good())
		}, false},
		{"key for encryption", func(i *issuer) string {
			i.keys[0].Use = "enc"
			return sign(jose.RS256, i.rsa, "r", good())
		}, false},
		{"key for another algorithm", func(i *issuer) string {
			i.keys[0].Algorithm = "PS256"
			return sign(jose.RS256, i.rsa, "r", good())
		}, false},
		{"key of 1024 bits", func(i *issuer) string {
			i.publish(rsaKeys()[2].Public(), "weak")
			return sign(jose.RS256, rsaKeys()[2], "weak", good())
		}, false},
		{"a private key is published", func(i *issuer) string {
			i.keys = []jose.JSONWebKey{{Key: i.ec, KeyID: "e"}}
			return sign(jose.ES256, i.ec, "e", good())
		}, false},
		{"key in the token", func(*issuer) string {
			s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}, &jose.SignerOptions{EmbedJWK: true}))
			return must(must(s.Sign(must(json.Marshal(good())))).CompactSerialize())
		}, false},
		{"crit that nobody knows", func(i *issuer) string {
			s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.ec}, (&jose.SignerOptions{}).WithHeader("kid", "e").WithHeader("crit", []string{"x"}).WithHeader("x", true)))
			return must(must(s.Sign(must(json.Marshal(good())))).CompactSerialize())
		}, false},
		{"oidcc-client-test-invalid-iss", rs(with("iss", "https://other.test")), false},
		{"iss with a slash", rs(with("iss", "https://as.test/")), false},
		{"oidcc-client-test-missing-iss", rs(with("iss", nil)), false},
		{"oidcc-client-test-invalid-aud", rs(with("aud", "you")), false},
		{"oidcc-client-test-missing-aud", rs(with("aud", nil)), false},
		{"oidcc-client-test-invalid-secondary-aud", rs(with("aud", []string{"me", "you"})), false},
		{"oidcc-client-test-valid-aud-as-array", rs(with("aud", []string{"me"})), true},
		{"two audiences, issued to us", rs(func() map[string]any {
			c := with("aud", []string{"me", "you"})
			c["azp"] = "me"
			return c
		}()), true},
		{"azp of another client", rs(with("azp", "you")), false},
		{"azp that is no text", rs(with("azp", 1)), false},
		{"oidcc-client-test-missing-iat", rs(with("iat", nil)), false},
		{"oidcc-client-test-iat-is-week-in-past", rs(with("iat", now-8*86400)), false},
		{"iat an hour ahead", rs(with("iat", now+3600)), false},
		{"iat a minute ahead", rs(with("iat", now+60)), true},
		{"oidcc-client-test-missing-sub", rs(with("sub", nil)), false},
		{"empty sub", rs(with("sub", "")), false},
		{"long sub", rs(with("sub", strings.Repeat("x", 256))), false},
		{"oidcc-client-test-invalid-expired-exp", rs(with("exp", now-300)), false},
		{"expired within the skew", rs(with("exp", now-20)), true},
		{"oidcc-client-test-invalid-missing-exp", rs(with("exp", nil)), false},
		{"exp that overflows", rs(with("exp", json.RawMessage("1e300"))), false},
		{"times with fractions", rs(with("exp", float64(now)+600.5)), true},
		{"oidcc-client-test-nonce-invalid", rs(with("nonce", "n-2")), false},
		{"oidcc-client-test-invalid-missing-nonce", rs(with("nonce", nil)), false},
		{"oidcc-client-test-missing-athash", rs(with("at_hash", nil)), true}, // optional in the code flow
		{"oidcc-client-test-invalid-athash", rs(with("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")), false},
		{"not yet valid", rs(with("nbf", now+3600)), false},
		{"no token", func(*issuer) string { return "" }, false},
		{"two parts", func(*issuer) string { return "a.b" }, false},
		{"no object", func(*issuer) string { return "e30.W10.AA" }, false},
	} {
		t.Run(tt.module, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			token := tt.token(i)
			err := i.verify(t, token)
			if tt.accept && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tt.accept && !errors.Is(err, idtoken.ErrInvalid) {
				t.Errorf("err = %v, want ErrInvalid", err)
			}
			if err != nil && (strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "n-1")) {
				t.Errorf("the error quotes a claim: %v", err)
			}
		})
	}
}

func TestClaimTwice(t *testing.T) {
	i := newIssuer(t)
	claims := strings.TrimSuffix(string(must(json.Marshal(good()))), "}")
	s := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.ec}, (&jose.SignerOptions{}).WithHeader("kid", "e")))
	for _, twice := range []string{`,"sub":"eve"}`, `,"iss":"https://as.test"}`} {
		token := must(must(s.Sign([]byte(claims + twice))).CompactSerialize())
		if err := i.verify(t, token); !errors.Is(err, idtoken.ErrInvalid) {
			t.Errorf("%s: %v", twice, err)
		}
	}
}

func TestKeysThatCannotBeHad(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"error": http.NotFound,
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.test", http.StatusFound)
		},
		"rubbish": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"many": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`))
		},
		"long": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 257<<10)) },
	} {
		i := newIssuer(t)
		srv := httptest.NewServer(answer)
		i.p.JWKSURI = srv.URL
		if err := i.verify(t, sign(jose.RS256, i.rsa, "r", good())); !errors.Is(err, idtoken.ErrKeys) {
			t.Errorf("%s: %v, want ErrKeys", name, err)
		}
		srv.Close()
	}
}

// TestKeysBesideOthers: a key of a kind that nobody knows does not hide the rest.
func TestKeysBesideOthers(t *testing.T) {
	i := newIssuer(t)
	known := must(i.keys[1].MarshalJSON())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"XYZ"},{"kty":"oct","k":"AAAA"},` + string(known) + `]}`))
	}))
	defer srv.Close()
	i.p.JWKSURI = srv.URL
	if err := i.verify(t, sign(jose.ES256, i.ec, "e", good())); err != nil {
		t.Error(err)
	}
}

func TestRenewed(t *testing.T) {
	i := newIssuer(t)
	for name, tt := range map[string]struct {
		claims map[string]any
		ok     bool
	}{
		"the same":       {with("nonce", nil), true},
		"with its nonce": {good(), true},
		"another server": {with("iss", "https://other.test"), false},
		"another client": {with("aud", "you"), false},
		"no subject":     {with("sub", nil), false},
		// A clock that is wrong here must not cost every renewal its token.
		"of another time": {with("exp", 1), true},
		"without times":   {with("iat", nil), true},
	} {
		err := idtoken.Renewed(i.p, secret.New(sign(jose.RS256, i.rsa, "r", tt.claims)))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ruled are the claims that there are rules for.
var ruled = []string{"iss", "aud", "azp", "sub", "nonce", "iat", "exp", "at_hash", "nbf"}

// FuzzIDTokenClaims puts another value in place of one claim of a good token, and
// signs it: it must be refused exactly if that breaks the claim's rule.
func FuzzIDTokenClaims(f *testing.F) {
	i := newIssuer(f)
	i.p.IDTokenAlgs = []string{"ES256"}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.ec}, (&jose.SignerOptions{}).WithHeader("kid", "e")))
	for n := range ruled {
		for _, value := range []string{`null`, `""`, `"you"`, `["me"]`, `["me","you"]`, `0`, `1e400`, `-1`, `{}`, `"me"`, `"n-1"`} {
			f.Add(uint(n), value)
		}
	}
	f.Fuzz(func(t *testing.T, n uint, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		name, claims := ruled[n%uint(len(ruled))], good()
		before := claims[name]
		claims[name] = json.RawMessage(value)
		token := must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
		err := i.verify(t, token)
		if err != nil && !errors.Is(err, idtoken.ErrInvalid) {
			t.Fatalf("%s = %s: %v", name, value, err)
		}
		if want := allowed(name, value, before); (err == nil) != want {
			t.Fatalf("%s = %s: %v, want acceptance %v", name, value, err, want)
		}
	})
}

// allowed says, by other means than the code, whether a claim may have a value;
// good is the one of the good token.
func allowed(name, value string, good any) bool {
	var v any
	if json.Unmarshal([]byte(value), &v) != nil {
		return false // a number that is none
	}
	s, isText := v.(string)
	n, isNumber := v.(float64)
	list, _ := v.([]any)
	now := float64(time.Now().Unix())
	return map[string]bool{
		"iss":     isText && s == good,
		"nonce":   isText && s == good,
		"at_hash": v == nil || isText && s == "" || isText && s == good,
		"azp":     isText && s == "me",
		"aud":     isText && s == "me" || slices.Equal(list, []any{"me"}),
		"sub":     isText && s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }),
		"iat":     isNumber && n >= now-7*86400+2 && n <= now+298,
		"exp":     isNumber && n >= now-58 && n <= 1<<40,
		"nbf":     v == nil || isNumber && n >= 0 && n <= now+238,
	}[name]
}
