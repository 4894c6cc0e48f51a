package oauthtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"net/http"
	"time"
)

// device is a sign-in with a code (RFC 8628).
type device struct {
	userCode       string
	asked, expires time.Time
	user           string // who said yes
	denied, spent  bool
}

const (
	deviceLife     = 5 * time.Minute
	deviceInterval = time.Second
)

// devicePage has a verb for the code, escaped.
const devicePage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Demo sign-in</title></head><body><h1>Demo sign-in</h1>
<form method="post" action="/device">
<p><label>Code <input name="user_code" value="%s" required></label></p>
<p><label>User name <input name="user" value="ada" required autofocus></label></p>
<p><button name="decision" value="approve">Allow</button> <button name="decision" value="deny">Deny</button></p>
</form></body></html>
`

// authorizeDevice is the device authorization endpoint (§3.1, §3.2).
func (s *Server) authorizeDevice(w http.ResponseWriter, r *http.Request) {
	params, err := parameters(w, r)
	if err != nil || params["client_id"] != ClientID {
		answer(w, http.StatusUnauthorized, refusal{Code: "invalid_client"})
		return
	}
	word := rand.Text()
	code, user := "dc_"+rand.Text(), word[:4]+"-"+word[4:8]
	s.mu.Lock()
	s.devices[code] = &device{userCode: user, expires: time.Now().Add(deviceLife), user: s.opts.Approve}
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": user, "expires_in": int(deviceLife.Seconds()), "interval": int(deviceInterval.Seconds()),
		"verification_uri": s.URL + "/device", "verification_uri_complete": s.URL + "/device?user_code=" + user,
	})
}

// enterCode is the page for the person.
func (s *Server) enterCode(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, devicePage, html.EscapeString(r.URL.Query().Get("user_code")))
}

func (s *Server) takeCode(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if r.PostFormValue("decision") != "approve" {
		user = ""
	}
	if err := s.Decide(r.PostFormValue("user_code"), user); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write([]byte("You can close this page."))
}

// Decide is what a person does on the page: they enter a code and sign in, or
// say no with the empty user.
func (s *Server) Decide(userCode, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.userCode != userCode || time.Now().After(d.expires) {
			continue
		}
		d.user, d.denied = user, user == ""
		s.log(Event{Kind: Approved, User: user})
		return nil
	}
	return errors.New("unknown or expired code")
}

// polled is the token endpoint's answer to a device (§3.5).
func (s *Server) polled(code string) (map[string]any, *refusal) {
	refused := func(why string) *refusal { return &refusal{http.StatusBadRequest, why, ""} }
	d, ok := s.devices[code]
	now := time.Now()
	if !ok || d.spent {
		return nil, invalidGrant("unknown or spent device code")
	}
	early := now.Sub(d.asked) < deviceInterval
	d.asked = now
	switch {
	case now.After(d.expires):
		return nil, refused("expired_token")
	case early:
		return nil, refused("slow_down")
	case d.denied:
		return nil, refused("access_denied")
	case d.user == "":
		return nil, refused("authorization_pending")
	}
	d.spent = true
	return s.issue(s.signIn(d.user, ""), true), nil
}
