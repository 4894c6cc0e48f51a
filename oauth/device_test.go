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
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

const (
	rfcStart = `{"device_code":"dc_SECRET","user_code":"WDJB-MJHT","verification_uri":"https://as.test/device",` +
		`"verification_uri_complete":"https://as.test/device?user_code=WDJB-MJHT","expires_in":900,"interval":5}`
	chatStart = `{"device_auth_id":"da_SECRET","user_code":"ABCD-12345","interval":"5"}`
)

// deviceProvider signs in with a code alone.
func deviceProvider() provider.OAuth {
	p := at("https://as.test/token")
	p.AuthorizationEndpoint, p.Redirect, p.Identity.Required = "", provider.Redirect{}, false
	p.DeviceAuthorizationEndpoint = "https://as.test/start"
	return p
}

// chatProvider does it in the way of auth.openai.com.
func chatProvider() provider.OAuth {
	p := deviceProvider()
	p.DeviceExchange = &provider.DeviceExchange{PollEndpoint: "https://as.test/poll", VerificationURI: "https://as.test/codex/device", RedirectURI: "https://as.test/cb"}
	return p
}

// says is one answer of a scripted server; status 0 is a connection that breaks.
type says struct {
	status int
	body   string
}

var (
	waits = says{400, `{"error":"authorization_pending"}`}
	slow  = says{400, `{"error":"slow_down"}`}
	yes   = says{200, `{"access_token":"a","refresh_token":"R1","token_type":"bearer"}`}
)

// script answers one request after the other, and repeats the last answer.
type script struct {
	answers []says
	asked   []time.Time
	bodies  []string
	paths   []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	b, _ := io.ReadAll(r.Body)
	s.asked, s.bodies, s.paths = append(s.asked, time.Now()), append(s.bodies, string(b)), append(s.paths, r.URL.Path)
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	if a.status == 0 {
		return nil, errors.New("connection broken")
	}
	w := httptest.NewRecorder()
	w.WriteHeader(a.status)
	_, _ = w.WriteString(a.body)
	return w.Result(), nil
}

// gaps are the seconds before each request but the first.
func (s *script) gaps() []float64 {
	var gaps []float64
	for i := range len(s.asked) - 1 {
		gaps = append(gaps, s.asked[i+1].Sub(s.asked[i]).Seconds())
	}
	return gaps
}

