package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

const (
	// Folder is where Load looks, below the root it is given.
	Folder = "providers"

	// MaxFile is how long a provider file may be.
	MaxFile  = 64 << 10
	maxFiles = 100
)

// FileError says what is wrong with a provider file, and where.
type FileError struct {
	// File is the path that was read, Line counts from 1; it is 0 if the file
	// as a whole is meant.
	File string
	Line int
	// Field is the path of JSON names, empty if no field is meant.
	Field   string
	Problem string
}

// Error implements error.
func (e *FileError) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Field == "" {
		return where + ": " + e.Problem
	}
	return where + ": " + e.Field + ": " + e.Problem
}

// Load adds the provider files of root, providers/*.json, to a catalog. A file
// is one [Provider] in JSON; comments and trailing commas are allowed, unknown
// and repeated members are not, nor is the id of another provider.
//
// The catalog is good also when there is an error, without the files that are
// named in it: each as a [*FileError], joined. No folder is no error.
func Load(root fs.FS, builtin Catalog) (Catalog, error) {
	catalog := slices.Clone(builtin)
	entries, err := fs.ReadDir(root, Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return catalog, nil
	}
	if err != nil {
		return catalog, fmt.Errorf("reading %s: %w", Folder, err)
	}
	var problems []error
	files := 0
	for _, entry := range entries { // sorted by name
		if path.Ext(entry.Name()) != ".json" {
			continue
		}
		name := path.Join(Folder, entry.Name())
		if files++; files > maxFiles {
			problems = append(problems, &FileError{File: Folder, Problem: fmt.Sprintf("has more than %d files", maxFiles)})
			break
		}
		p, err := loadFile(root, name, catalog)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		catalog = append(catalog, p)
		slices.SortFunc(catalog, func(a, b Provider) int { return strings.Compare(a.ID, b.ID) })
	}
	return catalog, errors.Join(problems...)
}

func loadFile(root fs.FS, name string, catalog Catalog) (Provider, error) {
	b, err := readFile(root, name)
	if err != nil {
		return Provider{}, err
	}
	return Read(name, b, catalog)
}

// FileOf is the path below root of the file that id was loaded from: people name
// them as they like. The error is [fs.ErrNotExist] if there is none.
func FileOf(root fs.FS, id string) (string, error) {
	names, err := fs.Glob(root, Folder+"/*.json")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if p, err := loadFile(root, name, nil); err == nil && p.ID == id {
			return name, nil
		}
	}
	return "", fmt.Errorf("finding the file of %s: %w", id, fs.ErrNotExist)
}

// Read is the provider that a file holds, if it is a good one that is not among
// others. The name is for the error, a [*FileError].
func Read(name string, b []byte, others Catalog) (Provider, error) {
	if len(b) > MaxFile {
		return Provider{}, &FileError{File: name, Problem: fmt.Sprintf("is larger than %d bytes", MaxFile)}
	}
	p, doc, err := parse(name, b)
	if err != nil {
		return Provider{}, err
	}
	if _, taken := others.Find(p.ID); taken {
		return Provider{}, doc.fail("id", fmt.Sprintf("%q is another provider already", p.ID))
	}
	return p, nil
}

func readFile(root fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(root, name)
	if err != nil {
		return nil, fmt.Errorf("reading a provider file: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would block
		return nil, &FileError{File: name, Problem: "is not a regular file"}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading a provider file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1)) // one more than Read takes
	if err != nil {
		return nil, fmt.Errorf("reading a provider file: %w", err)
	}
	return b, nil
}

// parse decodes and checks one file.
func parse(name string, b []byte) (Provider, *document, error) {
	tree, err := hujson.Parse(b)
	if err != nil {
		return Provider{}, nil, syntaxError(name, err)
	}
	doc := &document{name: name, text: b, offsets: map[string]int{"": tree.StartOffset}}
	if err := doc.walk("", tree, members()); err != nil {
		return Provider{}, nil, err
	}
	tree.Standardize() // offsets are known by now
	var p Provider
	if err := json.Unmarshal(tree.Pack(), &p); err != nil {
		return Provider{}, nil, doc.typeError(err)
	}
	if err := p.Validate(); err != nil {
		fe, ok := errors.AsType[*FieldError](err)
		if !ok {
			return Provider{}, nil, err
		}
		return Provider{}, nil, doc.fail(fe.Field, fe.Problem)
	}
	return p, doc, nil
}

