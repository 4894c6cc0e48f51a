package oauthtest

import (
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// code is an authorization code that was issued.
type code struct {
	user, redirect, challenge, nonce string
	expires                          time.Time
	family                           *family // set when it was exchanged
}

const codeLife = time.Minute

// loginPage has verbs for three texts, escaped. html/template in a program keeps the
// linker from leaving out what is never called.
const loginPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Demo sign-in</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:15vh auto;padding:0 1rem}input,button{font:inherit;padding:.4rem .8rem}</style>
</head><body><h1>Demo sign-in</h1>
<p>This server runs on your own machine. <b>%s</b> asks for: %s.</p>
<form method="post" action="%s">
<p><label>User name <input name="user" value="ada" required autofocus></label></p>
<p><button name="decision" value="approve">Allow</button> <button name="decision" value="deny" formnovalidate>Deny</button></p>
</form></body></html>
`

// authorize shows the login page, or approves at once where it is told to.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q, ok := s.checkRequest(w, r)
	if !ok {
		return
	}
	if s.opts.Approve != "" {
		s.approve(w, r, q, s.opts.Approve)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, loginPage, html.EscapeString(q.Get("client_id")), html.EscapeString(q.Get("scope")), html.EscapeString("/authorize?"+r.URL.RawQuery))
}

// decide takes the login page's form.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	q, ok := s.checkRequest(w, r)
	if !ok {
		return
	}
	user := r.PostFormValue("user")
	if r.PostFormValue("decision") != "approve" || user == "" {
		s.record(Event{Kind: Denied})
		s.redirect(w, r, q, url.Values{"error": {"access_denied"}, "error_description": {"the person said no"}})
		return
	}
	s.approve(w, r, q, user)
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request, q url.Values, user string) {
	name := "ac_" + rand.Text()
	s.mu.Lock()
	s.codes[name] = &code{
		user: user, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"),
		expires: time.Now().Add(codeLife),
	}
	s.mu.Unlock()
	s.record(Event{Kind: Approved, User: user})
	s.redirect(w, r, q, url.Values{"code": {name}})
}

// checkRequest answers a request that must not be sent back to a client (RFC
// 6749 §4.1.2.1) and sends the other bad ones back.
func (s *Server) checkRequest(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || q.Get("client_id") != ClientID || !s.registered(q.Get("redirect_uri")) {
		s.record(Event{Kind: Refused, Detail: "unknown client or redirect_uri"})
		http.Error(w, "unknown client or redirect_uri", http.StatusBadRequest)
		return nil, false
	}
	problem := ""
	for _, values := range q {
		if len(values) > 1 {
			problem = "a parameter is repeated"
		}
	}
	switch {
	case problem != "":
	case q.Get("response_type") != "code":
		problem = "response_type must be code"
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		problem = "PKCE with S256 is required"
	}
	if problem != "" {
		s.record(Event{Kind: Refused, Detail: problem})
		s.redirect(w, r, q, url.Values{"error": {"invalid_request"}, "error_description": {problem}})
		return nil, false
	}
	return q, true
}

// registered allows the registered redirect URI with any port (RFC 8252 §7.3).
func (s *Server) registered(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	want := s.opts.Redirect.Host
	if want == "" {
		want = "127.0.0.1"
	}
	port, err := netip.ParseAddrPort("127.0.0.1:" + u.Port())
	return err == nil && u.Host == want+":"+u.Port() && port.Port() != 0 && u.Path == s.opts.Redirect.Path
}

func (s *Server) redirect(w http.ResponseWriter, r *http.Request, q, response url.Values) {
	response.Set("iss", s.URL)
	if q.Has("state") {
		response.Set("state", q.Get("state"))
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+response.Encode(), http.StatusSeeOther) //nolint:gosec // what an authorization server does; the caller has checked the URI
}
