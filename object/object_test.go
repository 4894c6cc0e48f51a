package object_test

import (
	"bytes"
	"encoding/json"
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
