// Package keytray_test checks the shape of the whole module: who may import
// what, and who may do what. It reads every non-test Go file of every
// operating system, not only those that are built here.
package keytray_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/keytray/keytray"

// A rule names things that only some files may use. What is used is written as
// [fact] does. A file pattern is one of [path.Match]; no pattern means nowhere.
type rule struct {
	uses []string
	only []string
	why  string
}

// rules is the law of the house. A pattern that nothing matches is an error
// too, so that no row outlives the code it was written for.
var rules = []rule{
	{
		uses: []string{"import github.com/zalando/go-keyring"},
		only: []string{"keychain/*.go"},
		why:  "its calls lie, block and prompt; one package knows how",
	},
	{
		uses: []string{"import " + module + "/keychain"},
		only: []string{"cmd/*/*.go", "keychain/vault/*.go"},
		why:  "whoever can open the keychain can write it: only a program's wiring does, and hands it to sink; vault has its errors",
	},
	{
		uses: []string{"import " + module + "/keychain/session"},
		only: []string{"cmd/keytray/*.go"},
		why:  "the demo brings up a private bus and keyring where there is no desktop; nothing else starts daemons",
	},
	{
		uses: []string{"import filippo.io/age/..."},
		only: []string{"sealed/*.go"},
		why:  "one package knows what age promises and what it does not",
	},
	{
		uses: []string{"import github.com/gofrs/flock"},
		only: []string{"disk/lock.go"},
		why:  "one file knows what a lock is worth; sink knows their order",
	},
	{
		uses: []string{"import net/http/..."},
		only: []string{"oauth/*.go", "oauth/wire/*.go", "oauth/oauthtest/*.go"},
		why:  "no redirects, bounded answers, time limits: one client; the demo's server and scripted browser are oauthtest's",
	},
	{
		uses: []string{"import github.com/coreos/go-oidc/v3/...", "import github.com/go-jose/go-jose/v4/..."},
		only: []string{"oauth/idtoken/*.go", "oauth/clientauth/*.go"},
		why:  "which keys and algorithms are good is said once for each direction; go-oidc's discovery asks without bounds",
	},
	{
		uses: []string{"import fyne.io/systray"},
		only: []string{"cmd/tray/render.go"},
		why:  "it draws, and brings cgo on macOS",
	},
	{
		uses: []string{"import github.com/pkg/browser"},
		only: []string{"cmd/*/*.go"},
		why:  "a window opens because a program decided so; libraries are given a function",
	},
	{
		uses: []string{"import github.com/ncruces/zenity", "import github.com/jezek/xgb/..."},
		only: []string{"desk/*.go"},
		why:  "dialogs and the clipboard belong to a worker, which a person has asked for something",
	},
	{
		uses: []string{".Reveal"},
		only: []string{"secret/secret.go", "oauth/*.go", "oauth/idtoken/*.go", "oauth/clientauth/*.go", "sink/credential.go", "export/*.go", "desk/clipboard*.go", "keeper/paste.go", "client/*.go", "sealed/*.go"},
		why:  "a secret is seen where it enters or leaves: request body, keychain bytes, exported text, the clipboard, what was pasted, another program's file, what is sealed",
	},
	{
		uses: []string{
			"os.Exit", "os.Args", "os.Stdin", "os.Stdout", "os.Stderr", "log/slog.New",
			"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "syscall.Getenv", "syscall.Environ",
		},
		only: []string{"cmd/*/main.go"},
		why:  "main reads the world and hands it down; everything else can be tested",
	},
	{
		uses: []string{"os.Setenv", "os.Unsetenv", "os.Clearenv"},
		only: []string{"keychain/bus.go"},
		why:  "go-keyring finds the bus in the environment and nowhere else",
	},
	{
		uses: []string{"import os/exec", "os.StartProcess", "syscall.Exec"},
		only: []string{"keychain/*.go", "keychain/session/*.go", "worker/child*.go", "desk/*.go", "notify/bell_darwin.go", "client/openclaw/*.go", "loan/child*.go", "cmd/keytray/*.go", "cmd/tray/life_linux.go"},
		why:  "arguments and environment of a child can be read by others",
	},
	{
		uses: []string{".SessionBus", ".ConnectSessionBus", ".SessionBusPrivate", ".SessionBusPrivateNoAutoStartup"},
		why:  "godbus's shared bus is systray's and go-keyring's, who trip over foreign signals; all of these change the environment",
	},
	{
		uses: []string{"import git.sr.ht/~jackmordaunt/go-toast/v2/..."},
		only: []string{"notify/bell_windows.go"},
		why:  "its templates let texts become markup, its fallback lets them become script; one file takes what is left",
	},
	{
		uses: []string{"func init", "var regexp.MustCompile"},
		why:  "nothing happens before main: each command is a start",
	},
	{
		uses: []string{"import .", "import C", "import unsafe", "import reflect", "import plugin", "import html/template", "import text/template"},
		why:  "no tricks; a dot import would also hide what this table looks for, and templates keep the linker from leaving out what nobody calls",
	},
	{
		uses: []string{
			"package util", "package utils", "package common", "package helpers", "package internal",
			"package types", "package models", "package config", "package app", "package misc",
		},
		why: "a package is named for what it provides",
	},
}

