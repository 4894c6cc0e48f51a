//go:build !windows

package autostart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stage is a home, and the folder of a system-wide configuration.
type stage struct {
	t             *testing.T
	home, program string
	user, system  string // where an entry may lie
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{
		t: t, home: filepath.Join(dir, "home"), program: filepath.Join(dir, "keytray-tray"),
		user:   filepath.Join(dir, "home", ".config", "autostart", desktopFile),
		system: filepath.Join(dir, "xdg", "autostart", desktopFile),
	}
	s.write(s.program, "#!/bin/sh\n")
	return s
}

func (s *stage) place() Place {
	return Place{Program: s.program, Home: s.home, ConfigDirs: filepath.Dir(filepath.Dir(s.system))}
}

func (s *stage) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// want checks both what the switch says and what lies in the user's folder.
func (s *stage) want(on bool, user string) {
	s.t.Helper()
	got, err := newDesktop(s.place()).enabled()
	if err != nil || got != on {
		s.t.Errorf("enabled = %v, %v, want %v", got, err, on)
	}
	b, _ := os.ReadFile(s.user)
	if string(b) != user {
		s.t.Errorf("the user's entry is %q, want %q", b, user)
	}
}

func (s *stage) set(on bool) {
	s.t.Helper()
	if err := newDesktop(s.place()).set(on); err != nil {
		s.t.Errorf("set(%v): %v", on, err)
	}
}

