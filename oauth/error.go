package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/secret"
)

// Class says what became of the token or code that was sent. The zero value is
// the one that assumes least.
type Class int

const (
	// Ambiguous means that the request may have been processed, and its answer is lost.
	Ambiguous Class = iota
	// NotSent means that no byte of the request left this machine.
	NotSent
	// Transient means that the server refused for now and did not spend the token.
	Transient
	// Contended means that another request with the same token is being processed (Ory
	// fosite calls it invalid_request). Read again, try once more after 2 s.
	Contended
	// Doubtful means that it was refused with a reason that is not in the table. Permanent when
	// it happens again at least 60 s later.
	Doubtful
	// Permanent means that the token is dead.
	Permanent
	// Misconfigured means that the client or the endpoint is wrong; the token is not
	// spent. Trying again is of no use until the provider entry changes.
	Misconfigured
)

// String returns the class's name in lower case.
func (c Class) String() string {
	names := []string{"ambiguous", "not sent", "transient", "contended", "doubtful", "permanent", "misconfigured"}
	if c < 0 || int(c) >= len(names) {
		return "class " + strconv.Itoa(int(c))
	}
	return names[c]
}

// Error is a refusal of the server, or a failure on the way to it.
type Error struct {
	// Status is the HTTP status; 0 if there was no answer, or if the refusal
	// came through the browser.
	Status int
	// Code is the server's error code in lower case, or empty.
	Code string
	// Description is the server's text for developers, cut to printable ASCII
	// and 200 characters; empty if it repeated a secret.
	Description string
	Class       Class
	// RetryAfter is how long to wait at least, 0 if the server did not say.
	RetryAfter time.Duration

	cause error
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Status == 0 && e.cause == nil:
		b.WriteString("the server refused the sign-in")
	case e.Status == 0 && e.Class == Misconfigured:
		b.WriteString("unusable provider")
	case e.Status == 0 && e.Class == NotSent:
		b.WriteString("not reaching the server")
	case e.Status == 0:
		b.WriteString("no answer from the server")
	default:
		fmt.Fprintf(&b, "the server answered with status %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(", " + e.Code)
	}
	if e.Description != "" {
		fmt.Fprintf(&b, " (%s)", e.Description)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the failure on the way, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Outcomes that have no HTTP status of their own, as statuses of the table.
const (
	statusNotSent    = -1 // no byte left
	statusNoAnswer   = -2 // sent, then an error or a broken answer
	statusUnreadable = -3 // 2xx without a usable token
	statusRenewed    = -4 // the same, but a new refresh token was in it
)

// rule is one row of the classification; the first row that fits decides.
type rule struct {
	from, to int      // statuses, inclusive
	codes    []string // any of these; none means every code
	class    Class
	wait     time.Duration // at least, when the server does not say more
}

// blockedWait keeps us from knocking at a firewall that has shut us out.
const blockedWait = 5 * time.Minute

var rules = []rule{
	{from: statusNotSent, to: statusNotSent, class: NotSent},
	{from: statusNoAnswer, to: statusNoAnswer, class: Ambiguous},
	{from: statusUnreadable, to: statusUnreadable, class: Ambiguous},
	{from: statusRenewed, to: statusRenewed, class: Transient},

	// A known code decides where a server may put one: 4xx, and 200 as GitHub
	// does. 403 is Auth0's status for invalid_grant.
	{from: 200, to: 299, codes: deadToken, class: Permanent},
	{from: 400, to: 401, codes: deadToken, class: Permanent},
	{from: 403, to: 403, codes: deadToken, class: Permanent},
	{from: 200, to: 299, codes: wrongClient, class: Misconfigured},
	{from: 400, to: 403, codes: wrongClient, class: Misconfigured},
	{from: 200, to: 299, codes: []string{"invalid_request"}, class: Contended},
	{from: 400, to: 400, codes: []string{"invalid_request"}, class: Contended},
	{from: 200, to: 299, codes: comeAgain, class: Transient},
	{from: 400, to: 403, codes: comeAgain, class: Transient},
	{from: 200, to: 299, class: Doubtful},

	{from: 300, to: 399, class: Transient}, // redirects are not followed
	{from: 403, to: 403, class: Transient, wait: blockedWait},
	{from: 404, to: 405, class: Misconfigured},
	{from: 410, to: 410, class: Misconfigured},
	{from: 415, to: 415, class: Misconfigured},
	{from: 421, to: 421, class: Misconfigured},
	{from: 408, to: 408, class: Transient},
	{from: 425, to: 425, class: Transient},
	{from: 429, to: 429, class: Transient},
	{from: 400, to: 499, class: Doubtful},
	{from: 501, to: 501, class: Transient},
	{from: 503, to: 503, class: Transient},
	{from: 505, to: 505, class: Transient},
	{from: 511, to: 511, class: Transient}, // a captive portal
	// 500, 502, 504, 52x and what is not known: a gateway may have lost the
	// answer of a server that did its work.
	{from: 100, to: 999, class: Ambiguous},
}

var (
	deadToken = []string{
		"invalid_grant", "refresh_token_expired", "refresh_token_reused",
		"refresh_token_invalidated", "bad_refresh_token", "token_revoked",
		"interaction_required", "consent_required", "login_required",
	}
	// We send no scope and no DPoP proof, so a server that complains about one
	// will do so every time.
	wrongClient = []string{
		"invalid_client", "unauthorized_client", "unsupported_grant_type",
		"invalid_scope", "use_dpop_nonce", "invalid_dpop_proof", "incorrect_client_credentials",
	}
	// wantsProof are those of wrongClient that are about a token's key (RFC 9449).
	wantsProof = []string{"use_dpop_nonce", "invalid_dpop_proof"}
	comeAgain  = []string{"temporarily_unavailable", "slow_down"}
)

// classify looks a signal up in the table.
func classify(status int, code string) (Class, time.Duration) {
	for _, r := range rules {
		if status >= r.from && status <= r.to && (r.codes == nil || slices.Contains(r.codes, code)) {
			return r.class, r.wait
		}
	}
	return Ambiguous, 0
}

// refusal reads an answer that is an error. Secrets are those of the request:
// servers have been seen to repeat them in their descriptions.
func refusal(r response, body object, secrets ...secret.Text) *Error {
	code, description := body.refusal()
	e := &Error{
		Status:      r.status,
		Code:        cleanCode(without(code, secrets)),
		Description: cleanText(without(description, secrets)),
	}
	e.Class, e.RetryAfter = classify(r.status, e.Code)
	if slices.Contains(wantsProof, e.Code) {
		e.cause = errTokenType
	}
	if e.Class == Transient {
		e.RetryAfter = max(e.RetryAfter, retryAfter(r.header.Get("Retry-After")))
	}
	return e
}

func without(s string, secrets []secret.Text) string {
	for _, t := range secrets {
		if !t.Empty() && strings.Contains(s, t.Reveal()) {
			return ""
		}
	}
	return s
}

// failure is an error that came instead of an answer.
func failure(status int, cause error) *Error {
	class, _ := classify(status, "")
	return &Error{Class: class, cause: plain(cause)}
}

// denial is an error response through the browser (RFC 6749 §4.1.2.1).
func denial(code, description string) *Error {
	e := &Error{Code: cleanCode(code), Description: cleanText(description), Class: Misconfigured}
	switch e.Code {
	case "temporarily_unavailable", "server_error":
		e.Class = Transient
	case "access_denied", "login_required", "interaction_required", "consent_required":
		e.Class = Permanent
	}
	if e.Code == "" {
		e.Code = "unknown_error"
	}
	return e
}

// plain keeps the errors whose text is our own side's.
func plain(err error) error {
	for _, known := range []error{errMalformed, errNoContent, errTokenType, errNoCode} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, idtoken.ErrInvalid) {
		return err
	}
	return wire.Plain(err)
}

// retryAfter reads the header of RFC 9110 §10.2.3, between 1 s and 1 h.
func retryAfter(value string) time.Duration {
	if value == "" {
		return 0
	}
	d := time.Hour
	if seconds, err := strconv.ParseUint(value, 10, 16); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = time.Until(at)
	} else if strings.Trim(value, "0123456789") != "" {
		return 0 // neither a number nor a date
	}
	return min(max(d, time.Second), time.Hour)
}

// cleanCode returns code in lower case if it looks like one, else "".
func cleanCode(code string) string {
	code = strings.ToLower(code)
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
		return ""
	}
	return code
}

const maxDescription = 200

// cleanText keeps the characters of error_description (RFC 6749 §5.2).
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return ' '
		}
		return r
	}, s[:min(len(s), 4*maxDescription)])
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), maxDescription)]
}