// A layer lists the packages of ours that a package may import. Every package
// has one, and what it allows is in use.
type layer struct {
	pkg  string
	uses []string
	why  string
}

var layers = []layer{
	{pkg: "provider", why: "data: who the services are"},
	{pkg: "secret", why: "one type that cannot be shown"},
	{pkg: "route", why: "which login is meant: decides on what it is given, reads nothing"},
	{pkg: "plain", why: "text from elsewhere, made fit to be shown"},
	{pkg: "disk", why: "files and their locks, whatever is in them"},
	{pkg: "object", why: "JSON of other programs, which keeps what is not understood"},
	{pkg: "machine", why: "which process is which, and whether it lives"},
	{pkg: "oauth/wire", why: "the network below oauth; it knows no protocol"},
	{pkg: "oauth/discovery", uses: []string{"oauth/wire", "provider"}, why: "what a server says of itself becomes an entry, once, for a person"},
	{pkg: "oauth/idtoken", uses: []string{"oauth/wire", "provider", "secret"}, why: "signed by this server, for us, now: one answer, nothing kept"},
	{pkg: "oauth/clientauth", uses: []string{"provider", "secret"}, why: "a request and what proves the client; it is handed the secret"},
	{pkg: "oauth", uses: []string{"oauth/clientauth", "oauth/idtoken", "oauth/wire", "provider", "secret"}, why: "protocol: stores nothing, so it cannot see sink"},
	{pkg: "oauth/oauthtest", uses: []string{"provider"}, why: "a server and a browser that know nothing of the client they test"},
	{pkg: "desk", uses: []string{"plain", "secret"}, why: "dialogs, clipboard, terminal: it knows neither logins nor tokens"},
	{pkg: "keychain", why: "names and bytes; it does not know what a profile is"},
	{pkg: "keychain/vault", uses: []string{"disk", "keychain", "sealed"}, why: "a keychain in files; its errors are those of keychain"},
	{pkg: "sealed", uses: []string{"secret"}, why: "age: bytes and keys in, bytes out"},
	{pkg: "keychain/session", why: "starts a private bus and keyring"},
	{pkg: "keychain/keychaintest", why: "a Secret Service that lies, for tests"},
	{pkg: "sink", uses: []string{"disk", "machine", "object", "route", "secret"}, why: "state: sees neither protocol nor network; the keychain is handed to it"},
	{pkg: "sink/sinktest", why: "a keychain in memory that fails as real ones do"},
	{pkg: "e2e", why: "the desktop rig: programs and servers, seen from outside"},
	{pkg: "e2e/faults", why: "the same, and what breaks them: kills, full disks, locked keyrings"},
	{pkg: "keeper", uses: []string{"client", "oauth", "oauth/clientauth", "provider", "sealed", "secret", "sink"}, why: "the only place where protocol meets state"},
	{pkg: "worker", uses: []string{"keeper", "oauth", "secret", "sink"}, why: "one operation of keeper in a process of its own: both ends of its pipes"},
	{pkg: "e2e/packages", why: "what people install, in places where nothing else is"},
	{pkg: "e2e/clients", why: "real clients from npm, in a network of their own"},
	{pkg: "client/openclaw", uses: []string{"disk", "plain", "sink"}, why: "what OpenClaw asks and is told, by its own commands; it reads no login"},
	{pkg: "outlet", uses: []string{"client", "disk", "sink"}, why: "files kept current: it is brought each text, and knows neither keychain nor formats"},
	{pkg: "loan", uses: []string{"client", "disk", "sink"}, why: "private homes and the programs that run in them; it is handed the token's text"},
	{pkg: "notify", uses: []string{"plain"}, why: "says what it is told to"},
	{pkg: "client", uses: []string{"disk", "machine", "object", "secret", "sink"}, why: "files of other programs, under their locks; no protocol, no keychain"},
	{pkg: "export", uses: []string{"provider", "secret"}, why: "formats, and whose tools may have a token: bytes in, text out"},
	{
		pkg:  "cmd/tray",
		uses: []string{"cmd/setup", "cmd/tray/autostart", "cmd/tray/icon", "cmd/tray/view", "disk", "keeper", "notify", "plain", "provider", "sink", "worker"},
		why:  "the icon; it has workers do what needs keychain or network",
	},
	{pkg: "cmd/tray/view", uses: []string{"cmd/tray/icon", "keeper", "plain", "sink"}, why: "what a person is shown, as data"},
	{
		pkg:  "cmd/setup",
		uses: []string{"client", "client/openclaw", "desk", "disk", "export", "keeper", "keychain", "keychain/vault", "loan", "oauth", "outlet", "plain", "provider", "route", "sealed", "secret", "sink", "worker"},
		why:  "the wiring that both programs share",
	},
	{
		pkg:  "cmd/keytray",
		uses: []string{"client", "client/openclaw", "cmd/setup", "disk", "export", "keeper", "keychain", "keychain/session", "loan", "oauth", "oauth/discovery", "oauth/oauthtest", "oauth/wire", "outlet", "plain", "provider", "route", "sealed", "secret", "sink", "worker"},
		why:  "wiring",
	},
	{pkg: "cmd/tray/autostart", why: "one switch per desktop; it is told where things lie"},
	{pkg: "cmd/tray/icon", why: "pictures"},
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	for _, finding := range check(facts(t, os.DirFS(".")), rules, layers) {
		t.Error(finding)
	}
}

