//go:build linux

package packages

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// full is set by make test-packages.
var full = flag.Bool("packages", false, "build and try every package; takes minutes, and root")

// Two versions, the second of which is the upgrade.
const (
	first  = "1.2.3"
	second = "1.3.0"
)

// scratch is removed when the tests have ended.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "keytray-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// needFull skips what takes minutes, or root.
func needFull(t *testing.T) {
	t.Helper()
	if !*full {
		t.Skip("takes minutes: make test-packages")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can install packages")
	}
}

// need skips where a program, or a file, is missing, which only a person's machine may lack.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		_, err := exec.LookPath(p)
		if filepath.IsAbs(p) {
			_, err = os.Stat(p)
		}
		if err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("missing: %s (packaging/setup.sh installs it)", p)
		}
		t.Skipf("missing: %s (packaging/setup.sh installs it)", p)
	}
}

// release builds kinds of packages of both versions, as dist.sh does.
func release(kinds string, versions ...string) (folder string, err error) {
	folder, err = os.MkdirTemp(scratch, "release-")
	if err != nil {
		return "", err
	}
	share := filepath.Join(scratch, "share")
	env := append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "KEYTRAY_SHARE="+share, "KEYTRAY_ARCHES=amd64", "KEYTRAY_KINDS="+kinds, "KEYTRAY_COMPRESSION=gzip")
	commands := [][]string{{"../../packaging/share.sh", share}}
	if _, err := os.Stat(share); err == nil {
		commands = nil
	}
	for _, v := range versions {
		commands = append(commands, []string{"../../packaging/linux/build.sh", v, folder})
	}
	commands = append(commands, []string{"sh", "-c", `cd "$1" && sha256sum * >SHA256SUMS && chmod -R a+rX "$1"`, "sh", folder})
	for _, c := range commands {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return folder, nil
}

var (
	archive  = sync.OnceValues(func() (string, error) { return release("tar.gz", first) })
	packages = sync.OnceValues(func() (string, error) { return release("deb rpm apk tar.gz", first, second) })
)

// built is the folder of a release.
func built(t *testing.T, build func() (string, error)) string {
	t.Helper()
	folder, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// say runs a program of this machine, and wants it to succeed.
func say(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
