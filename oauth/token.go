package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const (
	maxAccessToken = 48 << 10
	maxLife        = 90 * 24 * time.Hour
	maxDepth       = 32
)

var errMalformed = errors.New("malformed JSON object")

// token reads a token response (RFC 6749 §5.1), strictly for use and tolerantly
// for what must not be lost.
func (r response) token(start time.Time, p provider.OAuth, secrets ...secret.Text) (Token, error) {
	body, broken := parseObject(r.body)
	if r.status < 200 || r.status > 299 {
		return Token{}, refusal(r, body, secrets...)
	}
	// The refresh token first: the one that was sent may be spent by now.
	t := Token{Refresh: body.legal("refresh_token")}
	if e := string(body.raw("error")); e != "" && e != "null" && e != `""` {
		return t, refusal(r, body, secrets...)
	}
	if r.broken != nil || broken != nil {
		return t, r.unusable(t, errors.Join(r.broken, broken))
	}
	if err := t.fill(body, start); err != nil {
		return t, r.unusable(t, err)
	}
	t.Account = accountOf(t, p.Identity)
	return t, nil
}

// unusable is the error for a 2xx answer that cannot be used.
func (r response) unusable(t Token, cause error) *Error {
	e := failure(statusOf(t), cause)
	e.Status = r.status
	return e
}

// statusOf tells whether an answer that cannot be used has renewed the login.
func statusOf(t Token) int {
	if !t.Refresh.Empty() {
		return statusRenewed
	}
	return statusUnreadable
}

// fill takes what is used at once; t is not changed if it returns an error.
func (t *Token) fill(body object, start time.Time) error {
	for _, name := range []string{"access_token", "refresh_token", "id_token", "token_type", "expires_in"} {
		if body.count(name) > 1 {
			return errNoContent
		}
	}
	access := body.legal("access_token")
	kind, ok := body.text("token_type")
	if access.Empty() || len(access.Reveal()) > maxAccessToken {
		return errNoContent
	}
	if (ok || body.has("token_type")) && !strings.EqualFold(kind, "bearer") {
		return errTokenType // a DPoP or MAC token is useless as a bearer token
	}
	t.Access, t.Type, t.ID = access, "Bearer", body.legal("id_token")
	t.Expiry = expiry(body, access, start)
	if scope, _ := body.text("scope"); isPrintable(scope) {
		t.Scope = strings.Join(strings.Fields(scope), " ")
	}
	return nil
}

// expiry prefers expires_in, which does not depend on two clocks, over the exp
// of a JWT; it is zero if neither says anything.
func expiry(body object, access secret.Text, start time.Time) time.Time {
	life, ok := lifetime(body.raw("expires_in"))
	if !ok {
		exp, isNumber := lifetime(claims(access).raw("exp"))
		if !isNumber {
			return time.Time{}
		}
		life = exp - float64(start.Unix())
	}
	life = min(max(life, 0), maxLife.Seconds())
	return start.Add(time.Duration(life * float64(time.Second))).UTC().Round(0)
}

// lifetime reads a number, or a string that holds one: servers send 3600,
// "3600", 3600.0, "3600.0" and 1e3.
func lifetime(raw json.RawMessage) (float64, bool) {
	s := string(raw)
	if len(s) > 1 && s[0] == '"' {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false // strconv also knows NaN, Inf and hexadecimal
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// object is the top level of a JSON object, in order, with duplicates.
type object []member

type member struct {
	name string
	raw  json.RawMessage
}

// parseObject returns the members that could be read, also when an error shows
// that the rest could not.
func parseObject(b []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errMalformed
	}
	var o object
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return o, errMalformed
		}
		m := member{}
		m.name, _ = name.(string) // the decoder allows nothing else here
		if err := dec.Decode(&m.raw); err != nil {
			return o, errMalformed
		}
		if depth(m.raw) >= maxDepth {
			return o, errMalformed
		}
		o = append(o, m)
	}
	if _, err := dec.Token(); err != nil {
		return o, errMalformed
	}
	if _, err := dec.Token(); err != io.EOF {
		return o, errMalformed
	}
	return o, nil
}

// depth is the deepest nesting of a valid JSON value.
func depth(raw json.RawMessage) int {
	dec := json.NewDecoder(bytes.NewReader(raw))
	deepest, now := 0, 0
	for {
		t, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

func (o object) has(name string) bool { return o.count(name) > 0 }

func (o object) count(name string) int {
	n := 0
	for _, m := range o {
		if m.name == name {
			n++
		}
	}
	return n
}

// raw returns the last member of that name, which is what other parsers take;
// nil if there is none.
func (o object) raw(name string) json.RawMessage {
	for _, m := range slices.Backward(o) {
		if m.name == name {
			return m.raw
		}
	}
	return nil
}

func (o object) text(name string) (string, bool) {
	raw := o.raw(name)
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// legal returns a member that has the characters of a token (RFC 6749 App. A),
// else nothing: a token goes into headers.
func (o object) legal(name string) secret.Text {
	s, ok := o.text(name)
	if !ok || !isPrintable(s) {
		return secret.Text{}
	}
	return secret.New(s)
}

// isPrintable reports whether s is VSCHAR only.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// refusal returns the code and the text of an error in any of the shapes seen:
// {"error":"c","error_description":"d"} (RFC 6749 §5.2), {"error":{"code":"c",
// "message":"d"}} and {"code":"c"} (OpenAI).
func (o object) refusal() (code, description string) {
	from, wrapped := o, o.raw("error")
	if code, ok := o.text("error"); ok {
		description, _ := o.text("error_description")
		return code, description
	}
	if inner, err := parseObject(wrapped); err == nil {
		from = inner
	}
	code, _ = from.text("code")
	description, _ = from.text("message")
	return code, description
}
