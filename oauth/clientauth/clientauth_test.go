package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

func client(a provider.ClientAuth) provider.OAuth {
	return provider.OAuth{ClientID: "my client", TokenEndpoint: "https://as.test/token", ClientAuth: a}
}

func TestSecrets(t *testing.T) {
	for _, tt := range []struct {
		auth         provider.ClientAuth
		header, form string
	}{
		{"", "", "client_id=my+client"},
		{provider.Public, "", "client_id=my+client"},
		{provider.SecretPost, "", "client_id=my+client&client_secret=a%3Ab+%C3%A9"},
		// RFC 6749 §2.3.1: each half is form-encoded first.
		{provider.SecretBasic, "Basic bXkrY2xpZW50OmElM0FiKyVDMyVBOQ==", ""},
	} {
		form := url.Values{}
		header, err := clientauth.Add(client(tt.auth), form, secret.New("a:b é"))
		if err != nil || header != tt.header || form.Encode() != tt.form {
			t.Errorf("%q: %q, %q, %v", tt.auth, header, form.Encode(), err)
		}
	}
	for _, a := range []provider.ClientAuth{provider.SecretBasic, provider.SecretPost, provider.KeyJWT} {
		if _, err := clientauth.Add(client(a), url.Values{}, secret.Text{}); !errors.Is(err, clientauth.ErrMissing) {
			t.Errorf("%s without a secret: %v, want ErrMissing", a, err)
		}
	}
}

// keys are private keys as people have them, with what each signs with.
func keys(t *testing.T) map[string]jose.SignatureAlgorithm {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return text("PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(e)
	jwk := func(k jose.JSONWebKey) string {
		b, err := k.MarshalJSON()
		return string(b) + text("", nil, err)[:0]
	}
	return map[string]jose.SignatureAlgorithm{
		pkcs8(r): jose.RS256, pkcs8(e): jose.ES256, pkcs8(d): jose.EdDSA,
		text("EC PRIVATE KEY", sec1, err):                            jose.ES256,
		text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil): jose.RS256,
		jwk(jose.JSONWebKey{Key: r, KeyID: "k", Algorithm: "PS256"}): jose.PS256,
		jwk(jose.JSONWebKey{Key: e, KeyID: "k"}):                     jose.ES256,
	}
}

func TestAssertion(t *testing.T) {
	p := client(provider.KeyJWT)
	for text, alg := range keys(t) {
		key, err := clientauth.Clean(p, secret.New("\n"+text+"\n"))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		form := url.Values{}
		header, err := clientauth.Add(p, form, key)
		if err != nil || header != "" || form.Get("client_id") != "my client" ||
			form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Fatalf("%s: %q, %v, %v", alg, header, form, err)
		}
		sig, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{alg})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		var claims struct {
			Iss, Sub, Aud, JTI string
			Iat, Exp           int64
		}
		if err := json.Unmarshal(sig.UnsafePayloadWithoutVerification(), &claims); err != nil {
			t.Fatal(err)
		}
		now := time.Now().Unix()
		if claims.Iss != p.ClientID || claims.Sub != p.ClientID || claims.Aud != p.TokenEndpoint || len(claims.JTI) < 22 ||
			claims.Iat > now || claims.Exp <= now || claims.Exp > now+60 {
			t.Errorf("%s: claims %+v", alg, claims)
		}
	}
}

func TestWhatIsNoKey(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	public, err := (&jose.JSONWebKey{Key: curve.Public()}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	block := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	for name, text := range map[string]string{
		"a secret": "s3cret", "1024 bits": block(der), "P-384": block(other), "a public key": string(public),
		"a shared key": `{"kty":"oct","k":"AAAA"}`, "rubbish": "{", "two blocks": block(der) + block(der), "empty block": block(nil),
	} {
		if _, err := clientauth.Clean(client(provider.KeyJWT), secret.New(text)); !errors.Is(err, clientauth.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("s3cret\n", true)
	f.Add(`{"kty":"RSA"}`, true)
	f.Add("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", true)
	f.Fuzz(func(t *testing.T, text string, key bool) {
		p := client(provider.SecretBasic)
		if key {
			p = client(provider.KeyJWT)
		}
		clean, err := clientauth.Clean(p, secret.New(text))
		if err != nil {
			return
		}
		if again, err := clientauth.Clean(p, clean); err != nil || !again.Equal(clean) {
			t.Fatalf("not the same when cleaned again: %v", err)
		}
		if _, err := clientauth.Add(p, url.Values{}, clean); err != nil {
			t.Fatalf("of no use: %v", err)
		}
	})
}
