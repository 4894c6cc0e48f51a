package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/keytray/keytray/secret"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   Class
		wait   time.Duration
	}{
		// On the way.
		{statusNotSent, "", NotSent, 0},
		{statusNoAnswer, "", Ambiguous, 0},
		{statusUnreadable, "", Ambiguous, 0},
		{statusRenewed, "", Transient, 0},

		// Dead tokens, wherever servers put the code.
		{400, "invalid_grant", Permanent, 0},
		{401, "invalid_grant", Permanent, 0},
		{403, "invalid_grant", Permanent, 0},
		{200, "invalid_grant", Permanent, 0},
		{400, "refresh_token_expired", Permanent, 0},
		{401, "refresh_token_expired", Permanent, 0},
		{401, "refresh_token_reused", Permanent, 0},
		{401, "refresh_token_invalidated", Permanent, 0},
		{200, "bad_refresh_token", Permanent, 0},
		{400, "bad_refresh_token", Permanent, 0},
		{401, "token_revoked", Permanent, 0},
		{400, "interaction_required", Permanent, 0},
		{400, "consent_required", Permanent, 0},
		{400, "login_required", Permanent, 0},

		// The client or the endpoint.
		{400, "invalid_client", Misconfigured, 0},
		{401, "invalid_client", Misconfigured, 0},
		{400, "unauthorized_client", Misconfigured, 0},
		{401, "unauthorized_client", Misconfigured, 0},
		{400, "unsupported_grant_type", Misconfigured, 0},
		{400, "invalid_scope", Misconfigured, 0},
		{400, "use_dpop_nonce", Misconfigured, 0},
		{401, "use_dpop_nonce", Misconfigured, 0},
		{400, "invalid_dpop_proof", Misconfigured, 0},
		{200, "incorrect_client_credentials", Misconfigured, 0},
		{404, "", Misconfigured, 0},
		{405, "", Misconfigured, 0},
		{410, "", Misconfigured, 0},
		{415, "", Misconfigured, 0},
		{421, "", Misconfigured, 0},

		{400, "invalid_request", Contended, 0},
		{200, "invalid_request", Contended, 0},

		// No reason, or one that is not known.
		{400, "", Doubtful, 0},
		{400, "something_else", Doubtful, 0},
		{401, "", Doubtful, 0},
		{401, "something_else", Doubtful, 0},
		{402, "", Doubtful, 0},
		{409, "", Doubtful, 0},
		{422, "", Doubtful, 0},
		{200, "something_else", Doubtful, 0},

		{301, "", Transient, 0},
		{307, "invalid_grant", Transient, 0},
		{308, "", Transient, 0},
		{403, "", Transient, 5 * time.Minute},
		{403, "unsupported_country", Transient, 5 * time.Minute},
		{400, "temporarily_unavailable", Transient, 0},
		{408, "", Transient, 0},
		{425, "", Transient, 0},
		{429, "", Transient, 0},
		{429, "invalid_grant", Transient, 0},
		{501, "", Transient, 0},
		{503, "", Transient, 0},
		{503, "invalid_grant", Transient, 0},
		{505, "", Transient, 0},
		{511, "", Transient, 0},

		// A gateway may have lost the answer of a server that did its work, also
		// if it says that it knows better.
		{500, "", Ambiguous, 0},
		{500, "invalid_grant", Ambiguous, 0},
		{502, "", Ambiguous, 0},
		{504, "", Ambiguous, 0},
		{520, "", Ambiguous, 0},
		{522, "", Ambiguous, 0},
		{524, "", Ambiguous, 0},
		{527, "", Ambiguous, 0},
		{599, "", Ambiguous, 0},
		{999, "", Ambiguous, 0},
		{12345, "", Ambiguous, 0},
	}
	for _, tt := range tests {
		if got, wait := classify(tt.status, tt.code); got != tt.want || wait != tt.wait {
			t.Errorf("classify(%d, %q) = %v, %v, want %v, %v", tt.status, tt.code, got, wait, tt.want, tt.wait)
		}
	}
}

// TestEveryRuleDecides finds rows that another row hides.
func TestEveryRuleDecides(t *testing.T) {
	for i, r := range rules {
		codes := r.codes
		if codes == nil {
			codes = []string{""}
		}
		for _, code := range codes {
			decides := false
			for status := r.from; status <= r.to; status++ {
				decides = decides || firstRule(status, code) == i
			}
			if !decides {
				t.Errorf("rule %d (%d to %d, %q) never decides", i, r.from, r.to, code)
			}
		}
	}
}

func firstRule(status int, code string) int {
	for i, r := range rules {
		if status < r.from || status > r.to {
			continue
		}
		if r.codes == nil || slices.Contains(r.codes, code) {
			return i
		}
	}
	return -1
}

