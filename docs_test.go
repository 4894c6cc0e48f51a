package keytray_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/keytray/keytray/provider"
)

// documents returns the Markdown files of the repository and their text.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	fsys := os.DirFS(".")
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(fsys, name) {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		docs[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

var (
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`) // no colon: a file, not a URL
	// quoted matches what looks like a path into a folder of this repository.
	quoted = regexp.MustCompile("`((?:\\.ci|client|cmd|desk|docs|e2e|export|keeper|keychain|loan|notify|oauth|outlet|packaging|plain|provider|route|sealed|secret|sink|tools)/[a-z0-9_./-]*)`")
)

func TestDocumentsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	found, docs := 0, documents(t)
	for name, text := range docs {
		var named []string
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file := filepath.Join(filepath.Dir(name), m[1])
			named = append(named, file)
			if m[2] != "" && !slices.Contains(headings(docs[file]), m[2]) {
				t.Errorf("%s: %s has no section %s", name, file, m[2])
			}
		}
		// A decision speaks of the tree as it was, or will be.
		if strings.HasPrefix(name, "docs/adr/") {
			text = ""
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			named = append(named, m[1])
		}
		for _, file := range named {
			found++
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s names %s: %v", name, file, err)
			}
		}
	}
	if found == 0 {
		t.Error("no document names any file: the patterns of this test are wrong")
	}
}

// headings are the anchors of a document's sections, as GitHub makes them.
func headings(text string) (anchors []string) {
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			anchor := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
			anchors = append(anchors, "#"+strings.Map(wordRune, anchor))
		}
	}
	return anchors
}

// wordRune leaves out what has no place in an anchor.
func wordRune(r rune) rune {
	if r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
		return r
	}
	return -1
}

func TestDocumentsAreShort(t *testing.T) {
	t.Parallel()
	decisions := 0
	for name, text := range documents(t) {
		limit := 0
		switch {
		case name == "ARCHITECTURE.md":
			limit = 150
		case strings.HasPrefix(name, "docs/adr/"):
			limit = 40
			decisions++
		}
		if n := bytes.Count([]byte(text), []byte("\n")); limit > 0 && n > limit {
			t.Errorf("%s has %d lines, want at most %d", name, n, limit)
		}
	}
	if decisions == 0 {
		t.Error("no decisions found in docs/adr")
	}
}

var (
	// shell is an example that can be run, with the note before it, and indented one
	// that nobody would find.
	shell    = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]*) -->\n)?^```sh\n(.*?)^```$")
	indented = regexp.MustCompile(`(?m)^    (?:keytray|make|go|git|eval|curl|sudo|apt|apt-get) `)
	fence    = regexp.MustCompile("(?ms)^```.*?^```$")
)

// reasons are why no test runs an example. Another one is a test that shows the
// same: "shown by e2e.TestDemoBringsItsOwnSession".
var reasons = map[string]*regexp.Regexp{
	"builds":          regexp.MustCompile(`\bmake (build|dist)\b`), // .ci/run does
	"needs root":      regexp.MustCompile(`\b(sudo|apt-get|apt|dpkg|rpm|apk) `),
	"takes long":      regexp.MustCompile(`\b(make|go test) `), // likewise
	"ends by Ctrl-C":  regexp.MustCompile(`\bgo run |keytray (watch|onboard)`),
	"needs a Mac":     regexp.MustCompile(`/finish\.sh\b`),
	"needs a network": regexp.MustCompile(`\b(git clone|go install|curl|winget|brew) `),
}

// TestExamplesAreRun checks why those examples are left out that cmd/keytray's
// TestDocumentsRun does not run.
func TestExamplesAreRun(t *testing.T) {
	t.Parallel()
	tests, found := testNames(t, os.DirFS(".")), 0
	for name, text := range documents(t) {
		if path.Dir(name) != "docs" && path.Dir(name) != "." {
			continue
		}
		if line := indented.FindString(fence.ReplaceAllString(text, "")); line != "" {
			t.Errorf("%s has an example that no test finds, as it is not in ```sh: %s", name, line)
		}
		for _, m := range shell.FindAllStringSubmatch(text, -1) {
			found++
			if finding := checkNote(m[1], m[2], tests); finding != "" {
				t.Errorf("%s: %s, before\n%s", name, finding, m[2])
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d examples; the pattern of this test is wrong", found)
	}
}

func TestExamplesCheckCanFail(t *testing.T) {
	t.Parallel()
	tests := testNames(t, os.DirFS("."))
	for _, note := range []string{"", "anew", "on another machine", "not run: builds", "not run: shown by e2e.TestDemoBringsItsOwnSession, for long"} {
		if finding := checkNote(note, "make build\n", tests); finding != "" {
			t.Errorf("%q: %s", note, finding)
		}
	}
	for _, note := range []string{"not run", "not run: ", "not run: why", "not run: needs root", "not run: shown by e2e.TestThatIsNotThere"} {
		if checkNote(note, "make build\n", tests) == "" {
			t.Errorf("%q was taken", note)
		}
	}
}

var shownBy = regexp.MustCompile(`^not run: shown by (\w+\.Test\w+)`)

// checkNote says what is wrong with what stands before an example.
func checkNote(note, commands string, tests map[string]bool) string {
	if slices.Contains([]string{"", "anew", "on another machine", "on a desktop's bus"}, note) {
		return ""
	}
	if m := shownBy.FindStringSubmatch(note); m != nil {
		if !tests[m[1]] {
			return "there is no " + m[1]
		}
		return ""
	}
	reason, _ := strings.CutPrefix(note, "not run: ")
	if sign := reasons[reason]; sign == nil || !sign.MatchString(commands) {
		return "no reason: " + note
	}
	return ""
}

// TestReadmeInJapanese: README.ja.md has the same commands, pictures and links.
func TestReadmeInJapanese(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	for what, parts := range map[string]func(string) []string{
		"examples": func(text string) (all []string) {
			for _, m := range shell.FindAllStringSubmatch(text, -1) {
				all = append(all, m[1]+"\n"+shellComment.ReplaceAllString(m[2], ""))
			}
			return all
		},
		"quoted words": func(text string) (all []string) {
			for _, m := range spoken.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
				all = append(all, strings.ReplaceAll(m[1], "\n", " "))
			}
			slices.Sort(all) // each language has an order of its own
			return all
		},
		"links": func(text string) (all []string) {
			for _, m := range link.FindAllStringSubmatch(text, -1) {
				all = append(all, m[1]+m[2])
			}
			slices.Sort(all)
			return slices.DeleteFunc(all, func(to string) bool { return strings.HasPrefix(to, "README") })
		},
		"sections": func(text string) []string {
			return make([]string, strings.Count(text, "\n## "))
		},
	} {
		english, japanese := parts(docs["README.md"]), parts(docs["README.ja.md"])
		if len(english) < 4 || !slices.Equal(english, japanese) {
			t.Errorf("%s of README.md: %q\nof README.ja.md: %q", what, english, japanese)
		}
	}
}

var (
	shellComment = regexp.MustCompile(` +# .*`)
	spoken       = regexp.MustCompile("`([^`]+)`")
)

var (
	stateWord = regexp.MustCompile(`Word: "(\w+)"`)
	stateRow  = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
)

// TestStatesOfALogin: docs/refresh.md has those that keeper tells of.
func TestStatesOfALogin(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("keeper/state.go")
	if err != nil {
		t.Fatal(err)
	}
	words := func(pattern *regexp.Regexp, text string) (all []string) {
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	got, want := words(stateRow, documents(t)["docs/refresh.md"]), words(stateWord, string(source))
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("docs/refresh.md has the states %q, want %q", got, want)
	}
}

// TestMenuInDocuments: docs/desktop.md calls the entries of the menu what they are
// called there.
func TestMenuInDocuments(t *testing.T) {
	t.Parallel()
	words, err := os.ReadFile("cmd/tray/view/words.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(documents(t)["docs/desktop.md"], "\n## The icon and its menu\n")
	section, _, _ = strings.Cut(section, "\n## ")
	entries := regexp.MustCompile(`\*([A-Z][^*]+)\*`).FindAllStringSubmatch(section, -1)
	if len(entries) < 8 {
		t.Errorf("docs/desktop.md names %d entries of the menu; the pattern of this test is wrong", len(entries))
	}
	for _, m := range entries {
		if !strings.Contains(string(words), `"`+m[1]) {
			t.Errorf("docs/desktop.md names %q, which is not in the menu", m[1])
		}
	}
}

// TestFilesAreDocumented: docs/files.md has what the programs put into Keytray's own
// folder.
func TestFilesAreDocumented(t *testing.T) {
	t.Parallel()
	text, found := documents(t)["docs/files.md"], 0
	for _, name := range goFiles(t) {
		if !strings.HasPrefix(name, "cmd/") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`filepath\.Join\(own, "([^"]+)"\)`).FindAllStringSubmatch(string(source), -1) {
			found++
			if !strings.Contains(text, "`"+m[1]+"`") && !strings.Contains(text, "`"+m[1]+"/`") {
				t.Errorf("docs/files.md does not say what %s is, which %s names", m[1], name)
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d names; the pattern of this test is wrong", found)
	}
}

var jsonc = regexp.MustCompile("(?s)```jsonc\n(.*?)```")

func TestProviderFilesInDocumentsLoad(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"docs/providers.md": 3} {
		examples := jsonc.FindAllStringSubmatch(documents(t)[name], -1)
		if len(examples) != want {
			t.Errorf("%s has %d provider files, want %d", name, len(examples), want)
		}
		for _, example := range examples {
			if _, err := provider.Read(name, []byte(example[1]), provider.Builtin()); err != nil {
				t.Errorf("%v in\n%s", err, example[1])
			}
		}
	}
}
