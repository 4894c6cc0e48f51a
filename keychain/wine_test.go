//go:build linux

package keychain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnWindows runs this package's tests as a Windows binary under Wine.
func TestOnWindows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	wine := find(t, "wine64", "wine64", "/usr/lib/wine/wine64")
	server := find(t, "wine64", "wineserver64", "wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver")
	gcc := find(t, "gcc-mingw-w64-x86-64-win32", "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc-win32")
	dir := t.TempDir()
	prefix := filepath.Join(dir, "prefix")
	env := append(os.Environ(), "WINEPREFIX="+prefix, "WINEARCH=win64", "WINEDEBUG=-all", "DISPLAY=",
		"HOME="+dir, "WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	build := exec.Command("go", "test", "-c", "-trimpath", "-o", filepath.Join(dir, "keychain.exe"), ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building for Windows: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		stop := exec.Command(server, "-k")
		stop.Env = env
		_ = stop.Run() // fails if it has ended by itself
	})
	run(wine, "wineboot", "-i")
	run(server, "-w")
	run(gcc, "-shared", "-o", filepath.Join(prefix, "drive_c/windows/system32/bcryptprimitives.dll"),
		"testdata/processprng.c", "-ladvapi32")
	out := run(wine, filepath.Join(dir, "keychain.exe"), "-test.v", "-test.short")
	if passed := strings.Count(out, "--- PASS: TestWindows"); passed < 6 {
		t.Errorf("%d of the tests of Windows ran\n%s", passed, out)
	}
}

// find returns the first of the programs that is there, or skips.
func find(t *testing.T, pkg string, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed (Debian: apt-get install %s)", programs[0], pkg)
	return ""
}
