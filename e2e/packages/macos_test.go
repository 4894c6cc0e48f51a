//go:build linux

package packages

import (
	"debug/macho"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMacOS looks at all that a Mac would get, by what reads such files on Linux.
// Nothing of it runs here.
func TestMacOS(t *testing.T) {
	t.Parallel()
	needFull(t)
	need(t, "plistutil", "ruby", "icns2png", "shellcheck", "png2icns")
	archives := built(t, archive) // of Linux, which the formula names too
	share, out := filepath.Join(scratch, "share"), t.TempDir()
	say(t, "sh", "-c", `cp "$1"/keytray-`+first+`-linux-amd64.tar.gz "$2" && cp "$2"/keytray-`+first+`-linux-amd64.tar.gz "$2"/keytray-`+first+`-linux-arm64.tar.gz`, "sh", archives, out)
	say(t, "env", "KEYTRAY_SHARE="+share, "../../packaging/macos/build.sh", first, out)
	for _, archive := range []string{"keytray-" + first + "-darwin-arm64", "keytray-" + first + "-darwin-amd64", "Keytray-" + first + "-unfinished"} {
		say(t, "tar", "-xzf", filepath.Join(out, archive+".tar.gz"), "-C", out)
	}
	for arch, cpu := range map[string]macho.Cpu{"arm64": macho.CpuArm64, "amd64": macho.CpuAmd64} {
		bin := filepath.Join(out, "keytray-"+first+"-darwin-"+arch, "bin")
		f, err := macho.Open(filepath.Join(bin, "keytray"))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if f.Cpu != cpu {
			t.Errorf("the archive for %s has a program for %s", arch, f.Cpu)
		}
		for _, helper := range []string{"git-credential-keytray", "docker-credential-keytray"} {
			if to, err := os.Readlink(filepath.Join(bin, helper)); err != nil || to != "keytray" {
				t.Errorf("%s leads to %q, %v", helper, to, err)
			}
		}
	}

	app := filepath.Join(out, "Keytray-"+first+"-unfinished")
	info := filepath.Join(app, "Keytray.app/Contents/Info.plist")
	for _, list := range []string{info, filepath.Join(app, "entitlements.plist"), filepath.Join(app, "io.github.keytray.tray.plist")} {
		say(t, "plistutil", "-i", list, "-o", filepath.Join(t.TempDir(), "binary.plist"))
	}
	icons := say(t, "icns2png", "-l", filepath.Join(app, "Keytray.app/Contents/Resources/keytray.icns"))
	for _, size := range []string{"16x16", "32x32", "128x128", "256x256", "512x512", "1024x1024"} {
		if !strings.Contains(icons, size+" 32-bit icon") {
			t.Errorf("there is no icon of %s", size)
		}
	}
	say(t, "shellcheck", filepath.Join(app, "finish.sh"))
	formula := filepath.Join(out, "homebrew/keytray.rb")
	say(t, "ruby", "-c", formula)
	say(t, "ruby", "-c", filepath.Join(app, "keytray-app.rb.in"))
	blanks := regexp.MustCompile(`@[A-Z0-9]+(:[^@\n]*)?@`)
	for file, left := range map[string][]string{
		info: nil, formula: nil, filepath.Join(app, "finish.sh"): {"@SHA256@"}, filepath.Join(app, "keytray-app.rb.in"): {"@SHA256@"},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := blanks.FindAllString(string(b), -1); !slices.Equal(found, left) {
			t.Errorf("%s has the blanks %q, want %q", filepath.Base(file), found, left)
		}
		if !strings.Contains(string(b), first) {
			t.Errorf("%s does not have the version", filepath.Base(file))
		}
	}
}
