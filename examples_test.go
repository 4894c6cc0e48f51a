package keytray_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// TestEachPackageHasAnExample: whoever meets a package sees how it is used, in code
// that runs. Wiring, pictures, and what is only for tests may go without.
func TestEachPackageHasAnExample(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for _, name := range goFiles(t) {
		dir := path.Dir(name)
		if dir == "." || strings.HasPrefix(dir, "cmd/") || strings.HasPrefix(dir, "e2e") || strings.HasPrefix(dir, "tools") ||
			strings.HasSuffix(dir, "test") || dir == "keychain/session" {
			continue
		}
		has[dir] = has[dir] || strings.HasSuffix(name, "_test.go") && hasExample(t, name)
	}
	if len(has) < 15 {
		t.Errorf("found %d packages; this test looks in the wrong places", len(has))
	}
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s has no Example with an output, in a file example_test.go", dir)
		}
	}
}

func hasExample(t *testing.T, name string) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") && hasOutput(file, f) {
			return true
		}
	}
	return false
}

// hasOutput reports whether go test runs an example: it is only compiled if it
// does not say what it prints.
func hasOutput(file *ast.File, f *ast.FuncDecl) bool {
	for _, c := range file.Comments {
		if f.Pos() < c.Pos() && c.End() < f.End() && strings.HasPrefix(c.Text(), "Output:") {
			return true
		}
	}
	return false
}

// goFiles are the names of all Go files of the module, those of tests included.
func goFiles(t *testing.T) (names []string) {
	t.Helper()
	fsys := os.DirFS(".")
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(fsys, name) {
			return fs.SkipDir
		}
		if path.Ext(name) == ".go" {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