// device signs in with a code in a bubble of fake time.
func device(t *testing.T, p provider.OAuth, s *script) (oauth.Token, error) {
	t.Helper()
	d, err := (&oauth.Client{Transport: s}).StartDevice(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return d.Wait(t.Context())
}

// TestDevicePace: RFC 8628 §3.5, a fifth slower than the server allows.
func TestDevicePace(t *testing.T) {
	t.Parallel()
	lost := says{}
	start := func(interval string) says {
		return says{200, strings.Replace(rfcStart, `"interval":5`, `"interval":`+interval, 1)}
	}
	for name, tt := range map[string]struct {
		answers []says
		want    []float64
	}{
		"pending":           {[]says{start("5"), waits, waits, yes}, []float64{6, 6, 6}},
		"slow_down stays":   {[]says{start("5"), slow, waits, slow, waits, yes}, []float64{6, 12, 12, 18, 18}},
		"slow_down of 429":  {[]says{start("5"), {429, slow.body}, yes}, []float64{6, 12}},
		"no interval":       {[]says{start("null"), waits, yes}, []float64{6, 6}},
		"text":              {[]says{start(`"10"`), waits, yes}, []float64{12, 12}},
		"zero":              {[]says{start("0"), waits, yes}, []float64{1.2, 1.2}},
		"negative":          {[]says{start("-3"), waits, yes}, []float64{1.2, 1.2}},
		"an hour":           {[]says{start("3600"), waits, yes}, []float64{360, 360}},
		"no answer":         {[]says{start("5"), lost, lost, lost, lost, lost, waits, yes}, []float64{6, 12, 24, 48, 72, 72, 6}},
		"out of order":      {[]says{start("5"), {502, ""}, {503, ""}, waits, yes}, []float64{6, 12, 24, 6}},
		"GitHub's 200":      {[]says{start("5"), {200, waits.body}, {200, slow.body}, yes}, []float64{6, 6, 12}},
		"Auth0's 403":       {[]says{start("5"), {403, waits.body}, yes}, []float64{6, 6}},
		"a firewall's 403":  {[]says{start("5"), {403, "<html>"}, yes}, []float64{6, 360}},
		"an interval large": {[]says{start("200"), lost, yes}, []float64{240, 240}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: tt.answers}
				if _, err := device(t, deviceProvider(), s); err != nil {
					t.Fatal(err)
				}
				if got := s.gaps(); !slices.Equal(got, tt.want) {
					t.Errorf("gaps = %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestDeviceExpires: also where the server does not say so, or says too much.
func TestDeviceExpires(t *testing.T) {
	t.Parallel()
	for expires, want := range map[string]time.Duration{
		"900": 15 * time.Minute, `"60"`: time.Minute, "null": 15 * time.Minute, "-1": 15 * time.Minute, "1e12": 30 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []says{{200, strings.Replace(rfcStart, "900", expires, 1)}, waits}}
			start := time.Now()
			if _, err := device(t, deviceProvider(), s); !errors.Is(err, oauth.ErrTimeout) || time.Since(start) != want {
				t.Errorf("expires_in %s: %v after %v, want ErrTimeout after %v", expires, err, time.Since(start), want)
			}
		})
	}
}

// TestDeviceEnds: what ends the login at once, and with what.
func TestDeviceEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer says
		want   string
	}{
		{says{400, `{"error":"expired_token"}`}, oauth.ErrTimeout.Error()},
		{says{400, `{"error":"access_denied","error_description":"no"}`}, "the server refused the sign-in, access_denied (no)"},
		{says{200, `{"error":"access_denied"}`}, "the server refused the sign-in, access_denied"},
		{says{400, `{"error":"invalid_grant"}`}, "the server answered with status 400, invalid_grant"},
		{says{400, `{"error":"invalid_request"}`}, "the server answered with status 400, invalid_request"},
		{says{401, `{"error":"invalid_client"}`}, "the server answered with status 401, invalid_client"},
		{says{400, `{"error":"unheard_of"}`}, "the server answered with status 400, unheard_of"},
		{says{400, `{"error":"invalid_grant","error_description":"dc_SECRET"}`}, "the server answered with status 400, invalid_grant"},
		{says{200, `<html>`}, "the server answered with status 200: malformed JSON object"},
		{says{200, `{"access_token":""}`}, "the server answered with status 200: answer without a usable token"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []says{{200, rfcStart}, tt.answer}}
			_, err := device(t, deviceProvider(), s)
			if err == nil || err.Error() != tt.want || len(s.asked) != 2 {
				t.Errorf("%v: %v after %d requests, want %s", tt.answer, err, len(s.asked), tt.want)
			}
		})
	}
}