// TestEveryRuleCanFail breaks each row of both tables in a made-up file, one
// at a time, and leaves each row without any user.
func TestEveryRuleCanFail(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		for _, use := range r.uses {
			one := rule{uses: []string{use}, only: r.only, why: r.why}
			got := check(facts(t, fstest.MapFS{"wrong/place.go": {Data: breaking(use)}}), []rule{one}, []layer{{pkg: "wrong"}})
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "wrong/place.go:") }) {
				t.Errorf("%s in a forbidden file: findings %q", use, got)
			}
		}
		for _, pattern := range r.only {
			one := rule{uses: r.uses, only: []string{pattern}, why: r.why}
			if got := check(nil, []rule{one}, nil); len(got) != 1 || !strings.Contains(got[0], "nothing") {
				t.Errorf("%s unused in %s: findings %q", r.uses, pattern, got)
			}
		}
	}
	for _, l := range layers {
		wrong := fmt.Sprintf("package x\n\nimport %q\n", module+"/elsewhere")
		got := check(facts(t, fstest.MapFS{l.pkg + "/x.go": {Data: []byte(wrong)}}), nil, []layer{{pkg: l.pkg, uses: l.uses}})
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "may not import elsewhere") }) {
			t.Errorf("%s importing elsewhere: findings %q", l.pkg, got)
		}
		if len(got) != 1+len(l.uses) {
			t.Errorf("%s importing none of %q: findings %q", l.pkg, l.uses, got)
		}
	}
	if got := check([]fact{{file: "new/x.go", what: "package new"}}, nil, nil); len(got) != 1 {
		t.Errorf("a package without a layer: findings %q", got)
	}
	if got := check(nil, nil, []layer{{pkg: "gone"}}); len(got) != 1 {
		t.Errorf("a layer without a package: findings %q", got)
	}
}