func TestErrorShapes(t *testing.T) {
	tests := []struct{ body, code, description string }{
		{`{"error":"invalid_grant","error_description":"gone"}`, "invalid_grant", "gone"},
		{`{"error":{"message":"used","type":"invalid_request_error","param":null,"code":"refresh_token_reused"}}`, "refresh_token_reused", "used"},
		{`{"code":"refresh_token_expired","message":"old"}`, "refresh_token_expired", "old"},
		{`{"error":"Invalid_Grant"}`, "invalid_grant", ""},
		{`{"error":"invalid_grant","error":"invalid_client"}`, "invalid_client", ""},
		{`{"error":"invalid_grant"`, "invalid_grant", ""}, // truncated
		{`{"error":["invalid_grant"]}`, "", ""},
		{`{"error":{"code":7}}`, "", ""},
		{`{"error":"invalid grant <b>"}`, "", ""},
		{`{"error":"` + strings.Repeat("a", 65) + `"}`, "", ""},
		{`<html>no</html>`, "", ""},
		{``, "", ""},
		{`null`, "", ""},
		{`[{"error":"invalid_grant"}]`, "", ""},
		{`{"error":"invalid_grant","error_description":"a\u001b[2J\"b\\c\u202ed\u0000\r\n  e<script>"}`, "invalid_grant", "a [2J b c d e<script>"},
		{`{"error":"invalid_grant","error_description":"` + strings.Repeat("x", 5000) + `"}`, "invalid_grant", strings.Repeat("x", 200)},
		{`{"error":"invalid_grant","error_description":"the token rt_SECRET is old"}`, "invalid_grant", ""},
		{`{"error":"rt_SECRET"}`, "", ""},
	}
	for _, tt := range tests {
		body, _ := parseObject([]byte(tt.body))
		e := refusal(response{status: 400, header: http.Header{}}, body, secret.New("rt_SECRET"))
		if e.Code != tt.code || e.Description != tt.description {
			t.Errorf("%.60s: %q, %q, want %q, %q", tt.body, e.Code, e.Description, tt.code, tt.description)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	tests := []struct {
		value    string
		min, max time.Duration
	}{
		{"", 0, 0},
		{"120", 2 * time.Minute, 2 * time.Minute},
		{"0", time.Second, time.Second},
		{"-5", 0, 0},
		{"99999", time.Hour, time.Hour},
		{"99999999999999999999999", time.Hour, time.Hour},
		{"soon", 0, 0},
		{"1.5", 0, 0},
		{date(10 * time.Minute), 9 * time.Minute, 10 * time.Minute},
		{date(-time.Minute), time.Second, time.Second},
		{date(48 * time.Hour), time.Hour, time.Hour},
	}
	for _, tt := range tests {
		if got := retryAfter(tt.value); got < tt.min || got > tt.max {
			t.Errorf("retryAfter(%q) = %v, want %v to %v", tt.value, got, tt.min, tt.max)
		}
	}
	e := refusal(response{status: 403, header: http.Header{"Retry-After": {"7"}}}, nil)
	if e.RetryAfter != 5*time.Minute {
		t.Errorf("403 with Retry-After 7 waits %v, want 5m", e.RetryAfter)
	}
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&Error{Status: 400, Code: "invalid_grant", Description: "gone"}, "the server answered with status 400, invalid_grant (gone)"},
		{denial("access_denied", ""), "the server refused the sign-in, access_denied"},
		{failure(statusNoAnswer, errors.New("malformed HTTP response \"rt_SECRET\"")), "no answer from the server: connection broken"},
		{response{status: 200}.unusable(Token{}, errMalformed), "the server answered with status 200: malformed JSON object"},
		{&Error{Class: Misconfigured, cause: errors.New("client_id: is missing")}, "unusable provider: client_id: is missing"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestDenial(t *testing.T) {
	tests := []struct {
		code string
		want Class
	}{
		{"access_denied", Permanent},
		{"login_required", Permanent},
		{"interaction_required", Permanent},
		{"consent_required", Permanent},
		{"server_error", Transient},
		{"temporarily_unavailable", Transient},
		{"invalid_scope", Misconfigured},
		{"unauthorized_client", Misconfigured},
		{"invalid_request", Misconfigured},
		{"unsupported_response_type", Misconfigured},
		{"<script>", Misconfigured},
	}
	for _, tt := range tests {
		if e := denial(tt.code, "x"); e.Class != tt.want || strings.Contains(e.Error(), "<") {
			t.Errorf("denial(%q) = %v, %v, want %v", tt.code, e, e.Class, tt.want)
		}
	}
}

func FuzzErrorResponse(f *testing.F) {
	f.Add(400, "3", `{"error":"invalid_grant","error_description":"\u001b"}`)
	f.Add(401, "", `{"error":{"code":"refresh_token_reused","message":"x"}}`)
	f.Add(403, "Wed, 21 Oct 2037 07:28:00 GMT", `<html>`)
	f.Add(503, "99999999999999999999", `{"code":"x"`)
	f.Fuzz(func(t *testing.T, status int, after, text string) {
		body, _ := parseObject([]byte(text))
		e := refusal(response{status: status, header: http.Header{"Retry-After": {after}}}, body, secret.New("rt_SECRET"))
		if e.Class.String() == "" || strings.HasPrefix(e.Class.String(), "class") {
			t.Fatalf("no class: %d", e.Class)
		}
		known := false
		for _, code := range deadToken {
			known = known || e.Code == code
		}
		if e.Class == Permanent && !known {
			t.Fatalf("permanent for status %d, code %q", status, e.Code)
		}
		if e.RetryAfter < 0 || e.RetryAfter > time.Hour {
			t.Fatalf("RetryAfter = %v", e.RetryAfter)
		}
		for _, s := range []string{e.Code, e.Description} {
			if len(s) > 200 || !utf8.ValidString(s) || strings.Contains(s, "rt_SECRET") || !isPrintable(s) || strings.ContainsAny(s, `"\`) {
				t.Fatalf("not clean: %q", s)
			}
		}
	})
}
