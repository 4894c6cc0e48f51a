//go:build linux

package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// chatVariable is set for the test that runs itself in a namespace.
const chatVariable = "E2E_CHATGPT"

// chatNamespace is a world of one machine, which is auth.openai.com as well.
const chatNamespace = `set -e
ip link set lo up
printf '127.0.0.1 localhost ` + chatHost + `\n' >"$E2E_CHATGPT"
mount --bind "$E2E_CHATGPT" /etc/hosts
exec "$@"`

// TestChatGPT signs in to ChatGPT with the built-in entry and the real names,
// at a server that stands in for the real one.
func TestChatGPT(t *testing.T) {
	if os.Getenv(chatVariable) != "" {
		chatGPTStory(t)
		return
	}
	t.Parallel()
	need(t, "unshare", "ip", "mount", "dbus-daemon", "gnome-keyring-daemon", node)
	if out, err := exec.Command("unshare", "--mount", "--net", "true").CombinedOutput(); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no namespaces, which take root: %v, %s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "sh", "-c", chatNamespace, "sh", os.Args[0], "-test.run=^TestChatGPT$", "-test.v")
	cmd.Env = append(os.Environ(), chatVariable+"="+filepath.Join(t.TempDir(), "hosts"), programsVariable+"="+filepath.Dir(binary))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestChatGPT") {
		t.Errorf("%v\n%s", err, out)
	}
}

// chatRig is a private desktop whose ChatGPT is the stand-in.
type chatRig struct {
	*rig
	s *chatGPT
}

func chatGPTStory(t *testing.T) {
	t.Helper()
	r := chatRig{newRig(t), startChatGPT(t)}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	r.write(ca, string(r.s.ca))
	r.env = append(r.env, "SSL_CERT_FILE="+ca)
	r.login("alice") // at another server: the rig searches for its secrets
	for _, c := range []struct {
		name string
		part func(*testing.T)
	}{
		{"port 1455", r.port1455},
		{"1455 busy", r.port1457},
		{"both busy", r.pasted},
		{"code", r.code},
		{"far from a browser", r.far},
		{"no codes", r.noCodes},
		{"refresh", r.refreshed},
		{"refused refreshes", r.refused},
		{"logout", r.logout},
	} {
		if !t.Run(c.name, c.part) {
			break
		}
	}
	for _, odd := range r.s.odd {
		t.Errorf("the real server would not take it: %s", odd)
	}
	c := canaries{}
	c.add("a secret of ChatGPT", r.s.issued...)
	finds, files, err := c.inFiles(r.dir)
	if err != nil || files == 0 || len(finds) > 0 {
		t.Errorf("%d files searched, %v: %q", files, err, finds)
	}
}

var chatPage = regexp.MustCompile(`https://` + regexp.QuoteMeta(chatHost) + `/oauth/authorize\?\S+`)

// signIn starts a login and hands on the page that it names.
func (r chatRig) signIn(t *testing.T, stdin io.Reader, args ...string) (p *process, page string) {
	t.Helper()
	p = r.start(stdin, append([]string{"login", "openai-codex"}, args...)...)
	eventually(t, "the sign-in page", func() bool {
		page = chatPage.FindString(p.stderr())
		return page != ""
	})
	return p, page
}

// done expects the end of a good login.
func (r chatRig) done(t *testing.T, p *process) {
	t.Helper()
	got := p.wait()
	if id := strings.TrimSpace(got.stdout); got.code != 0 || id != "openai-codex:ada@example.org" {
		t.Fatalf("exit %d, %q\n%s", got.code, id, got.stderr)
	}
	login := r.profiles("")["openai-codex:ada@example.org"]
	if login.AccountID != "acct-e2e-1" || login.Email != "ada@example.org" || login.Expires == 0 {
		t.Errorf("the profile is %+v", login)
	}
}

// back lets the browser come back to keytray at that port.
func (r chatRig) back(t *testing.T, page, port string) {
	t.Helper()
	callback := r.s.browser(page)
	if !strings.HasPrefix(callback, "http://localhost:"+port+"/auth/callback?") {
		t.Fatal("the browser is sent to another port")
	}
	res, err := http.Get(callback)
	if err != nil {
		t.Fatal("coming back to keytray failed") // the error has the code in it
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("keytray's page: %s", res.Status)
	}
}

func (r chatRig) port1455(t *testing.T) {
	t.Helper()
	p, page := r.signIn(t, nil, "--paste")
	r.back(t, page, "1455")
	r.done(t, p)
}

// take holds ports until the part is over.
func take(t *testing.T, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
}

func (r chatRig) port1457(t *testing.T) {
	t.Helper()
	take(t, "127.0.0.1:1455")
	p, page := r.signIn(t, nil, "--paste")
	r.back(t, page, "1457")
	r.done(t, p)
}

