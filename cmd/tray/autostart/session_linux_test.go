package autostart_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/cmd/tray/autostart"
)

// paths are names of folders with all that a desktop entry has to quote.
// dex 0.8 takes the backslash before a dollar sign, a backquote or a quotation
// mark for a part of the name; GLib and systemd read them as they are meant.
var paths = []struct {
	name string
	dex  bool
}{
	{"plain", true},
	{"two words", true},
	{"ap'ostrophe; semi #hash", true},
	{"tilde~ (round) <angle> | & * ? ! {curly}", true},
	{"a=b", true},
	{"schlüssel – 鍵 🔑", true},
	{`quo"te`, false},
	{"$HOME ${x}", false},
	{"`id`", false},
}

// TestSessionsStartIt switches programs of such names on and has what real
// desktops use start them.
func TestSessionsStartIt(t *testing.T) {
	t.Parallel()
	gio := find(t, "libglib2.0-bin", "gio")
	dex := find(t, "dex", "dex")
	validate := find(t, "desktop-file-utils", "desktop-file-validate")
	generate := find(t, "systemd", "/usr/lib/systemd/user-generators/systemd-xdg-autostart-generator", "/lib/systemd/user-generators/systemd-xdg-autostart-generator")
	for _, test := range paths {
		t.Run(test.name, func(t *testing.T) {
			s := newSession(t, test.name)
			if err := s.autostart.Set(true); err != nil {
				t.Fatal(err)
			}
			entry := filepath.Join(s.config, "autostart", "keytray.desktop")
			if out := s.run(validate, entry); out != "" {
				t.Errorf("desktop-file-validate: %s", out)
			}
			s.run(gio, "launch", entry)
			s.wantStarted("GLib")
			if test.dex {
				s.run(dex, "--autostart", "--environment", "XFCE")
				s.wantStarted("dex")
			}
			if got := s.unit(generate); got != s.program {
				t.Errorf("systemd starts %q, want %q", got, s.program)
			}
		})
	}
}

// TestSessionsStartNothing switches off what a package installed.
func TestSessionsStartNothing(t *testing.T) {
	t.Parallel()
	dex := find(t, "dex", "dex")
	s := newSession(t, "off")
	system := filepath.Join(s.xdg, "autostart", "keytray.desktop")
	if err := os.MkdirAll(filepath.Dir(system), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(system, []byte("[Desktop Entry]\nType=Application\nName=Keytray\nExec="+s.program+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{true, false, true} {
		if err := s.autostart.Set(on); err != nil {
			t.Fatal(err)
		}
		out := s.run(dex, "--autostart", "--environment", "XFCE", "--dry-run", "--verbose")
		if got := strings.Contains(out, "Executing command: "+s.program); got != on {
			t.Errorf("set to %v, dex says\n%s", on, out)
		}
		if !on && !strings.Contains(out, "hidden attribute is set: "+s.config) {
			t.Errorf("the user's entry is not hidden, says dex\n%s", out)
		}
		if got, err := s.autostart.Enabled(); err != nil || got != on {
			t.Errorf("set to %v, Enabled says %v, %v", on, got, err)
		}
	}
}

// A session has a home of its own, and a program that writes the path by which
// it was started into a pipe.
type session struct {
	t                    *testing.T
	config, xdg, program string
	autostart            *autostart.Switch
	env                  []string
	started              *os.File
}

func newSession(t *testing.T, folder string) *session {
	t.Helper()
	dir := t.TempDir()
	s := &session{t: t, config: filepath.Join(dir, "config"), xdg: filepath.Join(dir, "xdg"), program: filepath.Join(dir, folder, folder)}
	s.autostart = autostart.New(autostart.Place{Program: s.program, Home: dir, ConfigHome: s.config, ConfigDirs: s.xdg})
	pipe := filepath.Join(dir, "pipe")
	s.env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+s.config, "XDG_CONFIG_DIRS="+s.xdg, "STARTED="+pipe,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "XDG_CURRENT_DESKTOP=XFCE")
	if err := os.MkdirAll(filepath.Dir(s.program), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.program, []byte("#!/bin/sh\necho \"$0 $#\" >\"$STARTED\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.started, err = os.OpenFile(pipe, os.O_RDWR, 0); err != nil { // for writing too: so it opens at once
		t.Fatal(err)
	}
	t.Cleanup(func() { s.started.Close() })
	return s
}

func (s *session) run(name string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (s *session) wantStarted(by string) {
	s.t.Helper()
	if err := s.started.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	got, err := bufio.NewReader(s.started).ReadString('\n')
	if want := s.program + " 0\n"; err != nil || got != want {
		s.t.Errorf("%s started %q, %v, want %q", by, got, err, want)
	}
}

// unit returns the program of the unit that systemd makes of the entry, as
// sessions of GNOME and Plasma do.
func (s *session) unit(generate string) string {
	s.t.Helper()
	units := s.t.TempDir()
	s.run(generate, units, units, units)
	files, err := filepath.Glob(filepath.Join(units, "*.service"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("systemd made the units %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nExecStart=:")
	line, _, _ := strings.Cut(rest, "\n")
	if inner, ok := strings.CutPrefix(line, `"`); ok {
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(strings.TrimSuffix(inner, `"`))
	}
	return line
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
