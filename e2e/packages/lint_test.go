//go:build linux

package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDesktopEntriesAreValid asks the desktop's own tools.
func TestDesktopEntriesAreValid(t *testing.T) {
	t.Parallel()
	need(t, "desktop-file-validate", "appstreamcli")
	for _, entry := range []string{"keytray.desktop", "autostart.desktop"} {
		if out := say(t, "desktop-file-validate", "../../packaging/linux/"+entry); out != "" {
			t.Errorf("%s: %s", entry, out)
		}
	}
	text, err := os.ReadFile("../../packaging/linux/io.github.keytray.Keytray.metainfo.xml")
	if err != nil {
		t.Fatal(err)
	}
	metainfo := filepath.Join(t.TempDir(), "io.github.keytray.Keytray.metainfo.xml")
	if err := os.WriteFile(metainfo, []byte(strings.NewReplacer("@VERSION@", first, "@DATE@", "2026-01-01").Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	say(t, "appstreamcli", "validate", "--no-net", "--explain", metainfo)
}

// TestScriptsAreClean: shellcheck reads all of packaging.
func TestScriptsAreClean(t *testing.T) {
	t.Parallel()
	need(t, "shellcheck")
	scripts, err := filepath.Glob("../../packaging/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../packaging/[lmw]*/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	say(t, "shellcheck", append(scripts, more...)...)
}

// TestLintian: Debian's own checks, every tag of them.
func TestLintian(t *testing.T) {
	t.Parallel()
	needFull(t)
	need(t, "lintian")
	out := say(t, "lintian", "--allow-root", "--tag-display-limit", "0", "--display-info", "--pedantic", "--fail-on", "error,warning,info,pedantic",
		filepath.Join(built(t, packages), "keytray_"+first+"-1_amd64.deb"))
	if out != "" {
		t.Error(out)
	}
}

// TestUnit: systemd reads the unit where the package is installed, on this machine
// with a layer over it. It does not run there.
func TestUnit(t *testing.T) {
	t.Parallel()
	needFull(t)
	need(t, "systemd-analyze")
	d := newDebian(t, "/", built(t, packages))
	run(t, d, true, "dpkg -i keytray_"+first+"-1_amd64.deb")
	if out := run(t, d, true, "mkdir -p /tmp/run && XDG_RUNTIME_DIR=/tmp/run systemd-analyze --user verify /usr/lib/systemd/user/keytray.service"); out != "" {
		t.Errorf("systemd says of the unit: %s", out)
	}
}

// TestDistIsReproducible: two clones in different folders give the same bytes.
func TestDistIsReproducible(t *testing.T) {
	t.Parallel()
	needFull(t)
	need(t, "makensis", "zip", "rsvg-convert", "convert", "png2icns", "git")
	from := "../.." // for the first; the second is of the same commit, whatever is committed meanwhile
	var sums [2]string
	for i, folder := range []string{"a", "deep/er/b"} {
		clone := filepath.Join(t.TempDir(), folder)
		say(t, "git", "clone", "-q", from, clone)
		from = clone
		cmd := exec.Command("packaging/dist.sh", first)
		cmd.Dir = clone
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("packaging/dist.sh: %v\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(clone, "dist/SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(b)
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") < 10 {
		t.Errorf("two builds differ:\n%s\n%s", sums[0], sums[1])
	}
}
