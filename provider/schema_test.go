package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schemaOf is what a type's JSON tags say.
func schemaOf(t reflect.Type) schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	s := schema{}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			s[name] = schemaOf(f.Type)
		}
	}
	return s
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	if got, want := members(), schemaOf(reflect.TypeFor[Provider]()); !reflect.DeepEqual(got, want) {
		t.Errorf("members() = %v, want %v", got, want)
	}
}

// published is the part of JSON Schema that docs/provider.schema.json uses.
type published struct {
	Description string
	Type        string
	Properties  map[string]*published
	Required    []string
	Additional  json.RawMessage `json:"additionalProperties"`
	Items       *published
	Enum        []string
	Pattern     string
	MaxLength   int
	MaxItems    int
	Minimum     *float64
	Maximum     *float64
}

func readPublished(t *testing.T) *published {
	t.Helper()
	b, err := os.ReadFile("../docs/provider.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var p published
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// TestPublishedSchemaIsThatOfTheTypes: each member in both, of the same type.
func TestPublishedSchemaIsThatOfTheTypes(t *testing.T) {
	compare(t, "provider", readPublished(t), reflect.TypeFor[Provider]())
}

func compare(t *testing.T, at string, p *published, of reflect.Type) {
	t.Helper()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	kinds := map[reflect.Kind]string{
		reflect.Struct: "object", reflect.Map: "object", reflect.Slice: "array",
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer",
	}
	if p.Type != kinds[of.Kind()] {
		t.Errorf("%s is %q in the schema, and %v in the code", at, p.Type, of)
	}
	switch of.Kind() {
	case reflect.Slice:
		compare(t, at+"[]", p.Items, of.Elem())
		return
	case reflect.Struct:
	default:
		return
	}
	if string(p.Additional) != "false" {
		t.Errorf("%s takes other members too", at)
	}
	var names []string
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		below := p.Properties[name]
		if below == nil {
			t.Errorf("%s.%s is not in the schema", at, name)
			continue
		}
		if below.Description == "" {
			t.Errorf("%s.%s is not described", at, name)
		}
		if required := slices.Contains(p.Required, name); required == strings.HasPrefix(options, "omit") {
			t.Errorf("%s.%s: required is %v in the schema, and %q in the code", at, name, required, options)
		}
		compare(t, at+"."+name, below, f.Type)
	}
	for name := range maps.Keys(p.Properties) {
		if !slices.Contains(names, name) {
			t.Errorf("%s.%s is not in the code", at, name)
		}
	}
}

// TestPublishedSchemaTakesTheCatalog: what is built in is good by the schema too,
// and with one thing wrong it is not.
func TestPublishedSchemaTakesTheCatalog(t *testing.T) {
	p := readPublished(t)
	for _, entry := range append(Builtin(), GeminiCLI("1-a.apps.googleusercontent.com")) {
		if problem := p.check(entry.ID, generic(t, entry)); problem != "" {
			t.Error(problem)
		}
	}
	for _, spoil := range []func(*Provider){
		func(p *Provider) { p.ID = "Upper" },
		func(p *Provider) { p.OAuth.Redirect.Host = "0.0.0.0" },
		func(p *Provider) { p.OAuth.Redirect.Ports = []int{80} },
		func(p *Provider) { p.OAuth.Policy = "lax" },
		func(p *Provider) { p.OAuth.LeadSeconds = -1 },
		func(p *Provider) { p.OAuth.ClientAuth = "client_secret_jwt" },
		func(p *Provider) { p.OAuth.IDTokenAlgs = []string{"none"} },
		func(p *Provider) { p.OAuth.Scopes = []string{"two words"} },
	} {
		entry := openAICodex()
		spoil(&entry)
		if entry.Validate() == nil || p.check("", generic(t, entry)) == "" {
			t.Errorf("%+v is good by the code (%v) or by the schema", entry.OAuth, entry.Validate())
		}
	}
}

func generic(t *testing.T, p Provider) any {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// check returns what is wrong with a value by the schema, or nothing.
func (p *published) check(at string, v any) string {
	problem := func(ok bool, what string) string {
		if ok {
			return ""
		}
		return fmt.Sprintf("%s: %v: %s", at, v, what)
	}
	switch x := v.(type) {
	case string:
		return problem((p.Enum == nil || slices.Contains(p.Enum, x)) && regexp.MustCompile(p.Pattern).MatchString(x) &&
			(p.MaxLength == 0 || len(x) <= p.MaxLength) && p.Type == "string", "text")
	case float64:
		return problem(p.Type == "integer" && (p.Minimum == nil || x >= *p.Minimum) && (p.Maximum == nil || x <= *p.Maximum), "number")
	case bool:
		return problem(p.Type == "boolean", "truth")
	case []any:
		for _, item := range x {
			if wrong := p.Items.check(at+"[]", item); wrong != "" {
				return wrong
			}
		}
		return problem(p.Type == "array" && (p.MaxItems == 0 || len(x) <= p.MaxItems), "list")
	case map[string]any:
		return p.checkObject(at, x)
	}
	return problem(false, "nothing")
}

func (p *published) checkObject(at string, x map[string]any) string {
	if p.Properties == nil { // a map of texts
		return ""
	}
	for _, name := range p.Required {
		if _, ok := x[name]; !ok {
			return at + "." + name + " is missing"
		}
	}
	for name, value := range x {
		below := p.Properties[name]
		if below == nil {
			return at + "." + name + " is not in the schema"
		}
		if wrong := below.check(at+"."+name, value); wrong != "" {
			return wrong
		}
	}
	return ""
}
