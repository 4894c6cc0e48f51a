package autostart_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnWindows runs the tests of this package and of the icons, which ask the
// registry too, as Windows binaries under Wine.
func TestOnWindows(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	wine := find(t, "wine64", "wine64", "/usr/lib/wine/wine64")
	server := find(t, "wine64", "wineserver64", "wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver")
	gcc := find(t, "gcc-mingw-w64-x86-64-win32", "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc-win32")
	dir := t.TempDir()
	prefix := filepath.Join(dir, "prefix")
	run := func(env []string, folder, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env, cmd.Dir = append(os.Environ(), env...), folder
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	windows := []string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}
	env := []string{
		"WINEPREFIX=" + prefix, "WINEARCH=win64", "WINEDEBUG=-all", "DISPLAY=",
		"HOME=" + dir, "WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=",
	}
	t.Cleanup(func() {
		stop := exec.Command(server, "-k")
		stop.Env = append(os.Environ(), env...)
		_ = stop.Run() // fails if it has ended by itself
	})
	run(env, "", wine, "wineboot", "-i")
	run(env, "", server, "-w")
	run(nil, "", gcc, "-shared", "-o", filepath.Join(prefix, "drive_c/windows/system32/bcryptprimitives.dll"),
		"../../../keychain/testdata/processprng.c", "-ladvapi32")
	for folder, least := range map[string]int{".": 4, "../icon": 2} {
		program := filepath.Join(dir, "test.exe")
		run(windows, folder, "go", "test", "-c", "-trimpath", "-o", program, ".")
		out := run(env, folder, wine, program, "-test.v", "-test.short")
		if passed := strings.Count(out, "--- PASS: TestWindows"); passed < least {
			t.Errorf("%s: %d of the tests of Windows ran, want %d\n%s", folder, passed, least, out)
		}
	}
}
