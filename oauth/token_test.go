package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func read(status int, body string) (Token, error) {
	r := response{status: status, header: http.Header{}, body: []byte(body)}
	return r.token(start, provider.OAuth{})
}

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// TestExpiresIn: no form of expires_in costs the refresh token.
func TestExpiresIn(t *testing.T) {
	const unknown = -1
	tests := []struct {
		raw  string
		want time.Duration
	}{
		{`3600`, time.Hour},
		{`"3600"`, time.Hour},
		{`3600.0`, time.Hour},
		{`"3600.0"`, time.Hour},
		{`1e3`, 1000 * time.Second},
		{`" 3600 "`, time.Hour},
		{`0.5`, 500 * time.Millisecond},
		{`""`, unknown},
		{`null`, unknown},
		{`{}`, unknown},
		{`[3600]`, unknown},
		{`true`, unknown},
		{`"soon"`, unknown},
		{`"NaN"`, unknown},
		{`"Inf"`, unknown},
		{`"0x10"`, unknown},
		{`0`, 0},
		{`-1`, 0},
		{`-1e999`, 0},
		{`9999999999999999999999`, 90 * 24 * time.Hour},
		{`1e999`, 90 * 24 * time.Hour},
		{`7776001`, 90 * 24 * time.Hour},
	}
	for _, tt := range tests {
		got, err := read(200, `{"expires_in":`+tt.raw+`,"access_token":"a","token_type":"bearer","refresh_token":"R1"}`)
		if err != nil || got.Refresh.Reveal() != "R1" || got.Access.Reveal() != "a" {
			t.Errorf("%s: %v, refresh token %t", tt.raw, err, !got.Refresh.Empty())
			continue
		}
		if tt.want == unknown {
			if !got.Expiry.IsZero() {
				t.Errorf("%s: expiry = %v, want unknown", tt.raw, got.Expiry)
			}
			continue
		}
		if life := got.Expiry.Sub(start); got.Expiry.IsZero() || life != tt.want {
			t.Errorf("%s: life = %v, want %v", tt.raw, life, tt.want)
		}
	}
	if got, err := read(200, `{"access_token":"a","refresh_token":"R1"}`); err != nil || !got.Expiry.IsZero() {
		t.Errorf("missing: %v, %v, want unknown", got.Expiry, err)
	}
}

func TestExpiryFromJWT(t *testing.T) {
	tests := []struct {
		exp  string
		want time.Duration
	}{
		{strconv.FormatInt(start.Unix()+600, 10), 10 * time.Minute},
		{strconv.FormatInt(start.Unix()-600, 10) + ".5", 0},
		{`1e300`, 90 * 24 * time.Hour},
	}
	for _, tt := range tests {
		got, err := read(200, `{"access_token":"`+jwt(`{"exp":`+tt.exp+`}`)+`"}`)
		if err != nil || got.Expiry.Sub(start) != tt.want {
			t.Errorf("exp %s: life = %v, %v, want %v", tt.exp, got.Expiry.Sub(start), err, tt.want)
		}
	}
	got, err := read(200, `{"expires_in":60,"access_token":"`+jwt(`{"exp":9}`)+`"}`)
	if err != nil || got.Expiry.Sub(start) != time.Minute {
		t.Errorf("expires_in does not win over exp: %v, %v", got.Expiry, err)
	}
	for _, odd := range []string{"a.b.c", "..", "a", jwt(`[]`), jwt(`{"exp":{}}`), jwt(`{"exp":1`), "e30." + strings.Repeat("!", 9)} {
		if got, err := read(200, `{"access_token":"`+odd+`"}`); err != nil || !got.Expiry.IsZero() {
			t.Errorf("%q: %v, %v, want an unknown expiry", odd, got.Expiry, err)
		}
	}
}

