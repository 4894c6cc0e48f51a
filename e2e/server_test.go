//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// node is pinned with the server it runs. It is not taken from node_modules/.bin,
// where npm before version 10 does not put it.
var node = "node_modules/node-linux-" + strings.Replace(runtime.GOARCH, "amd", "x", 1) + "/bin/node"

// server is oidc-provider in a child process; see server.mjs.
type server struct {
	t      testing.TB
	issuer string
}

// ledger is all that the server has seen and issued, in order.
type ledger struct {
	Codes, Verifiers, Access, Refresh, IDTokens, Errors []string
	Exchanges                                           int
	Refreshes                                           []refreshed
}

// refreshed is one refresh request that the server decided.
type refreshed struct {
	Sent, Issued, Error string
	At                  int64 // Unix milliseconds
}

func startServer(tb testing.TB) *server {
	tb.Helper()
	cmd := exec.Command(node, "server.mjs")
	var complaints bytes.Buffer // it warns of what is only for development; shown when it does not start
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close() // it ends with its stdin
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cmd.Wait()
		tb.Fatalf("starting the authorization server: %v\n%s", err, &complaints)
	}
	var ready struct{ Issuer string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		tb.Fatal(err)
	}
	return &server{t: tb, issuer: ready.Issuer}
}

// providerFile is what a user would write to sign in at this server.
func (s *server) providerFile() string {
	return fmt.Sprintf(`{
  // a server on this machine
  "id": "rig",
  "name": "Rig",
  "oauth": {
    "issuer": %[1]q,
    "authorization_endpoint": "%[1]s/auth",
    "device_authorization_endpoint": "%[1]s/device/auth",
    "token_endpoint": "%[1]s/token",
    "revocation_endpoint": "%[1]s/token/revocation",
    "authorization_response_iss_parameter_supported": true,
    "client_id": "rig",
    "scopes": ["openid", "offline_access", "email"],
    "authorization_params": {"prompt": "consent"},
    "redirect": {"path": "/cb"},
    "identity": {"account": ["sub"], "email": ["email"]},
    "allow_http_loopback": true
  }
}
`, s.issuer)
}

func (s *server) ledger() ledger {
	s.t.Helper()
	var l ledger
	s.control(http.MethodGet, "ledger", &l)
	for _, e := range l.Errors {
		s.t.Errorf("the authorization server broke: %s", e)
	}
	return l
}

// life sets how long the access tokens live that are issued from now on.
func (s *server) life(d time.Duration) {
	s.t.Helper()
	s.control(http.MethodPost, fmt.Sprintf("life?access=%d", int(d.Seconds())), nil)
}

// holdAnswer makes the server serve the next token request at once, and answer
// it only after d.
func (s *server) holdAnswer(d time.Duration) {
	s.t.Helper()
	s.control(http.MethodPost, fmt.Sprintf("fault?count=1&after=%d", d.Milliseconds()), nil)
}

func (s *server) control(method, what string, into any) {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context()) // cleanups ask too
	req, err := http.NewRequestWithContext(ctx, method, s.issuer+"/e2e/"+what, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s /e2e/%s: %s", method, what, res.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		s.t.Fatal(err)
	}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formPrompt = regexp.MustCompile(`name="prompt" value="([^"]+)"`)
)

// person is somebody at a browser without windows: an HTTP client that signs in
// as that login and consents. It returns the redirect to the application
// without following it.
func (s *server) person(login, authorize string) string {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var redirect string
	c := &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), s.issuer+"/") {
			return nil
		}
		redirect = req.URL.String()
		return http.ErrUseLastResponse
	}}
	res, err := c.Get(authorize)
	for range 6 {
		if err != nil {
			s.t.Fatalf("signing in: %v", err)
		}
		page, err2 := io.ReadAll(res.Body)
		res.Body.Close()
		if redirect != "" {
			return redirect
		}
		action, prompt := formAction.FindSubmatch(page), formPrompt.FindSubmatch(page)
		if err2 != nil || action == nil || prompt == nil {
			s.t.Fatalf("signing in: no form on the page (%s): %s", res.Status, page)
		}
		res, err = c.PostForm(string(action[1]), url.Values{
			"prompt": {string(prompt[1])}, "login": {login}, "password": {"any"},
		})
	}
	s.t.Fatal("signing in: the pages do not end")
	return ""
}
