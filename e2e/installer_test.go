//go:build linux

package e2e

import (
	"flag"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var pages = flag.Bool("installer.pages", false, "also go through the pages of the installer for Windows, and keep pictures of them")

// installer builds the installer of a version, of the programs that the tests of
// Windows run. It is not squeezed: that takes longer than the test.
func (w *windows) installer(version string, signing ...string) string {
	w.t.Helper()
	out := filepath.Join(w.t.TempDir(), version)
	share := w.t.TempDir()
	w.write(filepath.Join(share, "THIRD_PARTY_LICENSES"), "none were looked for\n")
	cmd := exec.Command("../packaging/windows/build.sh", version, out)
	cmd.Env = slices.Concat(os.Environ(), signing, []string{"KEYTRAY_PROGRAMS=" + w.programs, "KEYTRAY_SHARE=" + share, "KEYTRAY_KINDS=setup", "KEYTRAY_COMPRESSION=zlib"})
	if said, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("building the installer: %v\n%s", err, said)
	}
	return filepath.Join(out, "keytray-setup-"+version+".exe")
}

// certificate makes one that nobody knows, and says how to sign with it.
func (w *windows) certificate() (file string, signing []string) {
	w.t.Helper()
	file, key := filepath.Join(w.t.TempDir(), "certificate.pem"), filepath.Join(w.t.TempDir(), "key.pem")
	w.do("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", file, "-days", "2", "-subj", "/CN=Nobody",
		"-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=codeSigning", "-addext", "basicConstraints=critical,CA:false")
	return file, []string{"KEYTRAY_SIGN_CERTS=" + file, "KEYTRAY_SIGN_KEY=" + key}
}

// documented runs a command that docs/install.md has for Windows, as a person does
// where the installer of a version lies. The tray that one starts has its display, and
// keeps what is its stdout.
func (w *windows) documented(command, installer string) {
	w.t.Helper()
	doc, err := os.ReadFile("../docs/install.md")
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(string(doc), "\n"+command+"\n") {
		w.t.Fatalf("docs/install.md does not have %s", command)
	}
	name := filepath.Base(installer)
	version := strings.TrimSuffix(strings.TrimPrefix(name, "keytray-setup-"), ".exe")
	w.write(filepath.Join(filepath.Dir(installer), "documented.bat"), "@"+strings.ReplaceAll(command, "VERSION", version)+"\r\n")
	cmd := exec.Command(w.wine, "cmd", "/c", "documented.bat")
	cmd.Env, cmd.Dir = w.env, filepath.Dir(installer)
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
}

// What the document has of Windows.
const (
	silently   = "keytray-setup-VERSION.exe /S"
	asIWant    = `keytray-setup-VERSION.exe /S /AUTOSTART /NOPATH /D=C:\Tools\Keytray`
	andRemoved = `"%LOCALAPPDATA%\Programs\Keytray\uninstall.exe" /S`
)

// installed is a Keytray that an installer has put on a Windows.
type installed struct {
	*windows
	folder string // where it is, as this machine calls it
}

const (
	runKey       = `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`
	uninstallKey = `HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Keytray`
)

// user is the folder of the person.
func (w *windows) user() string {
	w.t.Helper()
	found, _ := filepath.Glob(filepath.Join(w.prefix, "drive_c/users/*/AppData"))
	if len(found) != 1 {
		w.t.Fatalf("the folders of people are %v", found)
	}
	return filepath.Dir(found[0])
}