// TestDeviceKeepsTheRefreshToken of an answer that is otherwise no good.
func TestDeviceKeepsTheRefreshToken(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"refresh_token":"R1"}`, `{"refresh_token":"R1","error":"slow_down"}`, `{"refresh_token":"R1","access_token":"a"`} {
		synctest.Test(t, func(t *testing.T) {
			token, err := device(t, deviceProvider(), &script{answers: []says{{200, rfcStart}, {200, body}}})
			if err == nil || token.Refresh.Reveal() != "R1" {
				t.Errorf("%s: %v, refresh token %t", body, err, !token.Refresh.Empty())
			}
		})
	}
}

func TestDeviceRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []says{{200, rfcStart}, yes}}
		token, err := device(t, deviceProvider(), s)
		if err != nil || token.Refresh.Reveal() != "R1" || token.Scope != "openid email offline_access" {
			t.Fatalf("%v, %q", err, token.Scope)
		}
		want := []string{
			"client_id=keytray-demo&scope=openid+email+offline_access",
			"client_id=keytray-demo&device_code=dc_SECRET&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code",
		}
		if !slices.Equal(s.bodies, want) || !slices.Equal(s.paths, []string{"/start", "/token"}) {
			t.Errorf("sent %q to %q", s.bodies, s.paths)
		}
	})
}

// TestDeviceExchange is the flow of auth.openai.com: 403 and 404 mean not yet.
func TestDeviceExchange(t *testing.T) {
	t.Parallel()
	code := says{200, `{"authorization_code":"ac_SECRET","code_challenge":"c","code_verifier":"v_SECRET"}`}
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []says{{200, chatStart}, {403, ""}, {404, `{"error":"x"}`}, {0, ""}, code, yes}}
		token, err := device(t, chatProvider(), s)
		if err != nil || token.Refresh.Reveal() != "R1" {
			t.Fatal(err)
		}
		poll := `{"device_auth_id":"da_SECRET","user_code":"ABCD-12345"}`
		want := []string{
			`{"client_id":"keytray-demo"}`, poll, poll, poll, poll,
			"client_id=keytray-demo&code=ac_SECRET&code_verifier=v_SECRET&grant_type=authorization_code&redirect_uri=" + url.QueryEscape("https://as.test/cb"),
		}
		if !slices.Equal(s.bodies, want) || !slices.Equal(s.paths, []string{"/start", "/poll", "/poll", "/poll", "/poll", "/token"}) {
			t.Errorf("sent %q to %q", s.bodies, s.paths)
		}
		if got, want := s.gaps(), []float64{6, 6, 6, 12, 0}; !slices.Equal(got, want) {
			t.Errorf("gaps = %v, want %v", got, want)
		}
	})
	// A code is exchanged once, whatever comes of it.
	for _, answer := range []says{{0, ""}, {503, ""}, {400, `{"error":"invalid_grant"}`}, {400, slow.body}} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []says{{200, chatStart}, code, answer}}
			if _, err := device(t, chatProvider(), s); err == nil || len(s.asked) != 3 || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%v: %v after %d requests", answer, err, len(s.asked))
			}
		})
	}
	for _, answer := range []says{
		{200, `{}`},
		{200, `{"authorization_code":"a"}`},
		{200, `{"code_verifier":"v"}`},
		{200, `[`},
		{400, `{"error":"expired_token"}`},
		{400, `{"error":{"code":"x","message":"da_SECRET"}}`},
		{400, `{"error":"x","error_description":"no code ABCD-12345"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []says{{200, chatStart}, answer}}
			_, err := device(t, chatProvider(), s)
			if err == nil || len(s.asked) != 2 || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "ABCD") {
				t.Errorf("%v: %v after %d requests", answer, err, len(s.asked))
			}
		})
	}
}

func TestDeviceIsNotOffered(t *testing.T) {
	t.Parallel()
	p := deviceProvider()
	p.AuthorizationEndpoint, p.Redirect, p.DeviceAuthorizationEndpoint = "https://as.test/a", provider.Redirect{Path: "/cb"}, ""
	if _, err := new(oauth.Client).StartDevice(t.Context(), p); !errors.Is(err, oauth.ErrNoDevice) {
		t.Errorf("without an endpoint: %v", err)
	}
	c := &oauth.Client{Transport: &script{answers: []says{{404, "not found"}}}}
	if _, err := c.StartDevice(t.Context(), chatProvider()); !errors.Is(err, oauth.ErrNoDevice) {
		t.Errorf("404 of ChatGPT: %v", err)
	}
	if _, err := c.StartLogin(t.Context(), deviceProvider()); !errors.Is(err, oauth.ErrNoBrowser) {
		t.Errorf("a browser login without an endpoint: %v", err)
	}
}

