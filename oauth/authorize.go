package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const maxURL = 8 << 10

// ErrBrowserURL is returned for a URL that must not be handed to a browser.
var ErrBrowserURL = errors.New("not a URL to open in a browser")

// authorizationURL builds the request of RFC 6749 §4.1.1 with RFC 7636, and with
// a nonce where there is one (OpenID Connect Core §3.1.2.1).
func authorizationURL(p provider.OAuth, redirect string, state, verifier, nonce secret.Text) (string, error) {
	u, err := url.Parse(p.AuthorizationEndpoint)
	if err != nil {
		return "", errors.New("parsing the authorization endpoint")
	}
	q := u.Query()
	for name, value := range p.AuthorizationParams {
		q.Set(name, value)
	}
	q.Set("response_type", "code")
	q.Set("client_id", p.ClientID)
	q.Set("redirect_uri", redirect)
	q.Set("state", state.Reveal())
	q.Set("code_challenge", challenge(verifier))
	q.Set("code_challenge_method", "S256")
	if !nonce.Empty() {
		q.Set("nonce", nonce.Reveal())
	}
	if len(p.Scopes) > 0 {
		q.Set("scope", strings.Join(p.Scopes, " "))
	}
	u.RawQuery = q.Encode()
	return u.String(), CheckBrowserURL(u.String())
}

// challenge is S256 of RFC 7636 §4.2.
func challenge(verifier secret.Text) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// redirectURI is sent in both legs, byte for byte the same.
func redirectURI(r provider.Redirect, port int) string {
	host := r.Host
	if host == "" {
		host = "127.0.0.1"
	}
	return "http://" + host + ":" + strconv.Itoa(port) + r.Path
}

// CheckBrowserURL returns [ErrBrowserURL] unless rawURL is https, or http to a
// loopback address, and made of characters that mean nothing to a shell's
// quoting or to a program's option parser: openers pass it on as they please.
func CheckBrowserURL(rawURL string) error {
	const legal = "-._~:/?#[]@!$&()*+,;=%" // RFC 3986 without the apostrophe
	odd := func(r rune) bool {
		return r > 0x7e || !isAlphanumeric(r) && !strings.ContainsRune(legal, r)
	}
	if len(rawURL) > maxURL || strings.ContainsFunc(rawURL, odd) {
		return ErrBrowserURL
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return ErrBrowserURL
	}
	if strings.HasPrefix(rawURL, "https://") {
		return nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if strings.HasPrefix(rawURL, "http://") && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
		return nil
	}
	return ErrBrowserURL
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
