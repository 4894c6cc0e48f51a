package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

func TestProbeVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   oauth.Verdict
	}{
		{"works", status(200, `{"data":[]}`), oauth.Works},
		{"works, a list", status(200, ` [1]`), oauth.Works},
		{"a page", status(200, "<html>welcome</html>"), oauth.Malformed},
		{"nothing", status(204, ""), oauth.Malformed},
		{"not accepted", status(401, `{"error":"invalid_token"}`), oauth.Unwanted},
		{"not allowed", status(403, ``), oauth.Unwanted},
		{"not let through", status(403, "<html>Access denied</html>"), oauth.Unknown},
		{"too often", status(429, `{"error":{"code":"rate_limit_exceeded"}}`), oauth.RateLimited},
		{"no money left", status(429, `{"error":{"code":"insufficient_quota"}}`), oauth.Unpaid},
		{"not paid", status(402, ``), oauth.Unpaid},
		{"no such model", status(404, `{"error":{"code":"model_not_found"}}`), oauth.NoModel},
		{"no such page", status(404, ``), oauth.Malformed},
		{"a gateway's", status(504, ``), oauth.TimedOut},
		{"broken", status(500, ``), oauth.Unknown},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x", http.StatusTemporaryRedirect)
		}, oauth.Unknown},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, oauth.Unknown},
		{"repeats the token", status(401, `{"error":"x","error_description":"at_SECRET"}`), oauth.Unwanted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer at_SECRET" {
					t.Errorf("%s with %q", r.Method, r.Header)
				}
				tt.answer(w, r)
			}))
			defer s.Close()
			got, err := new(oauth.Client).Probe(t.Context(), provider.Probe{Endpoint: s.URL}, "", both.Access, time.Second)
			if got != tt.want || (err == nil) != (got == oauth.Works) || asked.Load() != 1 {
				t.Errorf("verdict %s (%v) after %d requests, want %s", got, err, asked.Load(), tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

// A key may have a header of its own; then there is no other that has it.
func TestProbeHeaders(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-api-key") != "key" || r.Header.Get("anthropic-version") != "1" || r.Header.Get("Authorization") != "" {
			t.Errorf("headers %q", r.Header)
		}
		status(200, "{}")(w, r)
	}))
	defer s.Close()
	p := provider.Probe{Endpoint: s.URL, Headers: map[string]string{"anthropic-version": "1"}}
	if got, err := new(oauth.Client).Probe(t.Context(), p, "x-api-key", secret.New("key"), time.Second); got != oauth.Works {
		t.Errorf("verdict %s (%v)", got, err)
	}
}

func TestProbeEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := (&oauth.Client{Transport: hung{}}).Probe(t.Context(), provider.Probe{Endpoint: "https://as.test"}, "", both.Access, 3*time.Second)
		if got != oauth.TimedOut || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("verdict %s (%v), want timeout", got, err)
		}
	})
}
