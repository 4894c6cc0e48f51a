//go:build linux

package clients

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// hosts are the names that lead to vendors in the tests' network, where no other
// name leads anywhere.
var hosts = []string{
	"auth.openai.com", "chatgpt.com", "api.openai.com", "api.anthropic.com", "platform.claude.com",
	"generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com",
}

// vendorSays is the answer of every model.
const vendorSays = "RIG-HELLO"

// vendors are OpenAI's authorization server and the models of OpenAI, Anthropic
// and Google, as far as their own clients can tell them from the real ones. Refresh
// tokens rotate; one that comes twice ends its login. An access token that has
// expired, is outdated or unknown gets 401.
type vendors struct {
	ca string // a file

	mu       sync.Mutex // guards all below
	lifetime time.Duration
	codes    map[string]authorization
	refresh  map[string]*grant
	bearers  map[string]time.Time // tokens and keys that models take, and until when
	refuse   int                  // so many questions get 401, whatever they bring
	meet     func()               // is called before the next 401, once
	issued   int
	log      []request
}

// authorization is what came with the question for a code.
type authorization struct{ challenge, redirect string }

// grant is one login.
type grant struct {
	current string // the refresh token that is good
	access  string // the latest access token
	revoked bool
}

// request is one that the vendors got, and what became of it.
type request struct {
	Method, Host, Path, Agent string
	Secret                    string `json:"-"` // the bearer token, or the key
	With                      string // a few letters that tell secrets apart
	Status                    int
	Note                      string `json:",omitempty"`
}