// TestDeviceIsNotBegun by an answer that would lead the person astray.
func TestDeviceIsNotBegun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ old, new string }{
		{"https://as.test/device", "http://as.test/device"},
		{"https://as.test/device", "javascript:alert(1)"},
		{"https://as.test/device", "https://u:p@as.test/device"},
		{"https://as.test/device", "https://as.tеst/device"}, // a Cyrillic letter
		{"WDJB-MJHT", `WD\u0007JB`},
		{"WDJB-MJHT", `WD\u202eJB`},
		{"WDJB-MJHT", " WDJB"},
		{"WDJB-MJHT", ""},
		{"WDJB-MJHT", strings.Repeat("A", 65)},
		{"dc_SECRET", `d\nc`},
		{"dc_SECRET", ""},
		{`{"device_code"`, `{"error":"invalid_client","device_code"`},
		{`}`, ``},
	} {
		c := &oauth.Client{Transport: &script{answers: []says{{200, strings.ReplaceAll(rfcStart, tt.old, tt.new)}}}}
		if _, err := c.StartDevice(t.Context(), deviceProvider()); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q for %q: %v", tt.new, tt.old, err)
		}
	}
	client := &oauth.Client{Transport: &script{answers: []says{{401, `{"error":"invalid_client","error_description":"not cs_SECRET"}`}}}, Key: secret.New("cs_SECRET")}
	p := deviceProvider()
	p.ClientAuth = provider.SecretPost
	if _, err := client.StartDevice(t.Context(), p); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a server that repeats the client's secret: %v", err)
	}
	body := strings.Replace(rfcStart, "https://as.test/device?", "https://other.test/device?", 1)
	c := &oauth.Client{Transport: &script{answers: []says{{200, body}}}}
	if d, err := c.StartDevice(t.Context(), deviceProvider()); err != nil || d.Complete != "" {
		t.Errorf("a complete address on another host was taken: %v", err)
	}
}

// TestDeviceIsCancelled during a rest and during a request.
func TestDeviceIsCancelled(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{time.Second, 6500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []says{{200, rfcStart}}}
			c := &oauth.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/start" {
					return s.RoundTrip(r)
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}
			d, err := c.StartDevice(t.Context(), deviceProvider())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			start := time.Now()
			if _, err := d.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != after {
				t.Errorf("%v after %v, want a deadline after %v", err, time.Since(start), after)
			}
		})
	}
}

// TestDeviceWithAServer: the person takes a while, and says yes or no.
func TestDeviceWithAServer(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"ada", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.New(oauthtest.Options{Device: true})
			s.URL = "http://127.0.0.1:9"
			c := &oauth.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				return w.Result(), nil
			})}
			d, err := c.StartDevice(t.Context(), *s.Provider().OAuth)
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(90*time.Second, func() { _ = s.Decide(d.UserCode, user) })
			token, err := d.Wait(t.Context())
			if e, ok := errors.AsType[*oauth.Error](err); user == "" && (!ok || e.Code != "access_denied" || e.Class != oauth.Permanent) {
				t.Errorf("denied: %v", err)
			}
			if user != "" && (err != nil || token.Account.ID != "acct-ada") {
				t.Errorf("%v, %+v", err, token.Account)
			}
		})
	}
}

// FuzzDeviceResponse: whatever a server answers, what is shown to the person can
// be shown, and times stay in their bounds.
func FuzzDeviceResponse(f *testing.F) {
	f.Add(200, rfcStart, false)
	f.Add(200, chatStart, true)
	f.Add(200, `{"device_code":"d","user_code":"A B","verification_url":"https://www.google.com/device","interval":1e400,"expires_in":"-0"}`, false)
	f.Add(404, "", true)
	f.Add(400, `{"error":{"code":"x","message":"y"}}`, false)
	f.Fuzz(func(t *testing.T, status int, body string, exchange bool) {
		if status < 200 || status > 599 {
			return
		}
		p := deviceProvider()
		if exchange {
			p = chatProvider()
		}
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &script{answers: []says{{status, body}, {400, `{"error":"expired_token"}`}}}
			d, err := (&oauth.Client{Transport: s}).StartDevice(t.Context(), p)
			if err != nil {
				if _, known := errors.AsType[*oauth.Error](err); !known && !errors.Is(err, oauth.ErrNoDevice) {
					t.Fatalf("err = %v", err)
				}
				return
			}
			if life := d.Expires.Sub(start); life < time.Second || life > 30*time.Minute {
				t.Errorf("life = %v", life)
			}
			for _, u := range []string{d.Page, d.Complete} {
				if u != "" && oauth.CheckBrowserURL(u) != nil {
					t.Errorf("page %q", u)
				}
			}
			if text, _ := json.Marshal(d.UserCode); len(text) < 3 || len(d.UserCode) > 64 || strings.ContainsFunc(d.UserCode, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("user code %q", d.UserCode)
			}
			if _, err := d.Wait(t.Context()); err == nil {
				t.Error("Wait has a token that nobody issued")
			}
			if rest := time.Since(start); rest < time.Second || rest > 6*time.Minute {
				t.Errorf("the first poll came after %v", rest)
			}
		})
	})
}
