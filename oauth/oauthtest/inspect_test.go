package oauthtest_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/keytray/keytray/oauth/oauthtest"
)

func TestSecretsAndValidKnowEveryToken(t *testing.T) {
	t.Parallel()
	s := start(t, oauthtest.Options{Approve: "ada"})
	code := authorize(t, s, request()).Get("code")
	_, answer := exchange(t, s, code, same)
	access, _ := answer["access_token"].(string)
	spent, _ := answer["refresh_token"].(string)
	got := s.Secrets()
	for name, secret := range map[string]string{"code": code, "verifier": verifier, "access token": access, "refresh token": spent} {
		if secret == "" || !slices.Contains(got, secret) {
			t.Errorf("Secrets() does not have the %s", name)
		}
	}
	if !s.Valid(access) || s.Valid(spent) {
		t.Errorf("Valid(access) = %v, Valid(refresh) = %v; want true, false", s.Valid(access), s.Valid(spent))
	}
	if !s.IsAccess(access) || s.IsAccess(spent) {
		t.Error("IsAccess does not tell an access token from a refresh token")
	}
	post(t, s.URL+"/revoke", url.Values{"client_id": {oauthtest.ClientID}, "token": {spent}})
	if s.Valid(access) {
		t.Error("Valid(access) = true after the login was revoked, want false")
	}
}
