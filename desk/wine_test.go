//go:build linux

package desk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnWindows runs this package's tests as a Windows binary under Wine.
func TestOnWindows(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	wine := first(t, "wine64", "/usr/lib/wine/wine64")
	server := first(t, "wineserver64", "wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver")
	gcc := first(t, "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc-win32")
	dir := t.TempDir()
	prefix := filepath.Join(dir, "prefix")
	env := s.environ("WINEPREFIX="+prefix, "WINEARCH=win64", "WINEDEBUG=-all", "HOME="+dir, "WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=")
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
	build := exec.Command("go", "test", "-c", "-trimpath", "-o", filepath.Join(dir, "desk.exe"), ".")
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
		"../keychain/testdata/processprng.c", "-ladvapi32")
	out := run(wine, filepath.Join(dir, "desk.exe"), "-test.v", "-test.run", "TestWindows")
	if passed := strings.Count(out, "--- PASS: TestWindows"); passed != 4 {
		t.Errorf("%d of the tests of Windows ran\n%s", passed, out)
	}
}

// first returns the first of the programs that is there, or skips.
func first(t *testing.T, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed: see e2e/setup.sh", programs[0])
	return ""
}
