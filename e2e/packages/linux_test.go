//go:build linux

package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDeb installs in a bare Debian, and upgrades while watch runs.
func TestDeb(t *testing.T) {
	t.Parallel()
	d := newDebian(t, base(t), built(t, packages))
	// A person says yes, and sees the recommended packages, which are not at hand here.
	run(t, d, true, `echo 'APT::Get::Assume-Yes "true"; APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/test`)
	// A person's changes to a file in /etc are kept until a purge; without the tray the
	// entry starts nothing.
	life{d, document(t), onDebian, "keytray watch", "/etc/xdg/autostart/keytray.desktop\n"}.live(t)
	run(t, d, true, "apt purge keytray")
	if left := run(t, d, true, "find / -xdev -name '*keytray*' ! -path '/proc/*' ! -path '/release/*' ! -path '/home/*'"); left != "" {
		t.Errorf("a purge leaves\n%s", left)
	}
}

// TestRPM has Debian's rpm do it, which wants to be told that it may, and upgrades
// while the tray runs: without a session bus, but it keeps tokens fresh.
func TestRPM(t *testing.T) {
	t.Parallel()
	d := newDebian(t, base(t), built(t, packages))
	run(t, d, true, `printf '#!/bin/sh\nexec /usr/bin/rpm --force-debian "$@"\n' >/usr/local/bin/rpm && chmod 755 /usr/local/bin/rpm`)
	life{d, document(t), onFedora, "keytray-tray", ""}.live(t)
}

// TestArchiveAsADebianUser unpacks over ~/.local, and upgrades while watch runs.
func TestArchiveAsADebianUser(t *testing.T) {
	t.Parallel()
	d := newDebian(t, base(t), built(t, packages))
	life{d, document(t), anywhere, "keytray watch", ""}.live(t)
}

// TestArchive does the same without an upgrade and without the demo, on this machine.
func TestArchive(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("building takes seconds, and this is -short")
	}
	need(t, "rsvg-convert", "man", "fish", "zsh", "/usr/share/bash-completion/bash_completion")
	release := built(t, archive)
	h := here{t.TempDir(), release}
	doc := document(t)
	follow(t, h, doc[checked].get(t, 0, first))
	follow(t, h, doc[anywhere].get(t, 0, first))
	var quick []string
	for _, c := range doc[afterward].get(t, 0, first) {
		if !strings.HasPrefix(c, "keytray demo") { // package e2e plays it
			quick = append(quick, c)
		}
	}
	use(t, h, first, quick)
	if got := run(t, h, false, "fish -c 'complete -C \"keytray wat\"'"); !strings.HasPrefix(got, "watch\t") {
		t.Errorf("fish completes wat to %q", got)
	}
	if got := run(t, h, false, "zsh -fc 'fpath+=~/.local/share/zsh/site-functions; autoload -Uz compinit && compinit -D && print $_comps[keytray]'"); got != "_keytray\n" {
		t.Errorf("zsh completes keytray by %q", got)
	}
	unit, err := os.ReadFile(filepath.Join(h.home, ".local/share/systemd/user/keytray.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=%h/.local/bin/keytray watch\n") {
		t.Errorf("the unit starts something else: %v\n%s", err, unit)
	}
	follow(t, h, doc[anywhere].get(t, 1, first))
	if left := run(t, h, false, "find ~ ! -type d ! -path '*/.cache/*'"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestApkHasWhatTheDebHas: there is no apk to install it with.
func TestApkHasWhatTheDebHas(t *testing.T) {
	t.Parallel()
	needFull(t)
	release := built(t, packages)
	apk := filepath.Join(release, document(t)[onAlpine].get(t, 0, first)[0][len("sudo apk add --allow-untrusted "):])
	tree := t.TempDir()
	say(t, "tar", "-xzf", apk, "-C", tree, "--warning=no-unknown-keyword")
	deb := t.TempDir()
	say(t, "dpkg-deb", "-x", filepath.Join(release, "keytray_"+first+"-1_amd64.deb"), deb)
	const list = `cd "$1" && find . ! -type d ! -path '*/doc/keytray/c*' ! -path '*/lintian/*' ! -path '*/licenses/*' ! -path '*/zsh/*' ! -path './.*' -printf '%P %m %l\n' | sort`
	if got, want := say(t, "sh", "-c", list, "sh", tree), say(t, "sh", "-c", list, "sh", deb); got != want {
		t.Errorf("the .apk has\n%s\nwant\n%s", got, want)
	}
	info, err := os.ReadFile(filepath.Join(tree, ".PKGINFO"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if !strings.Contains(line, " = ") {
			t.Errorf(".PKGINFO has a line without a value: %q", line)
		}
	}
	say(t, filepath.Join(tree, ".post-deinstall"), first+"-r1")
	if got := say(t, filepath.Join(tree, "usr/bin/keytray"), "version"); got != "keytray "+first+" linux/amd64\n" {
		t.Errorf("keytray version prints %q", got)
	}
}