// TestRefreshTokenSurvives: whatever else is wrong with a 2xx answer.
func TestRefreshTokenSurvives(t *testing.T) {
	const ok = `"access_token":"a","token_type":"Bearer"`
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := []struct {
		name, body string
		refresh    string
		class      Class // of the error
	}{
		{"no access token", `{"refresh_token":"R1"}`, "R1", Transient},
		{"access token of another type", `{"refresh_token":"R1","access_token":7}`, "R1", Transient},
		{"access token null", `{"refresh_token":"R1","access_token":null}`, "R1", Transient},
		{"access token with a line break", `{"refresh_token":"R1","access_token":"a\r\nX: y"}`, "R1", Transient},
		{"access token with NUL", `{"refresh_token":"R1","access_token":"a\u0000"}`, "R1", Transient},
		{"access token not ASCII", `{"refresh_token":"R1","access_token":"é"}`, "R1", Transient},
		{"access token not UTF-8", "{\"refresh_token\":\"R1\",\"access_token\":\"\xff\"}", "R1", Transient},
		{"access token too long", `{"refresh_token":"R1","access_token":"` + strings.Repeat("a", 48<<10+1) + `"}`, "R1", Transient},
		{"access token twice", `{"access_token":"a","access_token":"b","refresh_token":"R1"}`, "R1", Transient},
		{"refresh token twice", `{"refresh_token":"R0",` + ok + `,"refresh_token":"R1"}`, "R1", Transient},
		{"mac", `{"refresh_token":"R1","access_token":"a","token_type":"mac"}`, "R1", Transient},
		{"DPoP", `{"refresh_token":"R1","access_token":"a","token_type":"DPoP"}`, "R1", Transient},
		{"type not a string", `{"refresh_token":"R1","access_token":"a","token_type":{}}`, "R1", Transient},
		{"too deep", `{"refresh_token":"R1",` + ok + `,"x":` + deep + `}`, "R1", Transient},
		{"trailing text", `{"refresh_token":"R1",` + ok + `}garbage`, "R1", Transient},
		{"bad literal", `{"refresh_token":"R1","x":nope,` + ok + `}`, "R1", Transient},
		{"truncated", `{"refresh_token":"R1","access_tok`, "R1", Transient},
		{"truncated inside it", `{"access_token":"a","refresh_token":"R`, "", Ambiguous},
		{"error as well", `{"error":"invalid_grant","refresh_token":"R1",` + ok + `}`, "R1", Permanent},
		{"error alone", `{"error":"bad_refresh_token"}`, "", Permanent},
		{"refresh token of another type", `{"refresh_token":["R1"]}`, "", Ambiguous},
		{"refresh token not ASCII", `{"refresh_token":"é"}`, "", Ambiguous},
		{"empty object", `{}`, "", Ambiguous},
		{"empty", ``, "", Ambiguous},
		{"HTML", `<!doctype html><title>Sign in</title>`, "", Ambiguous},
		{"form", `access_token=a&refresh_token=R1`, "", Ambiguous},
		{"list", `[{"refresh_token":"R1"}]`, "", Ambiguous},
		{"null", `null`, "", Ambiguous},
		{"other case", `{"Refresh_Token":"R1","ACCESS_TOKEN":"a"}`, "", Ambiguous},
	}
	for _, tt := range tests {
		got, err := read(200, tt.body)
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: err = %v, want an *Error", tt.name, err)
			continue
		}
		if got.Refresh.Reveal() != tt.refresh || e.Class != tt.class || !got.Access.Empty() {
			t.Errorf("%s: refresh %q, class %v, want %q, %v (access token kept: %t)", tt.name, got.Refresh.Reveal(), e.Class, tt.refresh, tt.class, !got.Access.Empty())
		}
	}
	r := response{status: 200, body: []byte(`{"refresh_token":"R1",` + ok), broken: io.ErrUnexpectedEOF}
	if got, err := r.token(start, provider.OAuth{}); got.Refresh.Reveal() != "R1" || err == nil {
		t.Errorf("a body cut on the way: refresh %q, %v", got.Refresh.Reveal(), err)
	}
}