// startVendors listens where the clients look for the real ones.
func startVendors(t *testing.T, dir string) *vendors {
	t.Helper()
	v := &vendors{
		ca: filepath.Join(dir, "ca.pem"), lifetime: time.Hour,
		codes: map[string]authorization{}, refresh: map[string]*grant{}, bearers: map[string]time.Time{},
	}
	l, err := tls.Listen("tcp", "127.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{certificate(t, v.ca)}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: v, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)} // a client that hangs up is no news
	go s.Serve(l)
	t.Cleanup(func() {
		s.Close()
		if !t.Failed() {
			return
		}
		for _, q := range v.requests("") {
			if q.Status != http.StatusNotFound {
				line, _ := json.Marshal(q)
				t.Logf("%s", line)
			}
		}
	})
	return v
}

// certificate makes one for all hosts, and leaves that of its authority in the
// file: what Rust has of TLS takes none that is both.
func certificate(t *testing.T, file string) tls.Certificate {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := signed(t, authority, authority, nil)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, own := signed(t, leaf, authority, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
}

// signed makes a key and its certificate; without a signer it signs itself.
func signed(t *testing.T, c, authority *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// ServeHTTP implements [http.Handler].
func (v *vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := request{
		Method: r.Method, Host: r.Host, Path: r.URL.Path, Agent: r.UserAgent(),
		Secret: cmp.Or(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Api-Key"), r.Header.Get("X-Goog-Api-Key")),
	}
	sum := sha256.Sum256([]byte(q.Secret))
	q.With = hex.EncodeToString(sum[:3])
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<24)) // compressed, for some
	switch q.Status = http.StatusOK; {
	case r.Header.Get("Upgrade") != "":
		q.Status = http.StatusUpgradeRequired
		http.Error(w, "no websocket", q.Status)
	case r.Host == "auth.openai.com":
		q.Status, q.Note = v.authorize(w, r, string(body))
	case strings.HasSuffix(r.URL.Path, "/responses"), strings.HasSuffix(r.URL.Path, "/v1/messages"), strings.Contains(r.URL.Path, "enerateContent"):
		q.Status = v.ask(w, q, strings.Contains(string(body), `"stream":true`))
	case strings.HasSuffix(r.URL.Path, "/wham/accounts/check"):
		answer(w, q.Status, workspaces)
	case r.URL.Path == "/v1internal:loadCodeAssist":
		answer(w, q.Status, map[string]any{"currentTier": map[string]string{"id": "free-tier"}, "cloudaicompanionProject": "project-1"})
	default:
		q.Status = http.StatusNotFound
		answer(w, q.Status, map[string]any{"error": map[string]string{"message": "the tests have no such page"}})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.log = append(v.log, q)
}

// workspaces is where Codex asks which server an account belongs to.
var workspaces = map[string]any{
	"accounts": []any{map[string]any{
		"id": "acct-1", "account_id": "acct-1", "account_user_id": "user-1__acct-1", "name": "Personal", "structure": "personal", "plan_type": "plus",
		"is_default": true, "account_routing_override": "NO_CONSTRAINT", "workspace_backend_origin": "https://chatgpt.com",
	}},
	"account_ordering": []string{"acct-1"}, "default_account_id": "acct-1", "backend_origin": "https://chatgpt.com",
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// authorize is OpenAI's authorization server, where everybody is signed in.
func (v *vendors) authorize(w http.ResponseWriter, r *http.Request, body string) (status int, note string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r.URL.Path {
	case "/oauth/authorize":
		asked := r.URL.Query()
		code := rand.Text()
		v.codes[code] = authorization{asked.Get("code_challenge"), asked.Get("redirect_uri")}
		back := asked.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {asked.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
		return http.StatusFound, ""
	case "/oauth/token":
		said, refusal := v.grant(parameters(body))
		if refusal != "" {
			answer(w, http.StatusUnauthorized, map[string]any{"error": map[string]string{"message": "from the tests", "code": refusal}})
			return http.StatusUnauthorized, refusal
		}
		answer(w, http.StatusOK, said)
		return http.StatusOK, "issued"
	case "/oauth/revoke":
		if g := v.refresh[parameters(body)["token"]]; g != nil {
			g.revoked = true
			note = "login ended"
		}
		answer(w, http.StatusOK, struct{}{})
		return http.StatusOK, note
	}
	http.NotFound(w, r)
	return http.StatusNotFound, ""
}

// parameters reads the JSON that Codex sends, or a form.
func parameters(body string) map[string]string {
	all := map[string]string{}
	if json.Unmarshal([]byte(body), &all) == nil {
		return all
	}
	form, _ := url.ParseQuery(body)
	for name := range form {
		all[name] = form.Get(name)
	}
	return all
}

// grant answers the token endpoint, or names the error as OpenAI does.
func (v *vendors) grant(asked map[string]string) (said map[string]any, refusal string) {
	switch asked["grant_type"] {
	case "authorization_code":
		sum := sha256.Sum256([]byte(asked["code_verifier"]))
		want := authorization{base64.RawURLEncoding.EncodeToString(sum[:]), asked["redirect_uri"]}
		if v.codes[asked["code"]] != want {
			return nil, "invalid_grant"
		}
		delete(v.codes, asked["code"])
		return v.issue(&grant{}), ""
	case "refresh_token":
		g := v.refresh[asked["refresh_token"]]
		if g == nil || g.revoked {
			return nil, "refresh_token_invalidated"
		}
		if g.current != asked["refresh_token"] {
			g.revoked = true
			return nil, "refresh_token_reused"
		}
		return v.issue(g), ""
	}
	return nil, "unsupported_grant_type"
}

// issue makes the next tokens of a login. Nobody signed them.
func (v *vendors) issue(g *grant) map[string]any {
	v.issued++
	now := time.Now()
	expires := now.Add(v.lifetime)
	claims, _ := json.Marshal(map[string]any{
		"iss": "https://auth.openai.com", "aud": "https://api.openai.com/v1", "sub": "user-1",
		"iat": now.Unix(), "exp": expires.Unix(), "jti": strconv.Itoa(v.issued),
		"https://api.openai.com/auth":    map[string]any{"chatgpt_account_id": "acct-1", "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1"},
		"https://api.openai.com/profile": map[string]any{"email": "alice@example.test", "email_verified": true},
		"email":                          "alice@example.test",
	})
	encode := base64.RawURLEncoding.EncodeToString
	access := encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "." + encode([]byte("none"))
	g.current = "rt_" + rand.Text() + rand.Text()
	g.access = access
	v.refresh[g.current], v.bearers[access] = g, expires
	return map[string]any{
		"access_token": access, "id_token": access, "refresh_token": g.current,
		"token_type": "Bearer", "expires_in": int(v.lifetime.Seconds()), "scope": "openid profile email offline_access",
	}
}

// ask is every model.
func (v *vendors) ask(w http.ResponseWriter, q request, stream bool) (status int) {
	v.mu.Lock()
	ok := time.Now().Before(v.bearers[q.Secret]) && v.refuse == 0
	v.refuse = max(0, v.refuse-1)
	meet := v.meet
	if !ok {
		v.meet = nil
	}
	v.mu.Unlock()
	if !ok {
		if meet != nil {
			meet()
		}
		answer(w, http.StatusUnauthorized, map[string]any{
			"type": "error", "error": map[string]string{"type": "authentication_error", "message": "this token has expired", "code": "token_expired"},
		})
		return http.StatusUnauthorized
	}
	speak := gemini
	switch {
	case strings.HasPrefix(q.Path, "/v1internal"):
		speak = codeAssist
	case strings.HasSuffix(q.Path, "/responses"):
		speak = openai
	case strings.HasSuffix(q.Path, "/v1/messages"):
		speak = anthropic
	}
	speak(w, stream || strings.Contains(q.Path, ":stream"))
	return http.StatusOK
}

// events writes server-sent events, each with the name of its type.
func events(w http.ResponseWriter, all ...map[string]any) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range all {
		if name, ok := e["type"]; ok {
			fmt.Fprintf(w, "event: %s\n", name)
		}
		b, _ := json.Marshal(e)
		fmt.Fprintf(w, "data: %s\n\n", b)
	}
}

// openai is the Responses API.
func openai(w http.ResponseWriter, _ bool) {
	part := func(text string) map[string]any {
		return map[string]any{"type": "output_text", "text": text, "annotations": []any{}}
	}
	message := func(status string, content ...any) map[string]any {
		return map[string]any{"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": append([]any{}, content...)}
	}
	at := func(kind string, more map[string]any) map[string]any {
		e := map[string]any{"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": 0}
		maps.Copy(e, more)
		return e
	}
	whole := message("completed", part(vendorSays))
	events(w,
		map[string]any{"type": "response.created", "response": map[string]any{"id": "resp_1", "object": "response", "status": "in_progress", "output": []any{}}},
		at("response.output_item.added", map[string]any{"item": message("in_progress")}),
		at("response.content_part.added", map[string]any{"part": part("")}),
		at("response.output_text.delta", map[string]any{"delta": vendorSays}),
		at("response.output_text.done", map[string]any{"text": vendorSays}),
		at("response.output_item.done", map[string]any{"item": whole}),
		map[string]any{"type": "response.completed", "response": map[string]any{
			"id": "resp_1", "object": "response", "status": "completed", "output": []any{whole},
			"usage": map[string]any{"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
		}},
	)
}

// anthropic is the Messages API.
func anthropic(w http.ResponseWriter, stream bool) {
	text := map[string]any{"type": "text", "text": vendorSays}
	message := map[string]any{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "any", "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": map[string]int{"input_tokens": 1, "output_tokens": 1},
	}
	if !stream {
		message["content"], message["stop_reason"] = []any{text}, "end_turn"
		answer(w, http.StatusOK, message)
		return
	}
	events(w,
		map[string]any{"type": "message_start", "message": message},
		map[string]any{"type": "content_block_start", "index": 0, "content_block": map[string]string{"type": "text", "text": ""}},
		map[string]any{"type": "content_block_delta", "index": 0, "delta": map[string]string{"type": "text_delta", "text": vendorSays}},
		map[string]any{"type": "content_block_stop", "index": 0},
		map[string]any{"type": "message_delta", "delta": map[string]any{"stop_reason": "end_turn", "stop_sequence": nil}, "usage": map[string]int{"output_tokens": 1}},
		map[string]any{"type": "message_stop"},
	)
}

// geminiSaid is an answer of Google's.
var geminiSaid = map[string]any{
	"candidates":    []any{map[string]any{"content": map[string]any{"role": "model", "parts": []any{map[string]string{"text": vendorSays}}}, "finishReason": "STOP", "index": 0}},
	"usageMetadata": map[string]int{"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
	"modelVersion":  "any",
}

// gemini is Google's model for keys.
func gemini(w http.ResponseWriter, stream bool) { google(w, stream, geminiSaid) }

// codeAssist is the same for accounts.
func codeAssist(w http.ResponseWriter, stream bool) {
	google(w, stream, map[string]any{"response": geminiSaid, "traceId": "any"})
}

func google(w http.ResponseWriter, stream bool, said map[string]any) {
	if !stream {
		answer(w, http.StatusOK, said)
		return
	}
	events(w, said)
}

// know has the models take a key, or a token that is made elsewhere.
func (v *vendors) know(secret string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bearers[secret] = time.Now().Add(time.Hour)
}

// outdate has the models take a token no more. What happens then is before they say
// so for the first time.
func (v *vendors) outdate(secret string, then func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.bearers, secret)
	v.meet = then
}

// set changes how the vendors behave from now on.
func (v *vendors) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

// requests are those whose path ends so, in their order.
func (v *vendors) requests(suffix string) []request {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []request
	for _, q := range v.log {
		if strings.HasSuffix(q.Path, suffix) {
			found = append(found, q)
		}
	}
	return found
}

// refreshTokens are all that were issued.
func (v *vendors) refreshTokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []string
	for token := range v.refresh {
		all = append(all, token)
	}
	return all
}
