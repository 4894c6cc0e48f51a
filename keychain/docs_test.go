package keychain_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryHazardHasATest reads the table of docs/keychain.md.
func TestEveryHazardHasATest(t *testing.T) {
	page, err := os.ReadFile("../docs/keychain.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	seen := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([LDWA]\d+) \|.*$`).FindAllStringSubmatch(string(page), -1) {
		text, id := row[0], row[1]
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		cells := strings.Split(strings.Trim(text, "| "), "|")
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		for _, n := range named {
			if !tests[n[1]] {
				t.Errorf("%s names %s, which does not exist", id, n[1])
			}
		}
		if len(named) == 0 && !strings.Contains(strings.ToLower(text), "cannot be tested") {
			t.Errorf("%s has neither a test nor a reason", id)
		}
	}
	for prefix, n := range map[string]int{"L": 17, "D": 10, "W": 7, "A": 4} {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprint(prefix, i); !seen[id] {
				t.Errorf("%s is missing", id)
			}
		}
	}
}

// testNames returns the names of this folder's tests, for all systems.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