// windowsPath is what Windows calls a file.
func (w *windows) windowsPath(path string) string {
	return "C:" + strings.ReplaceAll(strings.TrimPrefix(path, filepath.Join(w.prefix, "drive_c")), "/", `\`)
}

// value is a value of the registry as reg prints it, with its kind; empty if
// there is none.
func (w *windows) value(key, name string) string {
	w.t.Helper()
	out, err := w.command(w.wine, "reg", "query", key, "/v", name).Output()
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(out), "    "+name+"    ")
	line, _, _ := strings.Cut(rest, "\r\n")
	return strings.TrimSpace(line)
}

// trays are the processes of the tray on this Windows, installed or not.
func (w *windows) trays() (pids []string) {
	w.t.Helper()
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		args, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if strings.Contains(string(args), `\keytray-tray.exe`) && strings.Contains(string(env), "WINEPREFIX="+w.prefix+"\x00") {
			pids = append(pids, filepath.Base(p))
		}
	}
	return pids
}

// version asks Windows for the version that a program's file says it has.
func (i *installed) version(program string) string {
	i.t.Helper()
	script := filepath.Join(i.prefix, "drive_c", "version.vbs")
	i.write(script, "WScript.Echo CreateObject(\"Scripting.FileSystemObject\").GetFileVersion(WScript.Arguments(0))\r\n")
	out, err := i.command(i.wine, "cscript", "//nologo", `C:\version.vbs`, i.windowsPath(filepath.Join(i.folder, program))).Output()
	if err != nil {
		i.t.Errorf("asking for the version of %s: %v", program, err)
	}
	return strings.TrimSpace(string(out))
}

// check looks at all that an installation leaves on a machine.
func (i *installed) check(version string) {
	i.t.Helper()
	entries, err := os.ReadDir(i.folder)
	if err != nil {
		i.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{
		"LICENSE.txt", "THIRD_PARTY_LICENSES.txt", "docker-credential-keytray.exe", "git-credential-keytray.exe",
		"keytray-tray.exe", "keytray.exe", "uninstall.exe",
	}
	if !slices.Equal(names, want) {
		i.t.Errorf("the files are %q, want %q", names, want)
	}
	for _, program := range []string{"keytray.exe", "keytray-tray.exe"} {
		if got := i.version(program); got != version+".0" {
			i.t.Errorf("%s says it is version %q, want %s.0", program, got, version)
		}
	}
	if got := i.value(uninstallKey, "DisplayVersion"); got != "REG_SZ    "+version {
		i.t.Errorf("the list of programs says %q, want version %s", got, version)
	}
	one, err := os.Stat(filepath.Join(i.folder, "keytray.exe"))
	if err != nil {
		i.t.Fatal(err)
	}
	if two, err := os.Stat(filepath.Join(i.folder, "git-credential-keytray.exe")); err != nil || !os.SameFile(one, two) {
		i.t.Errorf("Git's helper is another file than keytray.exe, %v", err)
	}
}

// longPath is one with a variable, and more than a text of the installer holds.
var longPath = `%USERPROFILE%\bin;` + strings.Repeat(`C:\a folder of another program;`, 200) + `C:\last`

// TestTheInstallerOfWindows: what a person installs is there, in every terminal and
// in the Start menu. Another version takes its place while the tray and a keeper of
// tokens run: it waits for a renewal that is under way. When it is removed, the
// login and what others have in PATH are as they were.
func TestTheInstallerOfWindows(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", "makensis", "rsvg-convert", "convert", "openssl", "osslsigncode")
	d := newDesktop(t, newRig(t))
	w := newWindows(t, d)
	d.panel()
	i := &installed{w, filepath.Join(w.user(), "AppData/Local/Programs/Keytray")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the tray's log:\n%s", w.own("tray.log"))
		}
	})
	certificate, signing := w.certificate()
	first, second := w.installer("1.0.0"), w.installer("1.1.0", signing...)
	w.do(w.wine, "reg", "add", `HKCU\Environment`, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", longPath)

	w.documented(silently, first)
	i.check("1.0.0")
	ours := w.windowsPath(i.folder)
	if got, want := w.value(`HKCU\Environment`, "Path"), `REG_EXPAND_SZ    `+longPath+";"+ours; got != want {
		t.Errorf("PATH is …%q, want …%q", tail(got), tail(want))
	}
	w.do(w.wine, "reg", "add", runKey, "/v", "Keytray", "/d", "where it was before") // by the tray's menu

	d.program = filepath.Join(i.folder, "keytray.exe")
	d.srv.life(2 * time.Second)
	id := d.login("ann")
	d.srv.life(time.Hour)
	d.srv.holdAnswer(10 * time.Second)
	watch := d.start(nil, "watch")
	eventually(t, "a renewal at the server", func() bool { return len(d.srv.ledger().Refreshes) == 1 })
	w.launch(w.wine, "start", w.windowsPath(filepath.Join(w.user(), "AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Keytray.lnk")))
	eventually(t, "the tray", func() bool { return len(w.trays()) > 0 && w.own("keytray.png") != "" })
	before := w.trays()
	w.documented(silently, second)
	if got := watch.wait(); got.code != 0 || !strings.Contains(got.stderr, "makes room for another version") {
		t.Errorf("keytray watch: exit %d\n%s", got.code, got.stderr)
	}
	if got := d.profiles("")[id].Keytray.Generation; got != 2 {
		t.Errorf("the renewal that was under way left generation %d, want 2", got)
	}
	i.check("1.1.0")
	for _, file := range []string{second, i.folder + "/keytray.exe", i.folder + "/keytray-tray.exe", i.folder + "/uninstall.exe"} {
		w.do("osslsigncode", "verify", "-CAfile", certificate, "-in", file)
	}
	if got, want := w.value(runKey, "Keytray"), `REG_SZ    "`+ours+`\keytray-tray.exe"`; got != want {
		t.Errorf("what starts at sign-in is %q, want %q", got, want)
	}
	eventually(t, "another tray", func() bool {
		now := w.trays()
		return strings.Contains(w.own("tray.log"), "keeps the tokens fresh") && len(now) > 0 && !slices.ContainsFunc(now, func(pid string) bool { return slices.Contains(before, pid) })
	})

	w.documented(andRemoved, second)
	eventually(t, "an end of the folder", func() bool { return !exists(i.folder) })
	eventually(t, "the end of the uninstaller", func() bool { return w.value(uninstallKey, "DisplayName") == "" })
	if got := w.value(runKey, "Keytray"); got != "" {
		t.Errorf("what starts at sign-in is %q", got)
	}
	if left := w.trays(); len(left) > 0 {
		t.Errorf("the tray runs on: %v", left)
	}
	if got := w.value(`HKCU\Environment`, "Path"); got != `REG_EXPAND_SZ    `+longPath {
		t.Errorf("PATH is …%q afterwards", tail(got))
	}
	for _, left := range []string{"AppData/Local/Programs/Keytray", "AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Keytray.lnk"} {
		if exists(filepath.Join(w.user(), left)) {
			t.Errorf("%s is left", left)
		}
	}
	d.program = filepath.Join(w.programs, "keytray.exe")
	d.token("--min-ttl", "1s")
}

// through goes through the pages of an installer, and keeps a picture of each. Done is
// what can be seen when its work is: the page after that comes by itself.
func (w *windows) through(program string, names []string, done func() bool) {
	w.t.Helper()
	w.mouseAway()
	bare := w.still(belowPanel)
	w.launch(w.wine, program)
	next := func(since *picture) {
		eventuallyEach(w.t, look, "another page", func() bool { return w.changed(since).Dx() > 100 }) // more than a caret
		w.still(belowPanel)
	}
	next(bare)
	press := func(name string) {
		button := image.Pt(645, 518) // the one that goes on
		if w.changed(bare).Dy() < 150 {
			button = image.Pt(480, 378) // of a question
		}
		w.screenshot(name)
		w.mouseMove(button)
		page := w.still(belowPanel)
		w.xdotool("click", "1")
		next(page)
	}
	for _, name := range names {
		press(name)
	}
	eventually(w.t, "the end of the installer's work", done)
	pass(w.t, 2*time.Second)
	press(names[0] + "-done")
}

// TestThePagesOfTheInstaller is for somebody who looks at its pictures: go test
// -installer.pages -artifacts. The pages in English and Japanese, the tray that the
// last of them starts, an upgrade during a renewal of the tray's, the list of
// programs, and a removal while a command of ours lends a token to a program.
func TestThePagesOfTheInstaller(t *testing.T) {
	if !*pages {
		t.Skip("takes minutes; it is run by -installer.pages")
	}
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel", "makensis", "rsvg-convert", "convert", "localedef")
	d := newDesktop(t, newRig(t))
	w := newWindows(t, d)
	d.panel()
	i := &installed{w, filepath.Join(w.user(), "AppData/Local/Programs/Keytray")}
	first, second := w.installer("1.0.0"), w.installer("1.1.0")
	is := func(version string) func() bool {
		return func() bool { return w.value(uninstallKey, "DisplayVersion") == "REG_SZ    "+version }
	}
	w.through(first, []string{"licence", "components", "folder"}, is("1.0.0"))
	eventually(t, "the tray", func() bool { return len(w.trays()) > 0 && w.own("keytray.png") != "" })
	d.program = filepath.Join(i.folder, "keytray.exe")
	id := d.login("ann")
	d.iconAt()
	w.openMenu()
	d.screenshot("menu")
	d.key("Escape")
	w.choose(refreshNow...)
	d.srv.holdAnswer(8 * time.Second)
	d.key("Return")
	eventually(t, "a renewal at the server", func() bool { return len(d.srv.ledger().Refreshes) == 1 })
	w.through(second, []string{"upgrade", "upgrade-components"}, is("1.1.0"))
	if got := d.profiles("")[id].Keytray.Generation; got != 2 {
		t.Errorf("the renewal that was under way left generation %d, want 2", got)
	}
	i.check("1.1.0")
	w.through(first, []string{"older", "older-licence", "older-components"}, is("1.0.0"))
	list := w.launch(w.wine, "uninstaller")
	pass(t, 5*time.Second)
	d.screenshot("programs")
	list.Kill()

	locales := t.TempDir()
	w.do("localedef", "-i", "ja_JP", "-f", "UTF-8", filepath.Join(locales, "ja_JP.UTF-8"))
	d.env = append(d.env, "LOCPATH="+locales, "LC_ALL=ja_JP.UTF-8")
	w.through(second, []string{"japanese", "japanese-components"}, is("1.1.0"))
	w.documented(asIWant, first)
	moved := &installed{w, filepath.Join(w.prefix, "drive_c/Tools/Keytray")}
	moved.check("1.0.0")
	if exists(i.folder) {
		t.Error("the folder before is left")
	}
	d.program = filepath.Join(moved.folder, "keytray.exe")
	lent := d.start(nil, "run", "--", "cmd", "/c", "ping -n 60 127.0.0.1 >nul")
	pass(t, 5*time.Second)
	w.through(filepath.Join(moved.folder, "uninstall.exe"), []string{"removal"}, func() bool { return w.value(uninstallKey, "DisplayVersion") == "" })
	left, _ := os.ReadDir(moved.folder)
	for _, e := range left {
		if !strings.HasPrefix(e.Name(), "keytray-old-") {
			t.Errorf("%s is left", e.Name())
		}
	}
	t.Logf("%d files are left while a program has our token", len(left))
	lent.wait()
	once := strings.TrimPrefix(w.value(`HKCU\Software\Microsoft\Windows\CurrentVersion\RunOnce`, "Keytray old files"), "REG_SZ    ")
	script := filepath.Join(w.prefix, "drive_c", "once.bat") // Wine does not run this key of a person's
	w.write(script, once+"\r\n")
	w.do(w.wine, "cmd", "/c", w.windowsPath(script))
	if exists(moved.folder) {
		t.Errorf("what had been in use is left by %s", once)
	}
}

// tail is the end of a long text.
func tail(s string) string { return s[max(0, len(s)-80):] }
