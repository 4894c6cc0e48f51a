//go:build !windows

package autostart

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestAgent(t *testing.T) {
	t.Parallel()
	a := agent{"/Applications/Keytray.app/Contents/MacOS/keytray-tray", t.TempDir()}
	for _, on := range []bool{false, true, true, false, false} {
		if err := a.set(on); err != nil {
			t.Fatal(err)
		}
		if got, err := a.enabled(); err != nil || got != on {
			t.Errorf("after set(%v): enabled = %v, %v", on, got, err)
		}
		want := 0
		if on {
			want = 1
		}
		if files, _ := os.ReadDir(filepath.Join(a.home, "Library", "LaunchAgents")); len(files) != want {
			t.Errorf("after set(%v): %v", on, files)
		}
	}
	for _, program := range []string{"keytray-tray", "/a\x01", "/\xff", "/\ufffe"} {
		if err := (agent{program, a.home}).set(true); err == nil {
			t.Errorf("%q was accepted", program)
		}
	}
	if err := (agent{program: a.program}).set(true); err == nil {
		t.Error("written without a home")
	}
	if _, err := (agent{program: a.program}).enabled(); err == nil {
		t.Error("read without a home")
	}
}

// TestAgentIsThatOfThePackage: who copies the packaged agent, for all users say,
// has the setting in the menu that the tray itself would have written.
func TestAgentIsThatOfThePackage(t *testing.T) {
	t.Parallel()
	const folder = "../../../packaging/macos/"
	for file, want := range map[string]string{
		agentLabel + ".plist":     plist("/Applications/Keytray.app/Contents/MacOS/keytray-tray"),
		"Info.plist":              "<key>CFBundleIdentifier</key>\n\t<string>" + agentLabel + "</string>",
		"homebrew/keytray-app.rb": `launchctl: "` + agentLabel + `"`,
	} {
		b, err := os.ReadFile(folder + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), want) {
			t.Errorf("%s does not say\n%s", file, want)
		}
	}
}

const nastyProgram = "/Users/ä 鍵/a&b <c> \"d\" 'e' %f \\g $h ]]>/keytray-tray "

// TestAgentFile has Python's reader of property lists read one.
func TestAgentFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.plist")
	if err := os.WriteFile(file, []byte(plist(nastyProgram)), 0o600); err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed (Debian: apt-get install python3)")
	}
	out, err := exec.CommandContext(t.Context(), python, "-c",
		"import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))", file).CombinedOutput()
	if err != nil {
		t.Fatalf("reading the property list: %v\n%s", err, out)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Label": agentLabel, "ProgramArguments": []any{nastyProgram}, "RunAtLoad": true,
		"LimitLoadToSessionType": "Aqua", "ProcessType": "Interactive",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the property list says %v, want %v", got, want)
	}
}

func FuzzAgentFile(f *testing.F) {
	f.Add(nastyProgram)
	f.Add("/\u2028\u00a0\ufffd\U0001f511")
	f.Fuzz(func(t *testing.T, program string) {
		program = "/" + program
		if checkProgram(program) != nil {
			return
		}
		var got struct {
			Arguments []string `xml:"dict>array>string"`
		}
		if err := xml.Unmarshal([]byte(plist(program)), &got); err != nil || len(got.Arguments) != 1 || got.Arguments[0] != program {
			t.Errorf("of %q launchd reads %q, %v", program, got.Arguments, err)
		}
	})
}
