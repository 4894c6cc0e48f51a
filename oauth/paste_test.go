package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
)

func TestPasteForms(t *testing.T) {
	tests := []struct {
		name       string
		text       func(redirect string, q url.Values) string
		unverified bool
	}{
		{"address", func(r string, q url.Values) string { return r + "?" + q.Encode() }, false},
		{"address without scheme", func(r string, q url.Values) string { return strings.TrimPrefix(r, "http://") + "?" + q.Encode() }, false},
		{"address with a fragment", func(r string, q url.Values) string { return r + "?" + q.Encode() + "#_=_" }, false},
		{"query", func(_ string, q url.Values) string { return q.Encode() }, false},
		{"query not escaped", func(_ string, q url.Values) string {
			return "code=" + q.Get("code") + "&state=" + q.Get("state") + "&iss=" + q.Get("iss")
		}, false},
		{"query with its mark", func(_ string, q url.Values) string { return "?" + q.Encode() }, false},
		{"code and state", func(_ string, q url.Values) string { return q.Get("code") + "#" + q.Get("state") }, false},
		{"code", func(_ string, q url.Values) string { return q.Get("code") }, true},
		{"bracketed paste", func(r string, q url.Values) string { return "\x1b[200~" + r + "?" + q.Encode() + "\x1b[201~\r\n" }, false},
		{"quoted", func(r string, q url.Values) string { return " “" + r + "?" + q.Encode() + "” " }, false},
		{"angle brackets", func(r string, q url.Values) string { return "<" + r + "?" + q.Encode() + ">" }, false},
		{"wrapped", func(r string, q url.Values) string {
			s := r + "?" + q.Encode()
			return s[:30] + "\r\n  " + s[30:60] + "\n" + s[60:]
		}, false},
		{"invisible characters", func(_ string, q url.Values) string {
			return "\ufeff" + q.Get("code")[:4] + "\u200b" + q.Get("code")[4:] + "\u00a0"
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := start(t)
			if err := a.Paste(tt.text(a.redirect(), a.answer(t))); err != nil {
				t.Fatalf("Paste: %v", err)
			}
			if err := <-a.result; err != nil {
				t.Fatal(err)
			}
			if a.token.StateUnverified != tt.unverified {
				t.Errorf("StateUnverified = %t, want %t", a.token.StateUnverified, tt.unverified)
			}
		})
	}
}

// TestBadPasteDoesNotEndTheWait tries each of them, and then logs in.
func TestBadPasteDoesNotEndTheWait(t *testing.T) {
	a := start(t)
	q := a.answer(t)
	encoded := q.Encode()
	without := func(name string) string {
		c, _ := url.ParseQuery(encoded)
		c.Del(name)
		return c.Encode()
	}
	state := q.Get("state")
	tests := map[string]string{
		"nothing":              "",
		"spaces":               " \t\r\n",
		"too long":             strings.Repeat("a", 8<<10+1),
		"too long with spaces": encoded + strings.Repeat(" ", 8<<10),
		"long code":            strings.Repeat("a", 4<<10+1),
		"another host":         "https://evil.test/callback?" + encoded,
		"another port":         "http://127.0.0.1:1/callback?" + encoded,
		"another path":         a.redirect() + "x?" + encoded,
		"https":                strings.Replace(a.redirect(), "http:", "https:", 1) + "?" + encoded,
		"user":                 strings.Replace(a.redirect(), "http://", "http://evil@", 1) + "?" + encoded,
		"the first address":    a.URL,
		"no query":             a.redirect(),
		"only a fragment":      a.redirect() + "#" + encoded,
		"no code":              a.redirect() + "?state=" + state,
		"no state":             a.redirect() + "?" + without("state"),
		"query without state":  without("state"),
		"wrong state":          strings.Replace(encoded, state, "WRONG", 1),
		"wrong state, short":   q.Get("code") + "#WRONG",
		"empty state, short":   q.Get("code") + "#",
		"no iss":               a.redirect() + "?" + without("iss"),
		"code twice":           encoded + "&code=x",
		"bad escape":           "?code=%zz&state=" + state,
		"error, wrong state":   "?error=access_denied&state=x",
		"a JWT":                "eyJhbGciOiJub25lIn0.e30.",
		"a key":                "sk-ant-oat01-x",
		"a refresh token":      "rt_0123456789",
		"not ASCII":            "cödé",
	}
	for name, text := range tests {
		err := a.Paste(text)
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		if strings.Contains(err.Error(), state) || strings.Contains(err.Error(), q.Get("code")) {
			t.Errorf("%s: the error repeats the answer: %v", name, err)
		}
	}
	a.finish(t, q)
}

func TestPastedRefusal(t *testing.T) {
	a := start(t)
	q := a.answer(t)
	q.Del("code")
	q.Set("error", "access_denied")
	if err := a.Paste(a.redirect() + "?" + q.Encode()); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*oauth.Error](<-a.result); !ok || e.Code != "access_denied" {
		t.Errorf("Wait does not say access_denied")
	}
}

// TestPasteOfAForeignCode: PKCE ties a bare code to the login it was made for.
func TestPasteOfAForeignCode(t *testing.T) {
	a := start(t)
	stranger, err := new(oauth.Client).StartLogin(t.Context(), *a.server.Provider().OAuth)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(nil)
	foreign := &attempt{Login: stranger}
	if err := a.Paste(foreign.answer(t).Get("code")); err != nil {
		t.Fatal(err)
	}
	if e := wantClass(t, <-a.result, oauth.Permanent); e.Code != "invalid_grant" {
		t.Errorf("code = %q, want invalid_grant", e.Code)
	}
	if a.server.Stats().Logins != 0 {
		t.Error("the foreign code was exchanged")
	}
}

// TestPasteRacesTheCallback: whoever is first, there is one exchange.
func TestPasteRacesTheCallback(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	s := startServer(t, oauthtest.Options{Approve: "ada"})
	for i := range rounds {
		l, err := new(oauth.Client).StartLogin(t.Context(), *s.Provider().OAuth)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(l.URL)
		a := &attempt{Login: l, query: u.Query()}
		answer := a.answer(t)
		request := get("/callback?"+answer.Encode(), "127.0.0.1:"+a.port())
		pasted, status := make(chan error, 1), make(chan int, 1)
		go func() { pasted <- l.Paste(answer.Encode()) }()
		go func() {
			r := a.raw(t, request)
			if r.StatusCode == http.StatusSeeOther {
				a.raw(t, get("/done", "127.0.0.1:"+a.port()))
			}
			status <- r.StatusCode
		}()
		if _, err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := http.StatusSeeOther
		if err := <-pasted; err == nil {
			want = http.StatusGone
		}
		if want == http.StatusGone { // told at once; the winner is held until Close
			if got := <-status; got != want {
				t.Fatalf("round %d: paste won, and the callback got %d", i, got)
			}
		}
		l.Close(nil)
		if want == http.StatusSeeOther {
			if got := <-status; got != want {
				t.Fatalf("round %d: paste lost, and the callback got %d", i, got)
			}
		}
		if got := s.Stats().Logins; got != i+1 {
			t.Fatalf("round %d: %d exchanges", i, got)
		}
	}
	if got := s.Stats(); got.Refused != 0 || got.Reuses != 0 {
		t.Errorf("the server saw %+v", got)
	}
}
