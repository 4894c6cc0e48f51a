package object_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/keytray/keytray/object"
)

const document = `{"z":1,"a":{"b":[1,2,{"c":"<x>"}]},"n":null,"big":123456789012345678901234567890}`

func TestWhatIsNotUnderstoodStays(t *testing.T) {
	t.Parallel()
	o, err := object.ParseStrict([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(o.Encode()); got != document {
		t.Errorf("it was written as %s", got)
	}
	next := o.Set("z", object.Quote("<")).Without("n").Change("a", func(a object.JSON) object.JSON { return a.Set("d", json.RawMessage("true")) })
	if got, want := string(next.Encode()), `{"z":"<","a":{"b":[1,2,{"c":"<x>"}],"d":true},"big":123456789012345678901234567890}`; got != want {
		t.Errorf("changed it is %s, want %s", got, want)
	}
	if got := string(o.Encode()); got != document {
		t.Errorf("changing a copy made it %s", got)
	}
	if got := o.Change("a", func(object.JSON) object.JSON { return nil }); got.Has("a") || !got.Has("z") {
		t.Errorf("an object that was left empty: %s", got.Encode())
	}
}

func TestANameTwice(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1,"a":2}`:       "no no yes",
		`{"b":{"a":1,"a":2}}`: "no yes yes",
		`{"a":1,"A":2}`:       "yes yes yes",
		`[1]`:                 "no no no",
		`{"a":1}{}`:           "no no no",
		`{"a":`:               "no no no",
		"{\"\xff\":1}":        "no yes yes",
	} {
		var got []string
		for _, parse := range []func([]byte) (object.JSON, error){object.ParseStrict, object.Parse, object.ParseLax} {
			o, err := parse([]byte(in))
			if (o == nil) != (err != nil) {
				t.Errorf("%s: %v and %v", in, o, err)
			}
			got = append(got, map[bool]string{true: "yes", false: "no"}[err == nil])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is taken by the strict, the usual and the lax: %s, want %s", in, got, want)
		}
	}
}

// FuzzParse: what one parser takes the laxer ones take too, and what is written of it
// says the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", "null", document, `{"a":"CANARY"`, `{"a":CANARY}`, `{"a":{"a":1},"a":2}`, "{\"\xff\":1}", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before object.JSON
		for _, parse := range []func([]byte) (object.JSON, error){object.ParseStrict, object.Parse, object.ParseLax} {
			o, err := parse(b)
			if err != nil {
				if before != nil {
					t.Fatalf("only a stricter parser takes %q: %v", b, err)
				}
				continue
			}
			before = o
			text, err := o.Indent()
			if err != nil || !json.Valid(text) {
				t.Fatalf("%q is written as %q, %v", b, text, err)
			}
			again, err := object.ParseLax(o.Encode())
			if err != nil || len(again) != len(o) {
				t.Fatalf("%q is read again as %v, %v", b, again, err)
			}
			if line, err := o.EncodeLike([]byte("{}")); err != nil || bytes.Contains(line, []byte("\n")) {
				t.Fatalf("%q is not on one line: %q, %v", b, line, err)
			}
		}
	})
}

func doubled(o object.JSON) error {
	_, err := object.Parse(o.Encode())
	return err
}

// FuzzMembers finds the members that encoding/json finds, and refuses what it refuses.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":[ {"x":"}"}, "\"" ] } `, `{"a":"\\","b\u00e9":-1.5e3,"c":null}`, "{\"\xff\":true}", `{"a":1,"a":2}`, `{"a":{"b":{}},"c":[]}`,
		`{} }`, `[]`, `null`, ``, `{"a":1`, `{"a" 1}`, `"{"`, "{\"a\":1\n}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(b, &want)
		got, err := object.ParseLax(b)
		if (err == nil) != (wantErr == nil && want != nil) {
			t.Fatalf("%q: %v, want %v", b, err, wantErr)
		}
		last := map[string]json.RawMessage{} // of those that bear one name
		for _, m := range got {
			last[m.Name] = m.Value
		}
		if len(last) != len(want) {
			t.Fatalf("%q has %d names, want %d", b, len(last), len(want))
		}
		for name, value := range want {
			inner, innerErr := object.Parse(value)
			outer, nested, err := object.ParseNested(b, name)
			if wantErr := errors.Join(doubled(got), innerErr); (err == nil) != (wantErr == nil) || err == nil && (!outer.Equal(got) || !nested.Equal(inner)) {
				t.Errorf("%q: nested %q is %v, %v; want %v, %v", b, name, nested, err, inner, wantErr)
			}
			if !bytes.Equal(last[name], value) {
				t.Errorf("%q: %q is %q, want %q", b, name, last[name], value)
			}
		}
	})
}
