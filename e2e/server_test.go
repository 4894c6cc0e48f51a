//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// node is pinned with the server it runs. It is not taken from node_modules/.bin,
// where npm before version 10 does not put it.
var node = "node_modules/node-linux-" + strings.Replace(runtime.GOARCH, "amd", "x", 1) + "/bin/node"

// server is an authorization server in a child process: oidc-provider, see
// server.mjs, or one of those in folder servers.
type server struct {
	t      testing.TB
	issuer string
	kind
}

// kind is what one server has other than the others.
type kind struct {
	name                          string
	auth, token, revocation, info string // paths
	device                        string // path, empty where it has none
	person, password              string // who can sign in; empty for everybody
	iss                           bool   // it says who it is in its responses
	params                        string // what a request must have besides
	strict                        bool   // the second use of a refresh token ends the login
}

var (
	oidcProvider = kind{
		name: "oidc-provider", auth: "/auth", token: "/token", revocation: "/token/revocation", info: "/me", device: "/device/auth",
		iss: true, params: `"prompt": "consent"`, strict: true,
	}
	zitadel = kind{
		name: "zitadel", auth: "/auth", token: "/oauth/token", revocation: "/revoke", info: "/userinfo", device: "/device_authorization",
		person: "test-user2", password: "verysecure",
	}
	fosite = kind{
		name: "fosite", auth: "/oauth2/auth", token: "/oauth2/token", revocation: "/oauth2/revoke", info: "/userinfo", strict: true,
	}
)

// ledger is all that the server has seen and issued, in order.
type ledger struct {
	Codes, Verifiers, Access, Refresh, IDTokens, Errors []string
	Devices, Revocations                                []string // of the servers in Go
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
	return serve(tb, oidcProvider, exec.Command(node, "server.mjs"))
}

func serve(tb testing.TB, k kind, cmd *exec.Cmd) *server {
	tb.Helper()
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
	return &server{t: tb, issuer: ready.Issuer, kind: k}
}

// providerFile is what a user would write to sign in at this server.
func (s *server) providerFile() string {
	device := ""
	if s.device != "" {
		device = fmt.Sprintf("\n    \"device_authorization_endpoint\": %q,", s.issuer+s.device)
	}
	return fmt.Sprintf(`{
  // a server on this machine
  "id": "rig",
  "name": "Rig",
  "oauth": {
    "issuer": %[1]q,
    "authorization_endpoint": "%[1]s%[2]s",%[7]s
    "token_endpoint": "%[1]s%[3]s",
    "revocation_endpoint": "%[1]s%[4]s",
    "authorization_response_iss_parameter_supported": %[5]t,
    "client_id": "rig",
    "scopes": ["openid", "offline_access", "email"],
    "authorization_params": {%[6]s},
    "redirect": {"path": "/cb"},
    "identity": {"account": ["sub"], "email": ["email"]},
    "allow_http_loopback": true
  }
}
`, s.issuer, s.auth, s.kind.token, s.revocation, s.iss, s.params, device)
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

// signIn is somebody at a browser without windows: an HTTP client that signs in
// as that login and consents. It returns the redirect to the application
// without following it.
func (s *server) signIn(login, authorize string) string {
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
		action := formTag.FindSubmatch(page)
		if err2 != nil || action == nil {
			s.t.Fatalf("signing in: no form on the page (%s): %s", res.Status, page)
		}
		to, err3 := res.Request.URL.Parse(html.UnescapeString(string(action[1])))
		if err3 != nil {
			s.t.Fatal(err3)
		}
		form := fields(string(page))
		for name, value := range map[string]string{"login": login, "username": login, "password": cmp.Or(s.password, "any")} {
			if form.Has(name) {
				form.Set(name, value)
			}
		}
		res, err = c.PostForm(to.String(), form)
	}
	s.t.Fatal("signing in: the pages do not end")
	return ""
}
