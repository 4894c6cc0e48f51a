//go:build linux

package packages

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section is a part of docs/install.md: its examples, each with its commands.
type section [][]string

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	example = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	remark  = regexp.MustCompile(` +# .*`)
)

// sections are those of a document, by their headings.
func sections(t *testing.T, name string) map[string]section {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]section{}
	begins := heading.FindAllSubmatchIndex(example.ReplaceAllFunc(text, blank), -1)
	for i, at := range begins {
		end := len(text)
		if i+1 < len(begins) {
			end = begins[i+1][0]
		}
		var s section
		for _, m := range example.FindAllSubmatch(text[at[1]:end], -1) {
			s = append(s, strings.Split(strings.TrimSpace(remark.ReplaceAllString(string(m[1]), "")), "\n"))
		}
		found[string(text[at[2]:at[3]])] = s
	}
	return found
}

// blank is as long as text, and has no heading.
func blank(text []byte) []byte { return bytes.Repeat([]byte{' '}, len(text)) }

// document is docs/install.md.
func document(t *testing.T) map[string]section {
	t.Helper()
	return sections(t, "docs/install.md")
}

// what of Linux the document says.
const (
	checked   = "Installing"
	onDebian  = "Debian, Ubuntu and their kin"
	onFedora  = "Fedora, openSUSE and their kin"
	onAlpine  = "Alpine"
	anywhere  = "Any Linux, without root"
	afterward = "After that"
)

// get is the block of a section, with the number of a version.
func (s section) get(t *testing.T, block int, version string) []string {
	t.Helper()
	if block >= len(s) {
		t.Fatalf("docs/install.md has no block %d of commands where this test looks", block)
	}
	var commands []string
	for _, c := range s[block] {
		commands = append(commands, strings.ReplaceAll(c, "VERSION", version))
	}
	return commands
}

// TestReadmeInstallsAsTheDocument: what README.md says is in docs/install.md, which is
// tested.
func TestReadmeInstallsAsTheDocument(t *testing.T) {
	t.Parallel()
	var known []string
	for _, s := range document(t) {
		known = append(known, slices.Concat(s...)...)
	}
	n := 0
	for _, command := range slices.Concat(sections(t, "README.md")["Install"]...) {
		if strings.HasPrefix(command, "make ") || command == "keytray demo" {
			continue
		}
		n++
		if !slices.Contains(known, command) {
			t.Errorf("README.md says %q, docs/install.md does not", command)
		}
	}
	if n < 3 {
		t.Errorf("README.md has %d commands to install; or this test looks in the wrong place", n)
	}
}
