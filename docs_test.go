package keytray_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	found := 0
	for name, text := range documents(t) {
		var named []string
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			named = append(named, filepath.Join(filepath.Dir(name), m[1]))
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

var jsonc = regexp.MustCompile("(?s)```jsonc\n(.*?)```")

func TestProviderFilesInDocumentsLoad(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"README.md": 1, "docs/providers.md": 3} {
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
