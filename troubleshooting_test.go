package keytray_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// troubleshooting is a document whose tables have what the program says.
const troubleshooting = "docs/troubleshooting.md"

// TestTroubleshootingSaysWhatIsSaid finds each message of the document in the
// program's text, and each error that has a hint in the document.
func TestTroubleshootingSaysWhatIsSaid(t *testing.T) {
	t.Parallel()
	said, explained := programText(t)
	for _, finding := range checkMessages(documents(t)[troubleshooting], said, explained) {
		t.Error(finding)
	}
}

// TestTroubleshootingCheckCanFail breaks the document in each way that counts.
func TestTroubleshootingCheckCanFail(t *testing.T) {
	t.Parallel()
	said, explained := programText(t)
	text := documents(t)[troubleshooting]
	for what, broken := range map[string]string{
		"a message that nobody says": strings.Replace(text, "`port … is held by …`", "`port … is taken by …`", 1),
		"an error less":              without(text, "| `no such login` |"),
		"another exit code":          strings.Replace(text, "| `several logins fit` | 2 |", "| `several logins fit` | 1 |", 1),
		"nothing that helps":         strings.Replace(text, "| mistyped | again |", "| mistyped |  |", 1),
	} {
		if broken == text {
			t.Errorf("%s: nothing was broken", what)
		}
		if len(checkMessages(broken, said, explained)) == 0 {
			t.Errorf("%s: not found", what)
		}
	}
}

// TestTroubleshootingHasWhatTheDoctorFinds: each of its complaints is a row.
func TestTroubleshootingHasWhatTheDoctorFinds(t *testing.T) {
	t.Parallel()
	text, found := documents(t)[troubleshooting], 0
	for _, name := range goFiles(t) {
		if path.Dir(name) != "cmd/keytray" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			message := complaint(n)
			if strings.Trim(message, "… :") == "" { // another's words
				return true
			}
			found++
			if !strings.Contains(text, "| `"+message+"` |") {
				t.Errorf("%s has no row of what keytray doctor says: %s", troubleshooting, message)
			}
			return true
		})
	}
	if found < 10 {
		t.Errorf("found %d complaints of the doctor; this test looks for the wrong calls", found)
	}
}

// complaint is the text of a warning or a failure of the doctor.
func complaint(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return ""
	}
	if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "failed" && f.Name != "warning" {
		return ""
	}
	lit, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return verb.ReplaceAllString(s, "…")
}

// untold are errors that no person meets: those between the tray and its workers,
// and the end of a command by its person.
var untold = []string{"worker.ErrBadRequest", "context.Canceled"}

// checkMessages compares the tables with the texts of the program, and with the
// errors that it explains: their names, texts and exit codes.
func checkMessages(text string, said []string, explained map[string]explanation) (findings []string) {
	rows := map[string]string{}
	for _, row := range tableRows(text, 4) {
		message, ok := strings.CutPrefix(row[0], "`")
		if !ok {
			continue
		}
		message = strings.TrimSuffix(message, "`")
		rows[message] = row[1]
		if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, message) }) {
			findings = append(findings, "nothing says: "+message)
		}
		if row[2] == "" || row[3] == "" {
			findings = append(findings, "neither why nor what helps: "+message)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(explained)) {
		e := explained[name]
		if code, ok := rows[e.text]; (!ok || code != e.exit) && !slices.Contains(untold, name) {
			findings = append(findings, name+" is not there as `"+e.text+"` with exit code "+e.exit)
		}
	}
	return findings
}

// explanation is what setup.Explain knows of an error.
type explanation struct{ text, exit string }

// verb is a part of a format that is filled in.
var verb = regexp.MustCompile(`%[-+# 0]*[0-9]*[.]?[0-9]*[a-zA-Z]`)

// programText returns the strings in the sources of both programs, with … for
// what is filled in, and the errors in the table of setup.Explain.
func programText(t *testing.T) (said []string, explained map[string]explanation) {
	t.Helper()
	errorText, exits := map[string]string{}, map[string]string{}
	explained = map[string]explanation{}
	var named [][2]string
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					said = append(said, verb.ReplaceAllString(s, "…"))
				}
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if i >= len(n.Values) {
						break
					}
					if s, ok := newError(n.Values[i]); ok {
						errorText[file.Name.Name+"."+id.Name] = s
					}
					if code, ok := n.Values[i].(*ast.BasicLit); ok && strings.HasPrefix(id.Name, "Exit") {
						exits[id.Name] = code.Value
					}
				}
			case *ast.CompositeLit:
				if name == "cmd/setup/errors.go" {
					if is, code, ok := explainedRow(n); ok {
						named = append(named, [2]string{is, code})
					}
				}
			}
			return true
		})
	}
	for _, n := range named {
		explained[n[0]] = explanation{errorText[n[0]], exits[n[1]]}
	}
	if len(explained) < 50 || len(said) < 1000 {
		t.Fatalf("found %d errors and %d strings; the patterns of this test are wrong", len(explained), len(said))
	}
	return said, explained
}

// newError is the text of errors.New("...").
func newError(e ast.Expr) (string, bool) {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 || selected(call.Fun) != "errors.New" {
		return "", false
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// explainedRow reads {sink.ErrBusy, ExitLater, "..."}.
func explainedRow(n *ast.CompositeLit) (name, exit string, ok bool) {
	if len(n.Elts) != 3 {
		return "", "", false
	}
	code, ok := n.Elts[1].(*ast.Ident)
	name = selected(n.Elts[0])
	return name, identName(code), ok && name != ""
}

func identName(id *ast.Ident) string {
	if id == nil {
		return ""
	}
	return id.Name
}

// selected is pkg.Name, or empty for any other expression.
func selected(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return pkg.Name + "." + s.Sel.Name
}
