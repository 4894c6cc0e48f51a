//go:build linux

package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	formTag  = regexp.MustCompile(`<form(?:[^>]* action="([^"]+)")?`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	property = regexp.MustCompile(`(name|value)="([^"]*)"`)

	confirmation = regexp.MustCompile(`location\.href='([^'?]+)\?(action=allowed)'`)
)

// enter is somebody at a browser elsewhere, who enters a code on the server's
// page, signs in as that login and consents.
func (s *server) enter(login, page, code string) {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	res, err := c.Get(page)
	for range 8 {
		if err != nil {
			s.t.Fatalf("entering the code: %v", err)
		}
		at := res.Request.URL
		text, err2 := io.ReadAll(res.Body)
		res.Body.Close()
		if err2 == nil && (bytes.Contains(text, []byte("Sign-in Success")) || bytes.Contains(text, []byte("return to the device"))) {
			return
		}
		if yes := confirmation.FindSubmatch(text); yes != nil { // zitadel has a button instead of a form
			res, err = c.Get(at.ResolveReference(&url.URL{Path: string(yes[1]), RawQuery: string(yes[2])}).String())
			continue
		}
		action := formTag.FindSubmatch(text)
		if err2 != nil || action == nil {
			s.t.Fatalf("entering the code: no form on the page (%s): %s", res.Status, text)
		}
		form := fields(string(text))
		for name, value := range map[string]string{"user_code": code, "login": login, "username": login, "password": cmp.Or(s.password, "any")} {
			if form.Has(name) {
				form.Set(name, value)
			}
		}
		target, err3 := at.Parse(html.UnescapeString(string(action[1])))
		if err3 != nil {
			s.t.Fatal(err3)
		}
		res, err = c.PostForm(target.String(), form)
	}
	s.t.Fatal("entering the code: the pages do not end")
}

// fields are the inputs of a page.
func fields(page string) url.Values {
	form := url.Values{}
	for _, tag := range inputTag.FindAllString(page, -1) {
		var name, value string
		for _, p := range property.FindAllStringSubmatch(tag, -1) {
			if p[1] == "name" {
				name = p[2]
			} else {
				value = html.UnescapeString(p[2])
			}
		}
		if name != "" {
			form.Set(name, value)
		}
	}
	return form
}

var shownCode = regexp.MustCompile(`Visit, in any browser,\n\n  (\S+)\n\nand enter the code\n\n  (\S+)\n`)

// loginByCode starts a login that shows a code, and enters it elsewhere.
func (r *rig) loginByCode(person string, args ...string) result {
	r.t.Helper()
	p := r.start(nil, append([]string{"login", "rig"}, args...)...)
	var shown []string
	eventually(r.t, "a code", func() bool {
		shown = shownCode.FindStringSubmatch(p.stderr())
		return shown != nil
	})
	r.srv.enter(person, shown[1], shown[2])
	return p.wait()
}

// TestLoginWithACode is the story of a machine without a browser: a certified
// server, real polls, a token that works, expires and is renewed.
func TestLoginWithACode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.srv.life(3 * time.Second)
	got := r.loginByCode("alice", "--device")
	if id := strings.TrimSpace(got.stdout); got.code != 0 || id != "rig:alice@example.org" {
		t.Fatalf("exit %d, %q\n%s", got.code, id, got.stderr)
	}
	first := r.token()
	pass(t, 3*time.Second)
	if second := r.token(); second == first {
		t.Error("an expired token was handed out")
	}
	l := r.srv.ledger()
	if len(l.Refreshes) != 1 || l.Refreshes[0].Error != "" || len(l.Codes) != 1 {
		t.Errorf("%d refreshes, %d codes", len(l.Refreshes), len(l.Codes))
	}
	if text := got.stderr + got.stdout; strings.Contains(text, l.Codes[0]) {
		t.Error("the device code was shown")
	}
}

// TestFarFromABrowser: over ssh a person is offered a code, an address that their
// own browser can come back to, and to paste. The first answer counts.
func TestFarFromABrowser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.env = append(r.env, "SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22")
	got := r.loginByCode("alice")
	if got.code != 0 {
		t.Fatalf("exit %d\n%s", got.code, got.stderr)
	}
	offered := regexp.MustCompile(`ssh -L (\d+):127\.0\.0\.1:(\d+) `).FindStringSubmatch(got.stderr)
	if offered == nil || !strings.Contains(got.stderr, url.QueryEscape(fmt.Sprintf("127.0.0.1:%s/cb", offered[1]))) || !strings.Contains(got.stderr, "paste the address") {
		t.Errorf("the other ways are not offered:\n%s", got.stderr)
	}
}

// TestACodeInTheTray: the person asks for a code, opens the page from the
// dialog, and finds the login there when they have entered it.
func TestACodeInTheTray(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "zenity", "xclip", dunst)
	r := newRig(t)
	d := newDesktop(t, r)
	d.notifications(dunst)
	opened := r.dir + "/opened"
	d.installOpener(opened)
	tr := d.keytrayTray()
	tr.choose("Sign in", "Sign in with a code", "Rig")
	d.dialog("code", []string{"key", "Tab", "Tab", "Tab", "space"}) // Copy
	var code string
	eventually(t, "the code in the clipboard", func() bool {
		code = d.clipboard()
		return code != ""
	})
	d.dialog("code-again", []string{"key", "Tab", "Tab", "space"}) // Open
	var page string
	eventually(t, "the page", func() bool {
		b, _ := os.ReadFile(opened)
		page = strings.TrimSpace(string(b))
		return page != ""
	})
	if want := r.srv.issuer + "/device?user_code=" + code; page != want {
		t.Errorf("opened %s, want %s", page, want)
	}
	r.srv.enter("alice", r.srv.issuer+"/device", code)
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")
	eventually(t, "the end of the dialog", func() bool { return len(d.windows("--class", "zenity")) == 0 })
	d.awaitBubble("Signed in to Rig")
	tr.quit(syscall.SIGTERM)
	if log := r.own("tray.log"); strings.Contains(log, code) {
		t.Error("the code is in the log")
	}
	if !slices.Contains(r.srv.ledger().Access, strings.TrimSpace(r.must("token", "rig").stdout)) {
		t.Error("that login has no token of the server's")
	}
}

// TestWithoutAnOpenerACodeComesByItself: one click, no program that could open a
// page, and the person is shown what to do.
func TestWithoutAnOpenerACodeComesByItself(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "zenity", "xclip", dunst)
	zenity, err := exec.LookPath("zenity")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	d := newDesktop(t, r)
	d.notifications(dunst)
	programs := t.TempDir()
	if err := os.Symlink(zenity, filepath.Join(programs, "zenity")); err != nil {
		t.Fatal(err)
	}
	path := slices.IndexFunc(d.env, func(s string) bool { return strings.HasPrefix(s, "PATH=") })
	all := d.env
	d.env = slices.Clone(all)
	d.env[path] = "PATH=" + programs
	tr := d.keytrayTray()
	d.env = all
	tr.choose("Sign in", "Rig")
	d.dialog("no-opener", []string{"key", "Tab", "Tab", "Tab", "space"}) // Copy
	var code string
	eventually(t, "the code in the clipboard", func() bool {
		code = d.clipboard()
		return code != ""
	})
	r.srv.enter("alice", r.srv.issuer+"/device", code)
	tr.awaitItem("✓ Rig", "✓ alice@example.org – works")
	tr.quit(syscall.SIGTERM)
}
