//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// chatHost is the name of the real server.
const chatHost = "auth.openai.com"

// chatGPT stands in for auth.openai.com, as Codex 0.169 was seen to use it: the
// registered client and redirects, answers without expires_in, refresh tokens that
// are good once, three refresh errors, its own device login, JSON revocation.
type chatGPT struct {
	t  *testing.T
	ca []byte // PEM

	mu      sync.Mutex // guards all below
	codes   map[string]chatCode
	device  string // the device_auth_id that waits
	user    string // its code
	granted bool   // somebody entered it
	polls   int
	refresh map[string]bool // false when spent
	refuse  string          // the code with which refreshes are refused
	closed  bool            // nobody may sign in with a code
	revoked []map[string]string
	issued  []string // every secret
	odd     []string // what the real server would not have taken
}

type chatCode struct{ redirect, challenge string }

const chatDeviceRedirect = "https://" + chatHost + "/deviceauth/callback"

// startChatGPT serves it on the port that https has.
func startChatGPT(t *testing.T) *chatGPT {
	t.Helper()
	s := &chatGPT{t: t, codes: map[string]chatCode{}, refresh: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/authorize", s.authorize)
	mux.HandleFunc("POST /oauth/token", s.token)
	mux.HandleFunc("POST /oauth/revoke", s.revoke)
	mux.HandleFunc("POST /api/accounts/deviceauth/usercode", s.userCode)
	mux.HandleFunc("POST /api/accounts/deviceauth/token", s.poll)
	server := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.certify()}}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var served sync.WaitGroup
	served.Go(func() { _ = server.ServeTLS(l, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
	})
	return s
}

// certify makes an authority of its own and a certificate for the host.
func (s *chatGPT) certify() tls.Certificate {
	s.t.Helper()
	sign := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			s.t.Fatal(err)
		}
		return der, key
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root, rootKey := sign(authority, authority, nil)
	leaf, key := sign(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{chatHost}}, authority, rootKey)
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key}
}

// expect notes what the real server would not take.
func (s *chatGPT) expect(ok bool, format string, args ...any) {
	if !ok {
		s.odd = append(s.odd, fmt.Sprintf(format, args...))
	}
}

func (s *chatGPT) secret(kind string) string {
	text := kind + rand.Text()
	s.issued = append(s.issued, text)
	return text
}

const chatClient = "app_EMoamEEZ73f0CkXaXp7hrann"

func (s *chatGPT) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	redirect := q.Get("redirect_uri")
	s.expect(slices.Contains([]string{"http://localhost:1455/auth/callback", "http://localhost:1457/auth/callback"}, redirect), "redirect_uri %s", redirect)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": chatClient, "code_challenge_method": "S256", "scope": "openid profile email offline_access",
		"id_token_add_organizations": "true", "codex_cli_simplified_flow": "true",
	} {
		s.expect(q.Get(name) == want, "%s is %q", name, q.Get(name))
	}
	code := s.secret("ac_")
	s.codes[code] = chatCode{redirect, q.Get("code_challenge")}
	http.Redirect(w, r, redirect+"?"+url.Values{"code": {code}, "state": {q.Get("state")}, "scope": {q.Get("scope")}}.Encode(), http.StatusFound)
}

func (s *chatGPT) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := chatParams(r)
	s.expect(p["client_id"] == chatClient, "client_id %q", p["client_id"])
	switch p["grant_type"] {
	case "authorization_code":
		c, ok := s.codes[p["code"]]
		delete(s.codes, p["code"])
		sum := sha256.Sum256([]byte(p["code_verifier"]))
		s.issued = append(s.issued, p["code_verifier"])
		if !ok || c.redirect != p["redirect_uri"] || c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			chatAnswer(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"code": "token_exchange_user_error", "message": "Invalid code"}})
			return
		}
	case "refresh_token":
		good, known := s.refresh[p["refresh_token"]]
		refuse := s.refuse
		if !good && refuse == "" {
			refuse = "refresh_token_reused"
			s.expect(known, "an unknown refresh token")
		}
		if refuse != "" {
			chatAnswer(w, http.StatusUnauthorized, map[string]any{"error": map[string]string{"code": refuse, "message": "Your refresh token cannot be used.", "type": "invalid_request_error"}})
			return
		}
		s.refresh[p["refresh_token"]] = false
	default:
		s.expect(false, "grant_type %q", p["grant_type"])
	}
	chatAnswer(w, http.StatusOK, s.issue())
}