// breaking is a source file that does what use says.
func breaking(use string) []byte {
	kind, name, found := strings.Cut(use, " ")
	if !found {
		pkg, sel := path.Split(strings.Replace(use, ".", "/", 1))
		pkg = strings.Trim(pkg, "/")
		if pkg == "" {
			return fmt.Appendf(nil, "package x\n\nvar f = s.%s\n", sel)
		}
		return fmt.Appendf(nil, "package x\n\nimport renamed %q\n\nvar f = renamed.%s\n", pkg, sel)
	}
	switch kind {
	case "var":
		pkg, sel, _ := strings.Cut(name, ".")
		return fmt.Appendf(nil, "package x\n\nimport %q\n\nvar v = f(%s.%s())\n", pkg, pkg, sel)
	case "func":
		return fmt.Appendf(nil, "package x\n\nfunc %s() {}\n", name)
	case "package":
		return fmt.Appendf(nil, "package %s\n", name)
	}
	if name == "." {
		return []byte("package x\n\nimport . \"fmt\"\n")
	}
	return fmt.Appendf(nil, "package x\n\nimport %q\n", strings.Replace(name, "/...", "/below", 1))
}

func TestArchitectureDocumentPrintsTheRules(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{rulesTable(rules), layersTable(layers)} {
		if !strings.Contains(string(doc), table) {
			t.Errorf("ARCHITECTURE.md does not print this table:\n%s", table)
		}
	}
}

func rulesTable(rules []rule) string {
	var b strings.Builder
	b.WriteString("| what | only in | why |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(r.uses), r.places(), r.why)
	}
	return b.String()
}

func (r rule) places() string {
	if len(r.only) == 0 {
		return "nowhere"
	}
	return code(r.only)
}

// layersTable has a row for each package that imports others of ours, and one for
// all that do not.
func layersTable(layers []layer) string {
	var b strings.Builder
	var alone []string
	b.WriteString("| package | imports of ours | why |\n|---|---|---|\n")
	for _, l := range layers {
		if len(l.uses) == 0 {
			alone = append(alone, l.pkg)
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.pkg, code(l.uses), l.why)
	}
	fmt.Fprintf(&b, "| %s | none | ground, leaves and tests |\n", code(alone))
	return b.String()
}

func code(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}

// A fact is one thing that a file does: "import PATH", "PATH.Name" for a name
// of an imported package, ".Name" for a selector on anything, "func NAME",
// "package NAME", "var PATH.Name" for a call that fills a package's variable.
type fact struct {
	file string
	line int
	what string
}

// check returns what is wrong, one sentence each.
func check(facts []fact, rules []rule, layers []layer) []string {
	var findings []string
	for _, r := range rules {
		findings = append(findings, checkRule(facts, r)...)
	}
	return append(findings, checkLayers(facts, layers)...)
}

func checkRule(facts []fact, r rule) (findings []string) {
	used := map[string]bool{}
	for _, f := range facts {
		if !slices.ContainsFunc(r.uses, f.is) {
			continue
		}
		i := slices.IndexFunc(r.only, f.in)
		if i < 0 {
			findings = append(findings, fmt.Sprintf("%s:%d: %s belongs in %s: %s", f.file, f.line, f.what, r.places(), r.why))
			continue
		}
		used[r.only[i]] = true
	}
	for _, pattern := range r.only {
		if !used[pattern] {
			findings = append(findings, fmt.Sprintf("rules: nothing in %s uses %q: remove it from the table", pattern, r.uses))
		}
	}
	return findings
}

