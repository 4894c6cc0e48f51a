//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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
	r.env = append(r.env,
		"DISPLAY="+startDisplay(r.t),
		"XDG_DATA_HOME="+filepath.Join(r.home, ".local/share"),
		"E2E_LOGIN="+login, "E2E_OUT="+filepath.Join(r.dir, "browser"))
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
	for path, text := range map[string]string{
		".local/share/applications/e2e-browser.desktop": "[Desktop Entry]\nType=Application\nName=E2E browser\nExec=" + exec + " %u\n" +
			"MimeType=x-scheme-handler/http;x-scheme-handler/https;\nNoDisplay=true\n",
		".config/mimeapps.list": "[Default Applications]\nx-scheme-handler/http=e2e-browser.desktop\nx-scheme-handler/https=e2e-browser.desktop\n",
	} {
		path = filepath.Join(r.home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		r.write(path, text)
	}
}

// browsed waits for the browser's report and keeps its screenshot as an artefact.
func (r *rig) browsed() seen {
	r.t.Helper()
	var s seen
	eventually(r.t, "the report of the browser", func() bool {
		b, err := os.ReadFile(filepath.Join(r.dir, "browser/browser.json"))
		return err == nil && json.Unmarshal(b, &s) == nil
	})
	if s.Error != "" {
		r.t.Errorf("the browser: %s", s.Error)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, "browser/signed-in.png")); err == nil {
		shot := filepath.Join(r.t.ArtifactDir(), "signed-in.png")
		if err := os.WriteFile(shot, b, 0o600); err != nil {
			r.t.Error(err)
		}
		r.t.Logf("screenshot of the last page: %s", shot)
	}
	return s
}

// startDisplay starts an X server without a screen on a free display.
func startDisplay(t *testing.T) string {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// It ends with its stdin, so that it does not outlive a test that was killed.
	cmd := exec.Command("sh", "-c", `Xvfb "$@" </dev/null & exec 3>&-; read -r _; kill $!; wait`, "sh",
		"-displayfd", "3", "-screen", "0", "1024x700x24", "-nolisten", "tcp", "-noreset")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{in}
	err = cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	n, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("starting Xvfb: %v", err)
	}
	return ":" + strings.TrimSpace(n)
}
