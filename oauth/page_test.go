package oauth

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

func TestPolicyAllowsTheStyle(t *testing.T) {
	sum := sha256.Sum256([]byte(style))
	if want := base64.StdEncoding.EncodeToString(sum[:]); styleHash != want {
		t.Errorf("styleHash = %s, want %s", styleHash, want)
	}
}

const (
	fuzzState = "STATESTATESTATESTATESTATES"
	fuzzHost  = "127.0.0.1:1455"
)

func fuzzLogin() *Login {
	return &Login{
		redirect: "http://" + fuzzHost + "/cb",
		provider: provider.OAuth{Issuer: "https://as.test"},
		state:    secret.New(fuzzState),
		answers:  make(chan answer, 1),
	}
}

// FuzzCallbackRequest: only a request with the exact state is an answer, every
// answer of ours has the headers, and nothing of a request comes back.
func FuzzCallbackRequest(f *testing.F) {
	head := " HTTP/1.1\r\nHost: " + fuzzHost + "\r\n"
	f.Add([]byte("GET /cb?code=c&state=" + fuzzState + head + "\r\n"))
	f.Add([]byte("GET /cb?code=c&state=" + fuzzState + "&iss=https://as.test" + head + "Sec-Fetch-Mode: navigate\r\nOrigin: null\r\n\r\n"))
	f.Add([]byte("GET /cb?error=access_denied&state=" + fuzzState + head + "\r\n"))
	f.Add([]byte("GET /cb?code=c&state=x&state=" + fuzzState + head + "\r\n"))
	f.Add([]byte("GET http://evil.test/cb?code=c&state=" + fuzzState + head + "\r\n"))
	f.Add([]byte("GET /done" + head + "\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(b))))
		if err != nil {
			return
		}
		l := fuzzLogin()
		p := newPage("/cb", 1455, l.accept)
		close(p.ended) // so that a good answer is not held
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Fatalf("headers = %v", w.Header())
		}
		if w.Body.Len() > 0 && w.Body.String() != textRefused && w.Body.String() != textFailed {
			t.Fatalf("not one of the pages: %s", w.Body)
		}
		if to := w.Header().Get("Location"); to != "" && to != "/failed" {
			t.Fatalf("Location = %q", to)
		}
		if !l.used {
			return
		}
		q, err := url.ParseQuery(r.URL.RawQuery)
		exact := err == nil && len(q["state"]) == 1 && q.Get("state") == fuzzState
		if !exact || r.Method != http.MethodGet || r.URL.Path != "/cb" || w.Code != http.StatusSeeOther {
			t.Fatalf("consumed by %q with %d", b, w.Code)
		}
		if a := <-l.answers; a.denied == nil && (a.code.Reveal() != q.Get("code") || a.unverified) {
			t.Fatalf("took %q", a.code.Reveal())
		}
	})
}

// FuzzPasteInput: cleaning twice is cleaning once, a foreign origin or a wrong
// state is never taken, and a code alone is marked.
func FuzzPasteInput(f *testing.F) {
	f.Add("http://" + fuzzHost + "/cb?code=c&state=" + fuzzState)
	f.Add(fuzzHost + "/cb?code=c&state=" + fuzzState + "#x")
	f.Add("code=c&state=" + fuzzState)
	f.Add("\x1b[200~c#" + fuzzState + "\x1b[201~\r\n")
	f.Add("\x1b[20\x1b[200~0~“ c\u200b\u202e ”")
	f.Add("https://evil.test/cb?code=c&state=" + fuzzState)
	f.Add("eyJhbGciOiJub25lIn0")
	f.Fuzz(func(t *testing.T, input string) {
		text := cleanPaste(input)
		if again := cleanPaste(text); again != text {
			t.Fatalf("cleaned twice: %q, then %q", text, again)
		}
		l := fuzzLogin()
		if l.Paste(input) != nil {
			if l.used {
				t.Fatal("an error, and taken")
			}
			return
		}
		a := <-l.answers
		if u, err := url.Parse(text); err == nil && u.Scheme != "" && u.Host != "" && !strings.HasPrefix(text, l.redirect+"?") {
			t.Fatalf("taken from a foreign address: %q", text)
		}
		if !a.unverified && !strings.Contains(text, fuzzState) {
			if q, err := url.ParseQuery(text[strings.Index(text, "?")+1:]); err != nil || !strings.HasPrefix(q.Get("state"), fuzzState) {
				t.Fatalf("verified without the state: %q", text)
			}
		}
		if a.denied == nil && (a.code.Empty() || !isPrintable(a.code.Reveal()) || len(a.code.Reveal()) > maxCode) {
			t.Fatalf("code = %q", a.code.Reveal())
		}
	})
}