func checkLayers(facts []fact, layers []layer) (findings []string) {
	used := map[string]bool{} // "package" and "package imported"
	for _, f := range facts {
		pkg := path.Dir(f.file)
		i := slices.IndexFunc(layers, func(l layer) bool { return l.pkg == pkg })
		if i < 0 {
			if !used[pkg] {
				findings = append(findings, fmt.Sprintf("%s: package %s has no row in layers", f.file, pkg))
			}
			used[pkg] = true
			continue
		}
		used[pkg] = true
		ours, ok := strings.CutPrefix(f.what, "import "+module+"/")
		if !ok {
			continue
		}
		if !slices.Contains(layers[i].uses, ours) {
			findings = append(findings, fmt.Sprintf("%s:%d: %s may not import %s: %s", f.file, f.line, pkg, ours, layers[i].why))
		}
		used[pkg+" "+ours] = true
	}
	for _, l := range layers {
		if !used[l.pkg] {
			findings = append(findings, fmt.Sprintf("layers: there is no package %s: remove its row", l.pkg))
			continue
		}
		for _, ours := range l.uses {
			if !used[l.pkg+" "+ours] {
				findings = append(findings, fmt.Sprintf("layers: %s does not import %s: remove it from its row", l.pkg, ours))
			}
		}
	}
	return findings
}

// is reports whether f is the use that a rule names; "import x/..." names x
// and all below it.
func (f fact) is(use string) bool {
	prefix, below := strings.CutSuffix(use, "/...")
	return f.what == prefix || below && strings.HasPrefix(f.what, prefix+"/")
}

func (f fact) in(pattern string) bool {
	ok, err := path.Match(pattern, f.file)
	if err != nil {
		panic("arch: bad pattern " + pattern)
	}
	return ok
}

// facts reads the Go files below fsys that are part of the program: no tests,
// no test data, no other module, nothing that a package manager laid there.
func facts(t *testing.T, fsys fs.FS) []fact {
	t.Helper()
	var all []fact
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(fsys, name) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		some, err := factsOf(name, src)
		all = append(all, some...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func skipped(fsys fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	if base == "testdata" || base == "node_modules" || base == "vendor" {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func factsOf(name string, src []byte) ([]fact, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []fact
	add := func(n ast.Node, what string) {
		all = append(all, fact{file: name, line: set.Position(n.Pos()).Line, what: what})
	}
	add(file.Name, "package "+file.Name.Name)
	imports := map[string]string{} // by the name used in this file, if the path ends in it
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		add(spec, "import "+p)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." {
			add(spec, "import .")
		}
		imports[local] = p
	}
	used := func(e ast.Expr) string {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || imports[x.Name] == "" {
			return ""
		}
		return imports[x.Name] + "." + sel.Sel.Name
	}
	for _, d := range file.Decls {
		if d, ok := d.(*ast.GenDecl); ok {
			for call := range callsBeforeMain(d) {
				add(call, "var "+used(call.Fun))
			}
		}
	}
	for n := range ast.Preorder(file) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil {
				add(n, "func "+n.Name.Name)
			}
		case *ast.SelectorExpr:
			add(n, "."+n.Sel.Name)
			if what := used(n); what != "" {
				add(n, what)
			}
		}
	}
	return all, nil
}

// callsBeforeMain are the calls that give a package's variables their values.
func callsBeforeMain(d *ast.GenDecl) iter.Seq[*ast.CallExpr] {
	return func(yield func(*ast.CallExpr) bool) {
		more := true
		ast.Inspect(d, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && more {
				more = yield(call)
			}
			_, later := n.(*ast.FuncLit)
			return more && !later
		})
	}
}