func (r chatRig) pasted(t *testing.T) {
	t.Helper()
	take(t, "127.0.0.1:1455", "127.0.0.1:1457")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, page := r.signIn(t, in, "--paste")
	in.Close()
	if _, err := io.WriteString(out, r.s.browser(page)+"\n"); err != nil {
		t.Fatal(err)
	}
	r.done(t, p)
	if text := p.stderr(); !strings.Contains(text, "The browser cannot come back by itself: ") || !strings.Contains(text, "1455") {
		t.Errorf("nothing is said of the ports:\n%s", text)
	}
}

// codeLogin is a login by the code that is shown.
func (r chatRig) codeLogin(t *testing.T, args ...string) *process {
	t.Helper()
	p := r.start(nil, append([]string{"login", "openai-codex"}, args...)...)
	var shown []string
	eventually(t, "a code", func() bool {
		shown = shownCode.FindStringSubmatch(p.stderr())
		return shown != nil
	})
	if want := "https://" + chatHost + "/codex/device"; shown[1] != want {
		t.Errorf("the page is %s, want %s", shown[1], want)
	}
	r.s.enter(shown[2])
	r.done(t, p)
	return p
}

func (r chatRig) code(t *testing.T) {
	t.Helper()
	r.codeLogin(t, "--device")
	r.s.set(func() {
		if r.s.polls != 3 {
			t.Errorf("%d polls, want 3: 404, 403, and the code", r.s.polls)
		}
	})
}

func (r chatRig) far(t *testing.T) {
	t.Helper()
	if text := r.codeLogin(t).stderr(); !chatPage.MatchString(text) || !strings.Contains(text, "paste the address") {
		t.Errorf("the page is not offered beside the code:\n%s", text)
	}
}

func (r chatRig) noCodes(t *testing.T) {
	t.Helper()
	r.s.set(func() { r.s.closed = true })
	got := r.run("login", "openai-codex", "--device")
	if got.code != 1 || !strings.Contains(got.stderr, "offers no sign-in with a code") || !strings.Contains(got.stderr, "security settings") {
		t.Errorf("exit %d\n%s", got.code, got.stderr)
	}
	p, page := r.signIn(t, nil) // the other way is still there
	r.back(t, page, "1455")
	r.done(t, p)
	r.s.set(func() { r.s.closed = false })
}

func (r chatRig) refreshed(t *testing.T) {
	t.Helper()
	before := r.must("token", "openai-codex").stdout
	r.must("refresh", "openai-codex")
	if r.must("token", "openai-codex").stdout == before {
		t.Error("a refresh left the old token")
	}
	spent := 0
	r.s.set(func() {
		for _, good := range r.s.refresh {
			if !good {
				spent++
			}
		}
	})
	if spent != 1 {
		t.Errorf("%d refresh tokens were spent, want 1", spent)
	}
}

// refused: each of the three errors ends the login, says why, and a new sign-in
// mends it.
func (r chatRig) refused(t *testing.T) {
	t.Helper()
	for code, says := range map[string]string{
		"refresh_token_expired":     "the provider let this login expire",
		"refresh_token_reused":      "another program used this login, so the provider ended it",
		"refresh_token_invalidated": "the provider revoked this login (refresh_token_invalidated)",
	} {
		r.s.set(func() { r.s.refuse = code })
		got := r.run("refresh", "openai-codex")
		if got.code != 4 || !strings.Contains(got.stderr, "keytray: hint: keytray login openai-codex --profile-id openai-codex:ada@example.org") {
			t.Errorf("%s: exit %d\n%s", code, got.code, got.stderr)
		}
		if status := r.must("status").stdout; !strings.Contains(status, "needs_login: "+says) {
			t.Errorf("%s: status says\n%s", code, status)
		}
		r.s.set(func() { r.s.refuse = "" })
		r.codeLogin(t, "--device")
	}
}

// logout ends the login here and at the server, with a request as Codex sends it.
func (r chatRig) logout(t *testing.T) {
	t.Helper()
	r.must("logout", "openai-codex:ada@example.org")
	r.s.set(func() {
		if len(r.s.revoked) != 1 {
			t.Errorf("%d revocations were sent, want 1", len(r.s.revoked))
		}
		for _, sent := range r.s.revoked {
			if sent["client_id"] != chatClient || sent["token_type_hint"] != "refresh_token" || !r.s.refresh[sent["token"]] {
				t.Error("the revocation is not one that the real server takes")
			}
		}
	})
	if got := r.run("token", "openai-codex"); got.code != 4 {
		t.Errorf("token after logout: exit %d\n%s", got.code, got.stderr)
	}
}
