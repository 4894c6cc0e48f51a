package keytray_test

import (
	"os"
	"strings"
	"testing"
)

// TestClientsAreShown compares docs/clients.md with the tests that it names.
func TestClientsAreShown(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	text, folders := string(b), clientFolders(t)
	for _, finding := range checkClients(text, folders, testNames(t, os.DirFS("."))) {
		t.Error(finding)
	}
}

// TestClientsCheckCanFail breaks the document in each way that counts.
func TestClientsCheckCanFail(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	text, folders, names := string(b), clientFolders(t), testNames(t, os.DirFS("."))
	for what, broken := range map[string]string{
		"a test that is not there":         strings.Replace(text, "`TestClaudeRun`", "`TestThatIsNotThere`", 1),
		"one in the text":                  strings.Replace(text, "(`TestCodexCopies`)", "(`TestThatIsNotThere`)", 1),
		"a way without a test":             strings.Replace(text, "`TestClaudeRun`", "", 1),
		"a version that is not pinned":     strings.Replace(text, "| Claude Code | 2", "| Claude Code | 1.0.0, 2", 1),
		"a client that is pinned for none": without(text, "| pi | 0."),
	} {
		if broken == text {
			t.Errorf("%s: nothing was broken", what)
		}
		if len(checkClients(broken, folders, names)) == 0 {
			t.Errorf("%s: not found", what)
		}
	}
}

// clientFolders are those of e2e/clients that pin a client: name-version.
func clientFolders(t *testing.T) (folders []string) {
	t.Helper()
	all, err := os.ReadDir("e2e/clients")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.IsDir() {
			folders = append(folders, d.Name())
		}
	}
	return folders
}

// checkClients compares the second table of docs/clients.md with the clients that
// are pinned and the tests that there are.
func checkClients(text string, folders []string, tests map[string]bool) (findings []string) {
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		if !tests["clients."+m[1]] {
			findings = append(findings, "there is no "+m[1])
		}
	}
	absent := map[string]bool{}
	for _, folder := range folders {
		_, version, _ := strings.Cut(folder, "-")
		absent[version] = true
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|") // the first and the last are outside
		if len(cells) != 7 || strings.Contains(line, "---") || strings.Contains(line, "| versions |") {
			continue
		}
		if !namedTest.MatchString(cells[5]) {
			findings = append(findings, cells[3]+": no test")
		}
		for version := range strings.FieldsFuncSeq(cells[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			if _, pinned := absent[version]; !pinned {
				findings = append(findings, cells[1]+": "+version+" is not pinned")
			}
			absent[version] = false
		}
	}
	for version, missing := range absent {
		if missing {
			findings = append(findings, version+" of a client is pinned and in no row")
		}
	}
	return findings
}
