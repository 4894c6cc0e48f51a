package keytray_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// faultSteps are the columns of the matrix in docs/faults.md.
var faultSteps = []string{"L–C", "I", "P", "J", "K", "M–E"}

const (
	faultRows = 21 // as many as the engine's design has
	neverRow  = "–"
)

// TestFaultMatrixIsShown: each cell of the matrix that can happen names a test,
// or says why there is none; each test that is named exists.
func TestFaultMatrixIsShown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range checkFaults(string(text), testNames(t, os.DirFS("."))) {
		t.Error(finding)
	}
}

// TestFaultMatrixCheckCanFail breaks the document in each way that counts.
func TestFaultMatrixCheckCanFail(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	text, names := string(b), testNames(t, os.DirFS("."))
	for what, broken := range map[string]string{
		"a fault less":             without(text, "| torn journal |"),
		"a cell that nobody shows": strings.Replace(text, "| torn journal | quarantine | – |", "| torn journal | quarantine | A |", 1),
		"a cell that is not there": strings.Replace(text, "| torn journal | L–C |", "| torn journal | L–C, P |", 1),
		"a test that is not there": strings.Replace(text, "`TestTornJournalIsSetAside`", "`TestThatIsNotThere`", 1),
		"a reason that is none":    strings.Replace(text, "`keytray.TestAKilledTrayLosesNothing`", "later", 1),
	} {
		if broken == text {
			t.Errorf("%s: nothing was broken", what)
		}
		if len(checkFaults(broken, names)) == 0 {
			t.Errorf("%s: not found", what)
		}
	}
}

// without drops the first line that begins so.
func without(text, begin string) string {
	i := strings.Index(text, begin)
	if i < 0 {
		return text
	}
	return text[:i] + text[i+strings.IndexByte(text[i:], '\n')+1:]
}

var namedTest = regexp.MustCompile("`((?:[a-z0-9]+\\.)?Test[A-Za-z0-9]+)`")

// checkFaults compares the two tables of docs/faults.md with each other and with
// the tests that there are.
func checkFaults(text string, tests map[string]bool) (findings []string) {
	cells := map[[2]string]bool{} // and whether somebody shows it
	faults := 0
	for _, row := range tableRows(text, len(faultSteps)+1) {
		if row[0] == "fault ↓ at step →" {
			continue
		}
		faults++
		for i, cell := range row[1:] {
			if cell != neverRow {
				cells[[2]string{row[0], faultSteps[i]}] = false
			}
		}
	}
	if faults != faultRows {
		findings = append(findings, "the matrix has not as many faults as it should have")
	}
	for _, row := range tableRows(text, 3) {
		if row[0] == "fault" {
			continue
		}
		named := namedTest.FindAllStringSubmatch(row[2], -1)
		for _, m := range named {
			if !tests[m[1]] {
				findings = append(findings, row[0]+": there is no "+m[1])
			}
		}
		excused := strings.HasPrefix(row[2], "simulation only: ") && named != nil || strings.HasPrefix(row[2], "not reached: ")
		if named == nil && !excused {
			findings = append(findings, row[0]+": neither a test nor a reason: "+row[2])
		}
		for step := range strings.SplitSeq(row[1], ", ") {
			cell := [2]string{row[0], step}
			if _, ok := cells[cell]; !ok {
				findings = append(findings, row[0]+" at "+step+" is not in the matrix")
			}
			cells[cell] = true
		}
	}
	for cell, shown := range cells {
		if !shown {
			findings = append(findings, cell[0]+" at "+cell[1]+": nobody shows it")
		}
	}
	return findings
}

// tableRows are the rows of the Markdown tables that have so many columns.
func tableRows(text string, columns int) (rows [][]string) {
	for line := range strings.Lines(text) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		cells := strings.Split(strings.TrimSuffix(inner, " |"), " | ")
		if ok && len(cells) == columns {
			rows = append(rows, cells)
		}
	}
	return rows
}

// testNames are the tests of all packages, as docs/faults.md names them.
func testNames(t *testing.T, fsys fs.FS) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(fsys, name) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		prefix := path.Base(path.Dir(name)) + "."
		if path.Dir(name) == "e2e/faults" {
			prefix = ""
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[prefix+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestFaultTestsAreAllInTheMatrix(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	var absent []string
	for name := range testNames(t, os.DirFS(".")) {
		if !strings.Contains(name, ".") && name != "TestMain" && !strings.Contains(string(text), "`"+name+"`") {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	if absent != nil {
		t.Errorf("docs/faults.md does not name these tests of e2e/faults: %q", absent)
	}
}