func TestUserEntry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.want(false, "")
	s.set(false)
	s.want(false, "")
	s.set(true)
	s.want(true, entry(s.program))
	before, err := os.Stat(s.user)
	if err != nil {
		t.Fatal(err)
	}
	s.set(true)
	if after, err := os.Stat(s.user); err != nil || !os.SameFile(before, after) {
		t.Error("what was right was written again")
	}
	s.write(s.user, entry(s.program+"-old"))
	s.set(true)
	s.want(true, entry(s.program))
	s.set(false)
	s.want(false, "")
	if left, _ := os.ReadDir(filepath.Dir(s.user)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEntryOfAPackage(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(s.system, "[Desktop Entry]\nType=Application\nName=Keytray\nExec=keytray-tray\n")
	s.want(true, "")
	s.set(true)
	s.want(true, "")
	s.set(false)
	s.want(false, hiddenEntry)
	s.set(true)
	s.want(true, "")
	s.write(s.system, "[Desktop Entry]\nType=Application\nName=Keytray\nExec=keytray-tray\nHidden=true\n")
	s.want(false, "")
	s.set(true) // the administrator's preset is not the last word
	s.want(true, entry(s.program))
	s.set(false)
	s.want(false, hiddenEntry) // nor what a later version of the package says
}

func TestWhatIsStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, program := filepath.Join(dir, "plain"), filepath.Join(dir, "back\\slash")
	for file, mode := range map[string]os.FileMode{plain: 0o600, program: 0o700} {
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]bool{
		"[Desktop Entry]\nExec=x\n":                                                  true,
		"# a comment\r\n[Desktop Entry]\r\nExec = x\r\nHidden=false\r\n":             true,
		"[Desktop Entry]\nExec=x\n[Desktop Action stop]\nHidden=true\n":              true,
		"[Desktop Entry]\nExec=x\n#Hidden=true\n":                                    true,
		"[Desktop Entry]\nExec=x\nTryExec=keytray-tray\n":                            true,
		"[Desktop Entry]\nExec=x\nTryExec=" + strings.ReplaceAll(program, `\`, `\\`): true,
		"[Desktop Entry]\nExec=x\nTryExec=" + plain:                                  false,
		"[Desktop Entry]\nExec=x\nTryExec=" + plain + "-gone":                        false,
		"[Desktop Entry]\nExec=x\nHidden = true\n":                                   false,
		"[Desktop Entry]\nExec=x\nX-GNOME-Autostart-enabled=false\n":                 false,
		"[Desktop Action stop]\nExec=x\n":                                            false,
		"[Desktop Entry]\n":                                                          false,
		"":                                                                           false,
	} {
		if got := starts(text); got != want {
			t.Errorf("starts(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestPlantedLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	victim := filepath.Join(s.home, "victim")
	agentFile := agent{home: s.home}.path()
	for _, test := range []struct {
		path string
		set  func(on bool) error
	}{{s.user, newDesktop(s.place()).set}, {agentFile, agent{s.program, s.home}.set}} {
		for _, on := range []bool{true, false} {
			s.write(victim, entry(s.program)) // what would be written: the file is not even looked at
			s.write(test.path, "")
			os.Remove(test.path)
			if err := os.Symlink(victim, test.path); err != nil {
				t.Fatal(err)
			}
			if err := test.set(on); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != entry(s.program) {
				t.Errorf("set(%v): what the link led to is %q, %v", on, b, err)
			}
			fi, err := os.Lstat(test.path)
			if on && (err != nil || !fi.Mode().IsRegular()) || !on && err == nil {
				t.Errorf("set(%v): at %s lies %v, %v", on, test.path, fi, err)
			}
		}
	}
}

func TestOddEntriesAreErrors(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.write(s.user, strings.Repeat("#", maxFile+1))
	if on, err := newDesktop(s.place()).enabled(); err == nil || on {
		t.Errorf("an entry that is too long: enabled = %v, %v", on, err)
	}
	os.Remove(s.user)
	if err := os.Mkdir(s.user, 0o700); err != nil {
		t.Fatal(err)
	}
	if on, err := newDesktop(s.place()).enabled(); err == nil || on {
		t.Errorf("a folder in place of the entry: enabled = %v, %v", on, err)
	}
	if err := newDesktop(s.place()).set(true); err == nil {
		t.Error("a folder was replaced")
	}
	if left, _ := os.ReadDir(filepath.Dir(s.user)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhereEntriesLie(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		place Place
		want  string
	}{
		{Place{Home: "/h"}, "/h/.config /etc/xdg"},
		{Place{Home: "/h", ConfigHome: "/c", ConfigDirs: "/a:rel:/b"}, "/c /a /b"},
		{Place{Home: "/h", ConfigHome: "rel"}, "/h/.config /etc/xdg"},
		{Place{ConfigHome: "/c"}, "/c /etc/xdg"},
		{Place{Home: "rel"}, ""},
	} {
		got := strings.ReplaceAll(strings.Join(newDesktop(test.place).entries, " "), "/autostart/keytray.desktop", "")
		if got != test.want {
			t.Errorf("%+v: %q, want %q", test.place, got, test.want)
		}
	}
	for _, on := range []bool{true, false} {
		if err := newDesktop(Place{Program: "/p"}).set(on); err == nil {
			t.Errorf("set(%v) without a home did something", on)
		}
	}
}

func TestProgramsThatNoDesktopStarts(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"keytray-tray", "", "/a\nExec=rm", "/a\x00", "/\xff", "/a%f", "/a%%", `/a\b`, "/a ", "/\u0085"} {
		s := newStage(t)
		s.program = program
		if err := newDesktop(s.place()).set(true); err == nil {
			t.Errorf("%q was accepted", program)
		}
		s.want(false, "")
	}
}

func FuzzEntry(f *testing.F) {
	for _, program := range []string{"/usr/bin/keytray-tray", "/a b/c", `/"'/$HOME/` + "`x`", "/ü–鍵;&|", "/a=b #c", "/\u00a0"} {
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program string) {
		program = "/" + program
		if checkExec(program) != nil {
			return
		}
		keys := mainGroup(entry(program))
		if got := unquote(unescape(keys["Exec"])); got != program {
			t.Errorf("Exec=%s starts %q, want %q", keys["Exec"], got, program)
		}
		if got := unescape(keys["TryExec"]); got != program {
			t.Errorf("TryExec=%s looks for %q, want %q", keys["TryExec"], got, program)
		}
	})
}

// unescape and unquote read what escape and quote write, one rune at a time.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unquote(s string) string {
	inner, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return s
	}
	return unescape(strings.TrimSuffix(inner, `"`))
}

// FuzzStarts reads anything at all; what is hidden at its end is never started.
func FuzzStarts(f *testing.F) {
	f.Add(entry("/usr/bin/keytray-tray"))
	f.Add(hiddenEntry)
	f.Add("[Desktop Entry\nExec==\n=\n[")
	f.Fuzz(func(t *testing.T, text string) {
		starts(text)
		if starts(text + "\n[Desktop Entry]\nHidden=true\n") {
			t.Error("a hidden entry is started")
		}
	})
}
