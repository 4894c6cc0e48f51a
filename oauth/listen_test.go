package oauth_test

import (
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
)

func hold(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", address, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// freePort is one that is free on IPv4 and IPv6 right now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(l)
}

func startOn(t *testing.T, r provider.Redirect) *oauth.Login {
	t.Helper()
	p := at("https://as.test/token")
	p.Redirect = r
	l, err := new(oauth.Client).StartLogin(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(nil) })
	return l
}

func redirectOf(t *testing.T, l *oauth.Login) string {
	t.Helper()
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("redirect_uri")
}

func answers(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func TestLocalhostListensOnBoth(t *testing.T) {
	hold(t, "[::1]:0") // or skip
	for _, ports := range [][]int{nil, {freePort(t)}} {
		l := startOn(t, provider.Redirect{Host: "localhost", Path: "/cb", Ports: ports})
		u, _ := url.Parse(redirectOf(t, l))
		if u.Hostname() != "localhost" || !answers("127.0.0.1:"+u.Port()) || !answers("[::1]:"+u.Port()) {
			t.Errorf("%s is not served on both addresses", u)
		}
	}
}

// TestNothingElseListens: another address of this machine is refused.
func TestNothingElseListens(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	l := startOn(t, provider.Redirect{Path: "/cb"})
	u, _ := url.Parse(redirectOf(t, l))
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() && answers(net.JoinHostPort(n.IP.String(), u.Port())) {
			t.Errorf("%s answers", n.IP)
		}
	}
}

func TestLiteralHostsBindThemselves(t *testing.T) {
	hold(t, "[::1]:0") // or skip
	for host, other := range map[string]string{"127.0.0.1": "[::1]", "[::1]": "127.0.0.1"} {
		l := startOn(t, provider.Redirect{Host: host, Path: "/cb"})
		u, _ := url.Parse(redirectOf(t, l))
		if !answers(host+":"+u.Port()) || answers(other+":"+u.Port()) {
			t.Errorf("%s: served %t, on %s %t", u, answers(host+":"+u.Port()), other, answers(other+":"+u.Port()))
		}
	}
}

func TestBusyPortFallsBack(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			busy, free := portOf(hold(t, address)), freePort(t)
			l := startOn(t, provider.Redirect{Host: "localhost", Path: "/cb", Ports: []int{busy, free}})
			want := "http://localhost:" + strconv.Itoa(free) + "/cb"
			if got := redirectOf(t, l); l.Listening() != nil || got != want {
				t.Errorf("redirect_uri = %s (%v), want %s", got, l.Listening(), want)
			}
		})
	}
}

// TestAllPortsBusy: the login goes on by paste, and says who holds the port.
func TestAllPortsBusy(t *testing.T) {
	s := startServer(t, oauthtest.Options{Approve: "ada", Redirect: provider.Redirect{Host: "localhost", Path: "/auth/callback", Ports: []int{portOf(hold(t, "127.0.0.1:0"))}}})
	p := *s.Provider().OAuth
	l, err := new(oauth.Client).StartLogin(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(nil)
	pe, ok := errors.AsType[*oauth.PortError](l.Listening())
	if !ok || pe.Port != p.Redirect.Ports[0] {
		t.Fatalf("Listening() = %v, want a PortError for %d", l.Listening(), p.Redirect.Ports[0])
	}
	if runtime.GOOS == "linux" && pe.Holder != "keytray itself (another sign-in is waiting)" {
		t.Errorf("holder = %q", pe.Holder)
	}
	a := &attempt{Login: l}
	if err := l.Paste(a.answer(t).Encode()); err != nil {
		t.Fatal(err)
	}
	if token, err := l.Wait(t.Context()); err != nil || token.Account.ID != "acct-ada" {
		t.Errorf("Wait: %+v, %v", token.Account, err)
	}
}

// TestPortHolderIsNamed: the holder is another process, this test's own binary.
func TestPortHolderIsNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperHoldsPort$")
	cmd.Env = append(os.Environ(), "OAUTH_TEST_HOLD=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	line := make([]byte, 8)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	l := startOn(t, provider.Redirect{Path: "/cb", Ports: []int{port}})
	pe, ok := errors.AsType[*oauth.PortError](l.Listening())
	if want := "oauth.test (process " + strconv.Itoa(cmd.Process.Pid) + ")"; !ok || pe.Holder != want {
		t.Errorf("Listening() = %v, want %s", l.Listening(), want)
	}
}

func TestHelperHoldsPort(t *testing.T) {
	if os.Getenv("OAUTH_TEST_HOLD") == "" {
		t.Skip("runs in a process of its own")
	}
	l := hold(t, "127.0.0.1:0")
	_, _ = os.Stdout.WriteString(strconv.Itoa(portOf(l)) + "\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
}
