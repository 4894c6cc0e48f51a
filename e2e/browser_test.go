//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seen is what the driven browser tells of a login; see drive.mjs.
type seen struct {
	Start, End, Title, Text, Error         string
	Asked, Steps, Console, Requests, Query []string
}

// installBrowser gives the private desktop a display, and a browser: real
// Chromium with a person at it who signs in as that login. It is registered
// as a desktop registers its browsers, by a .desktop file and mimeapps.list:
// where there is a display, xdg-open asks these before $BROWSER.
func (r *rig) installBrowser(login string) {
	r.t.Helper()
	need(r.t, "Xvfb", "chromium", "xdg-open")
	r.startDisplay()
	r.env = append(r.env,
		"XDG_DATA_HOME="+filepath.Join(r.home, ".local/share"),
		"E2E_OUT="+filepath.Join(r.dir, "browser"))
	here, err := os.Getwd()
	if err != nil {
		r.t.Fatal(err)
	}
	// What runs is the pinned node, through a link whose path has no blank.
	exec := filepath.Join(r.dir, "browser.sh")
	r.write(exec, fmt.Sprintf("#!/bin/sh\nexec '%[1]s/%[2]s' '%[1]s/drive.mjs' \"$1\"\n", here, node))
	if err := os.Chmod(exec, 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.writeAll(map[string]string{
		".local/share/applications/e2e-browser.desktop": "[Desktop Entry]\nType=Application\nName=E2E browser\nExec=" + exec + " %u\n" +
			"MimeType=x-scheme-handler/http;x-scheme-handler/https;\nNoDisplay=true\n",
		".config/mimeapps.list": "[Default Applications]\nx-scheme-handler/http=e2e-browser.desktop\nx-scheme-handler/https=e2e-browser.desktop\n",
	})
	r.person(login, "consent")
}

// person says who is at the browser and what they do when a login opens:
// "consent"; "deny" it, where the server asks; "close" the window; or "wait" in
// front of the first page until they are told otherwise.
func (r *rig) person(login, does string) {
	r.t.Helper()
	out := filepath.Join(r.dir, "browser")
	if err := os.MkdirAll(out, 0o700); err != nil {
		r.t.Fatal(err)
	}
	// Renamed into its place: the browser may be reading it.
	r.write(filepath.Join(out, "person.new"), fmt.Sprintf(`{"login": %q, "does": %q}`, login, does))
	if err := os.Rename(filepath.Join(out, "person.new"), filepath.Join(out, "person.json")); err != nil {
		r.t.Fatal(err)
	}
}

// awaitPerson waits until a person who is to wait does so.
func (r *rig) awaitPerson() {
	r.t.Helper()
	eventually(r.t, "the person at the browser", func() bool {
		if b, err := os.ReadFile(filepath.Join(r.dir, "browser/browser.json")); err == nil && len(b) > 0 {
			r.t.Fatalf("the browser has ended: %s", b)
		}
		return os.Remove(filepath.Join(r.dir, "browser/waiting")) == nil
	})
}

// browsed waits for the browser's next report and keeps its screenshot as an
// artefact.
func (r *rig) browsed() seen {
	r.t.Helper()
	var s seen
	report := filepath.Join(r.dir, "browser/browser.json")
	eventually(r.t, "the report of the browser", func() bool {
		b, err := os.ReadFile(report)
		return err == nil && json.Unmarshal(b, &s) == nil
	})
	if err := os.Rename(report, r.newLog("browser.json")); err != nil {
		r.t.Error(err)
	}
	if s.Error != "" {
		r.t.Errorf("the browser: %s", s.Error)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, "browser/last-page.png")); err == nil {
		shot := filepath.Join(r.t.ArtifactDir(), "last-page.png")
		if err := os.WriteFile(shot, b, 0o600); err != nil {
			r.t.Error(err)
		}
		r.t.Logf("screenshot of the last page: %s", shot)
	}
	return s
}

// TestAPersonAtTheBrowserMayRefuse: real Chromium, opened through xdg-open, and
// a person who first thinks about it.
func TestAPersonAtTheBrowserMayRefuse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.installBrowser("alice")
	r.person("alice", "wait")
	black := r.snap(wholeScreen)
	p := r.start(nil, "login", "rig")
	r.awaitPerson()
	r.awaitChange("a page of the browser", black)
	r.screenshot("browser")
	r.person("alice", "deny")
	if got := p.wait(); got.code == 0 || got.stdout != "" {
		t.Errorf("login that was denied: exit %d and %q on stdout, want a failure and nothing\n%s", got.code, got.stdout, got.stderr)
	}
	page := r.browsed()
	if len(page.Steps) != 2 || strings.HasPrefix(page.End, r.srv.issuer) {
		t.Errorf("the person went through %q to %s, want sign-in and consent, and then our page", page.Steps, page.End)
	}
	if l := r.srv.ledger(); l.Exchanges != 0 {
		t.Errorf("%d codes were exchanged, want none", l.Exchanges)
	}

	r.person("alice", "close")
	p = r.start(nil, "login", "rig")
	if page := r.browsed(); len(page.Steps) != 0 {
		t.Errorf("the person closed the window after %q, want nothing", page.Steps)
	}
	p.Process.Signal(os.Interrupt)
	if got := p.wait(); got.code == 0 {
		t.Error("login ended well without a browser")
	}

	r.person("bob", "consent")
	r.must("login", "rig")
	if page := r.browsed(); !strings.Contains(page.Text, "Signed in") {
		t.Errorf("the browser ended on %q, want our page", page.Text)
	}
}