// issue is an answer of the token endpoint; when the token ends is in the token.
func (s *chatGPT) issue() map[string]any {
	claims := map[string]any{
		"iss": "https://" + chatHost, "aud": []string{"https://api.openai.com/v1"}, "exp": time.Now().Add(10 * 24 * time.Hour).Unix(), "jti": rand.Text(),
		"https://api.openai.com/auth":    map[string]string{"chatgpt_account_id": "acct-e2e-1", "chatgpt_plan_type": "plus"},
		"https://api.openai.com/profile": map[string]any{"email": "ada@example.org", "email_verified": true},
	}
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jwt := func() string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + "." + s.secret("sig")
	}
	refresh := s.secret("rt_")
	s.refresh[refresh] = true
	return map[string]any{"id_token": jwt(), "access_token": jwt(), "refresh_token": refresh}
}

func (s *chatGPT) userCode(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect(chatParams(r)["client_id"] == chatClient && r.Header.Get("Content-Type") == "application/json", "the request for a code")
	if s.closed {
		http.NotFound(w, r)
		return
	}
	s.device, s.user, s.granted, s.polls = s.secret("deviceauth_"), rand.Text()[:4]+"-"+rand.Text()[:5], false, 0
	chatAnswer(w, http.StatusOK, map[string]any{"device_auth_id": s.device, "user_code": s.user, "interval": "1"})
}

// poll says 403 and 404 in turn until somebody has entered the code.
func (s *chatGPT) poll(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := chatParams(r)
	s.expect(p["device_auth_id"] == s.device && p["user_code"] == s.user, "a poll of another code")
	if s.polls++; !s.granted || s.polls < 3 {
		w.WriteHeader(http.StatusForbidden + s.polls%2) // 404 first
		return
	}
	verifier, code := s.secret("")+rand.Text(), s.secret("ac_")
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	s.codes[code] = chatCode{chatDeviceRedirect, challenge}
	chatAnswer(w, http.StatusOK, map[string]any{"authorization_code": code, "code_challenge": challenge, "code_verifier": verifier})
}

func (s *chatGPT) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect(r.Header.Get("Content-Type") == "application/json", "a revocation that is no JSON")
	s.revoked = append(s.revoked, chatParams(r))
	w.WriteHeader(http.StatusOK)
}

// chatParams reads a form or a JSON object, as the request says.
func chatParams(r *http.Request) map[string]string {
	p := map[string]string{}
	if r.Header.Get("Content-Type") == "application/json" {
		_ = json.NewDecoder(r.Body).Decode(&p)
		return p
	}
	_ = r.ParseForm()
	for name := range r.PostForm {
		p[name] = r.PostForm.Get(name)
	}
	return p
}

func chatAnswer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// enter is the person on the page for codes.
func (s *chatGPT) enter(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect(code == s.user, "the code %q is not the one that was given out", code)
	s.granted = true
}

// set changes how the server is.
func (s *chatGPT) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// browser follows the sign-in page to where it leads, which must be the callback.
func (s *chatGPT) browser(page string) (callback string) {
	s.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca)
	c := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Get(page)
	if err != nil {
		s.t.Fatalf("opening the sign-in page: %v", err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	callback = res.Header.Get("Location")
	if !strings.HasPrefix(callback, "http://localhost:") {
		s.t.Fatalf("the sign-in page answered %s", res.Status)
	}
	return callback
}