// schema names the members of an object. A nil value is a member that is not an
// object, or one whose members are free.
type schema map[string]schema

// members is what a provider file may hold; a test compares it with the types.
func members() schema {
	probe := schema{"endpoint": nil, "headers": nil}
	static := schema{"command": nil, "page": nil, "prefix": nil, "min_length": nil, "days": nil, "header": nil, "env": nil, "probe": probe}
	return schema{
		"id": nil, "name": nil, "page": nil, "vendor": nil,
		"oauth": {
			"issuer": nil, "authorization_endpoint": nil, "device_authorization_endpoint": nil,
			"device_exchange": {"poll_endpoint": nil, "verification_uri": nil, "redirect_uri": nil},
			"token_endpoint":  nil, "revocation_endpoint": nil,
			"exchange":          {"endpoint": nil, "headers": nil, "token": nil, "expires": nil},
			"userinfo_endpoint": nil, "jwks_uri": nil, "id_token_signing_alg_values_supported": nil,
			"authorization_response_iss_parameter_supported": nil,
			"client_id": nil, "token_endpoint_auth_method": nil, "scopes": nil, "authorization_params": nil,
			"redirect":  {"host": nil, "path": nil, "ports": nil},
			"code_json": nil, "refresh_json": nil, "revocation_json": nil, "env": nil, "probe": probe,
			"identity": {"token": nil, "account": nil, "email": nil, "plan": nil, "required": nil},
			"policy":   nil, "lead_seconds": nil, "allow_http_loopback": nil,
		},
		"setup_token": static, "token": static, "api_key": static,
		"hosts": nil, "api": {"url": nil, "account_header": nil},
	}
}

// document remembers where each field of a file is.
type document struct {
	name    string
	text    []byte
	offsets map[string]int
}

// walk notes the fields below the field at, and refuses unknown and repeated ones:
// package json takes the last of two, and names in any case.
func (d *document) walk(at string, v hujson.Value, known schema) error {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		if at == "" {
			return d.fail("", "is not a JSON object")
		}
		return nil
	}
	for _, m := range object.Members {
		name := m.Name.Value.(hujson.Literal).String()
		field := strings.TrimPrefix(at+"."+name, ".")
		_, repeated := d.offsets[field]
		d.offsets[field] = m.Name.StartOffset
		if repeated {
			return d.fail(field, "is there twice")
		}
		sub, isKnown := known[name]
		if known != nil && !isKnown {
			return d.fail(field, "is not a member that is known here")
		}
		if err := d.walk(field, m.Value, sub); err != nil {
			return err
		}
	}
	return nil
}

// fail points at a field, or at the nearest object around it that is there.
func (d *document) fail(field, problem string) error {
	at := field
	offset, ok := d.offsets[at]
	for !ok && at != "" {
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
		offset, ok = d.offsets[at]
	}
	line := 1 + bytes.Count(d.text[:offset], []byte("\n"))
	return &FileError{File: d.name, Line: line, Field: field, Problem: problem}
}

func (d *document) typeError(err error) error {
	te, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return d.fail("", "cannot be read as a provider")
	}
	want := map[string]string{
		"string": "text", "bool": "true or false", "int": "a whole number",
		"map": "an object", "struct": "an object", "slice": "a list",
	}[te.Type.Kind().String()]
	return d.fail(te.Field, "must be "+want)
}

// syntaxError takes the line out of hujson's text, which has no other way to
// tell it, and leaves out what it quotes.
func syntaxError(name string, err error) error {
	e := &FileError{File: name, Problem: "is not JSON"}
	text := strings.TrimPrefix(err.Error(), "hujson: ")
	var column int
	if n, _ := fmt.Sscanf(text, "line %d, column %d:", &e.Line, &column); n == 2 {
		_, e.Problem, _ = strings.Cut(text, ": ")
	}
	return e
}