func TestTokenAccepts(t *testing.T) {
	tests := []string{
		`{"access_token":"a","token_type":"bEaReR"}`,
		`{"access_token":"a"}`,
		"\ufeff" + `{"access_token":"a"}`,
		` {"access_token":"a", "unknown":{"access_token":"b"}} ` + "\n",
		`{"access_token":"a","error":null}`,
		`{"access_token":"a","error":""}`,
		`{"access_token":"a","id_token":7}`,
		`{"access_token":"a","scope":7}`,
	}
	for _, body := range tests {
		got, err := read(200, body)
		if err != nil || got.Access.Reveal() != "a" || got.Type != "Bearer" || !got.Refresh.Empty() {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestErrorAnswerHasNoToken(t *testing.T) {
	if got, err := read(500, `{"refresh_token":"R1","access_token":"a"}`); err == nil || !got.Refresh.Empty() {
		t.Errorf("a token was taken from a 500: %v", err)
	}
}

// TestInspect: a stored token tells its account and its end, in the place that
// the provider uses.
func TestInspect(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	access := jwt(`{"https://a/b":{"id":"acct-1"},"exp":` + strconv.FormatInt(end.Unix(), 10) + `}`)
	p := provider.OAuth{Identity: provider.Identity{Token: "access_token", Account: []string{"https://a/b", "id"}}}
	a, got := Inspect(Token{Access: secret.New(access)}, p)
	if a.ID != "acct-1" || got.Sub(end).Abs() > time.Second {
		t.Errorf("Inspect = %+v, %v, want acct-1 and %v", a, got, end)
	}
	if a, got := Inspect(Token{Access: secret.New("opaque")}, p); a != (Account{}) || !got.IsZero() {
		t.Errorf("Inspect(opaque) = %+v, %v, want nothing", a, got)
	}
}

func TestAccount(t *testing.T) {
	codex := provider.Identity{
		Token:   "access_token",
		Account: []string{"https://api.openai.com/auth", "chatgpt_account_id"},
		Email:   []string{"https://api.openai.com/profile", "email"},
		Plan:    []string{"https://api.openai.com/auth", "chatgpt_plan_type"},
	}
	tests := []struct {
		name       string
		id         provider.Identity
		access, ID string
		want       Account
	}{
		{
			"codex", codex,
			jwt(`{"https://api.openai.com/auth":{"chatgpt_account_id":"acc-1","chatgpt_plan_type":"plus"},"https://api.openai.com/profile":{"email":"a@b.test"}}`),
			jwt(`{"sub":"other"}`),
			Account{"acc-1", "a@b.test", "plus"},
		},
		{"OIDC", provider.Identity{}, "opaque", jwt(`{"sub":"s1","email":"é@b.test"}`), Account{"s1", "é@b.test", ""}},
		{"padded", provider.Identity{}, "", "e30." + base64.URLEncoding.EncodeToString([]byte(`{"sub":"s12"}`)) + ".", Account{ID: "s12"}},
		{"base64url characters", provider.Identity{}, "", jwt(`{"sub":"???>>>~~~"}`), Account{ID: "???>>>~~~"}},
		{"not a string", provider.Identity{}, "", jwt(`{"sub":7,"email":["a"]}`), Account{}},
		{"bidi", provider.Identity{}, "", jwt(`{"sub":"a\u202eb","email":"a\u0000b"}`), Account{}},
		{"too long", provider.Identity{}, "", jwt(`{"sub":"` + strings.Repeat("a", 321) + `"}`), Account{}},
		{"path through a string", codex, jwt(`{"https://api.openai.com/auth":"x"}`), "", Account{}},
		{"opaque", codex, "opaque", "", Account{}},
		{"nothing", provider.Identity{}, "", "", Account{}},
	}
	for _, tt := range tests {
		got := accountOf(Token{Access: secret.New(tt.access), ID: secret.New(tt.ID)}, tt.id)
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// FuzzTokenResponse: an object with exactly one legal refresh token gives it up,
// whatever else there is; times and characters stay in their bounds.
func FuzzTokenResponse(f *testing.F) {
	f.Add(200, `{"access_token":"a","token_type":"bearer","expires_in":"3600.0","refresh_token":"R1"}`)
	f.Add(200, `{"refresh_token":"R1","access_token":"`+jwt(`{"exp":1e400}`)+`"}`)
	f.Add(201, `{"refresh_token":"R1","expires_in":{"a":[1,2,{"b":null}]}}`)
	f.Add(200, `{"refresh_token":"R1","refresh_token":"R2","error":{"code":"x"}}`)
	f.Add(200, "\xef\xbb\xbf{\"refresh_token\":\"R\\u00311\"}x")
	f.Add(400, `{"error":"invalid_grant"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		got, err := read(status, body)
		if (err == nil) == got.Access.Empty() {
			t.Fatalf("err = %v with access token %t", err, !got.Access.Empty())
		}
		for _, s := range []secret.Text{got.Access, got.Refresh, got.ID} {
			if !isPrintable(s.Reveal()) {
				t.Fatalf("not VSCHAR: %q", s.Reveal())
			}
		}
		if life := got.Expiry.Sub(start); !got.Expiry.IsZero() && (life < 0 || life > 90*24*time.Hour) {
			t.Fatalf("life = %v", life)
		}
		if want, ok := onlyRefreshToken(body); ok && status >= 200 && status < 300 && got.Refresh.Reveal() != want {
			t.Fatalf("refresh token %q, want %q", got.Refresh.Reveal(), want)
		}
		if err != nil && !got.Refresh.Empty() && len(got.Refresh.Reveal()) > 8 && strings.Contains(err.Error(), got.Refresh.Reveal()) {
			t.Fatalf("the error shows the token: %v", err)
		}
	})
}

// onlyRefreshToken decides with package json's own decoder of maps.
func onlyRefreshToken(body string) (string, bool) {
	var o map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &o) != nil || strings.Count(body, "refresh_token") != 1 || strings.Contains(body, `\`) {
		return "", false
	}
	for _, raw := range o {
		if depth(raw) >= 31 {
			return "", false
		}
	}
	var s string
	if json.Unmarshal(o["refresh_token"], &s) != nil || s == "" || !isPrintable(s) {
		return "", false
	}
	return s, true
}
