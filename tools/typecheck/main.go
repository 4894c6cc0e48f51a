// Command typecheck checks the types of packages as another system compiles
// them, their cgo files included, where neither its C compiler nor its headers
// are at hand. What it cannot see is the C side, and linking.
//
//	typecheck -os darwin ./cmd/tray
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

func main() {
	goos := flag.String("os", "darwin", "GOOS")
	arch := flag.String("arch", "arm64", "GOARCH")
	dir := flag.String("C", ".", "folder of the module")
	flag.Parse()
	c := checker{fset: token.NewFileSet(), sizes: types.SizesFor("gc", *arch), done: map[string]*types.Package{"unsafe": types.Unsafe}}
	if err := c.run(*dir, *goos, *arch, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "typecheck:", err)
		os.Exit(1)
	}
}

// listed is a package as `go list -json` tells of it.
type listed struct {
	ImportPath, Dir   string
	GoFiles, CgoFiles []string
	ImportMap         map[string]string
	Standard          bool
	Error             *struct{ Err string }
}

type checker struct {
	fset  *token.FileSet
	sizes types.Sizes
	done  map[string]*types.Package
	names map[string]string // of imports of the package at hand
}

// run checks packages and all that they import, in the order in which go list
// gives them: what is imported first.
func (c *checker) run(dir, goos, arch string, packages []string) error {
	list := exec.Command("go", append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,CgoFiles,ImportMap,Standard,Error"}, packages...)...)
	list.Dir, list.Stderr = dir, os.Stderr
	list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=1")
	out, err := list.StdoutPipe()
	if err != nil {
		return err
	}
	if err := list.Start(); err != nil {
		return err
	}
	var wrong []error
	for d := json.NewDecoder(out); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		wrong = append(wrong, c.check(p)...)
	}
	return errors.Join(append(wrong, list.Wait())...)
}

// check checks one package. The bodies of the standard library are taken as good.
func (c *checker) check(p listed) (wrong []error) {
	if p.ImportPath == "unsafe" {
		return nil
	}
	if p.Error != nil {
		wrong = append(wrong, errors.New(p.Error.Err))
	}
	var files []*ast.File
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		f, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return append(wrong, err)
		}
		files = append(files, f)
	}
	c.names = p.ImportMap
	conf := types.Config{FakeImportC: true, Sizes: c.sizes, IgnoreFuncBodies: p.Standard, Importer: c, Error: func(err error) {
		if !p.Standard {
			wrong = append(wrong, err)
		}
	}}
	c.done[p.ImportPath], _ = conf.Check(p.ImportPath, c.fset, files, nil) // its error is among those above
	return wrong
}

// Import implements [types.Importer].
func (c *checker) Import(path string) (*types.Package, error) {
	if mapped := c.names[path]; mapped != "" {
		path = mapped
	}
	if p := c.done[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("package %s was not listed", path)
}
