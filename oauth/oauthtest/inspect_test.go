package oauthtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth/oauthtest"
)

func TestSecretsAndValidKnowEveryToken(t *testing.T) {
	t.Parallel()
	s := oauthtest.New(oauthtest.Options{Approve: "ada"})
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	verifier := strings.Repeat("v", 43)
	code := authorize(t, s, verifier)
	answer := post(t, s.URL+"/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {oauthtest.ClientID}, "code": {code},
		"code_verifier": {verifier}, "redirect_uri": {"http://127.0.0.1:1/callback"},
	})
	access, refresh := answer["access_token"], answer["refresh_token"]
	got := s.Secrets()
	for name, secret := range map[string]string{"code": code, "verifier": verifier, "access token": access, "refresh token": refresh} {
		if secret == "" || !slices.Contains(got, secret) {
			t.Errorf("Secrets() does not have the %s", name)
		}
	}
	if !s.Valid(access) || s.Valid(refresh) {
		t.Errorf("Valid(access) = %v, Valid(refresh) = %v; want true, false", s.Valid(access), s.Valid(refresh))
	}
	post(t, s.URL+"/revoke", url.Values{"client_id": {oauthtest.ClientID}, "token": {refresh}})
	if s.Valid(access) {
		t.Error("Valid(access) = true after the login was revoked, want false")
	}
}

// authorize returns the code that the server sends back.
func authorize(t *testing.T, s *oauthtest.Server, verifier string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {oauthtest.ClientID}, "redirect_uri": {"http://127.0.0.1:1/callback"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	stay := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := stay.Get(s.URL + "/authorize?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back.Query().Get("code")
}

// post returns the strings of the answer, which may be none.
func post(t *testing.T, url string, form url.Values) map[string]string {
	t.Helper()
	res, err := http.PostForm(url, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, res.Status)
	}
	var members map[string]any
	_ = json.NewDecoder(res.Body).Decode(&members)
	strings := make(map[string]string)
	for name, value := range members {
		if s, ok := value.(string); ok {
			strings[name] = s
		}
	}
	return strings
}
