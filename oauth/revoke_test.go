package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// revoker is a revocation endpoint that keeps what it is sent.
func revoker(t *testing.T, asJSON bool, answer http.HandlerFunc) (p provider.OAuth, sent func() []string) {
	t.Helper()
	var mu sync.Mutex // guards seen
	var seen []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen = append(seen, r.Header.Get("Content-Type")+" "+string(b))
		mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	p = at("https://as.test/t")
	p.RevocationEndpoint, p.RevocationJSON = s.URL, asJSON
	return p, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

var both = oauth.Token{Access: secret.New("at_SECRET"), Refresh: secret.New("rt_SECRET")}

// RFC 7009 §2.1: a form with the refresh token, as at the token endpoint.
func TestRevokeRequest(t *testing.T) {
	p, seen := revoker(t, false, status(200, ""))
	if err := new(oauth.Client).Revoke(t.Context(), p, both); err != nil {
		t.Fatal(err)
	}
	kind, body, _ := strings.Cut(seen()[0], " ")
	form, err := url.ParseQuery(body)
	want := url.Values{"token": {"rt_SECRET"}, "token_type_hint": {"refresh_token"}, "client_id": {p.ClientID}}
	if err != nil || kind != "application/x-www-form-urlencoded" || form.Encode() != want.Encode() {
		t.Errorf("sent %s, want the form %s", seen(), want.Encode())
	}
	p, seen = revoker(t, true, status(200, ""))
	if err := new(oauth.Client).Revoke(t.Context(), p, oauth.Token{Access: both.Access}); err != nil {
		t.Fatal(err)
	}
	kind, body, _ = strings.Cut(seen()[0], " ")
	var object map[string]string
	if json.Unmarshal([]byte(body), &object) != nil || kind != "application/json" || object["token"] != "at_SECRET" || object["token_type_hint"] != "access_token" || len(object) != 3 {
		t.Errorf("sent %s, want JSON with the access token", seen())
	}
}

// RFC 7009 §2.2: 200 is success whatever the token was; the rest is said and no
// token is sent twice.
func TestRevokeAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		code   string // of the error; "-" for none
		posts  int
	}{
		{"done", status(200, ""), "-", 1},
		{"done, with a page", status(200, "<html>"), "-", 1},
		{"no content", status(204, ""), "-", 1},
		{"a token that is dead already, to Google", status(400, `{"error":"invalid_token"}`), "-", 1},
		{"another client", status(401, `{"error":"invalid_client"}`), "invalid_client", 1},
		{"not that kind", status(400, `{"error":"unsupported_token_type"}`), "unsupported_token_type", 2},
		{"later", status(503, ""), "", 1},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) }, "", 1},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", 1},
		{"repeats the token", status(400, `{"error":"rt_SECRET","error_description":"rt_SECRET"}`), "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, seen := revoker(t, false, tt.answer)
			err := new(oauth.Client).Revoke(t.Context(), p, both)
			if len(seen()) != tt.posts {
				t.Errorf("%d requests, want %d", len(seen()), tt.posts)
			}
			if tt.code == "-" {
				if err != nil {
					t.Errorf("err = %v, want none", err)
				}
				return
			}
			e, ok := errors.AsType[*oauth.Error](err)
			if !ok || e.Code != tt.code || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("err = %v, want an *Error with code %q", err, tt.code)
			}
		})
	}
}

func TestRevokeWithoutAnEndpoint(t *testing.T) {
	p := at("https://as.test/t")
	if err := new(oauth.Client).Revoke(t.Context(), p, both); !errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("err = %v, want ErrNoRevocation", err)
	}
	p.RevocationEndpoint = "http://as.test/r"
	if err := new(oauth.Client).Revoke(t.Context(), p, both); err == nil || errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("over http: err = %v, want a misconfigured provider", err)
	}
}

type hung struct{}

func (hung) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestRevokeWaitsFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := at("https://as.test/t")
		p.RevocationEndpoint = "https://as.test/r"
		began := time.Now()
		err := (&oauth.Client{Transport: hung{}}).Revoke(t.Context(), p, both)
		if took := time.Since(began); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v, want a deadline after 5 s", took, err)
		}
	})
}
