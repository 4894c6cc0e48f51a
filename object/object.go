// Package object reads and writes JSON objects that are shared with other programs:
// the order of the members stays, and so does whatever is not understood. Its errors
// quote no value, as that may be a secret.
package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// JSON is an object. Nil is an empty one.
type JSON []Member

// Member is a name and what it stands for, as it is written.
type Member struct {
	Name  string
	Value json.RawMessage
}

// deepest is how far objects and arrays may nest. No program's file comes near.
const deepest = 32

// ParseStrict reads an object from a file that will be written again: valid UTF-8,
// not nested deeply, no name twice in any object.
func ParseStrict(b []byte) (JSON, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	if err := check(b); err != nil {
		return nil, err
	}
	return ParseLax(b)
}

// Parse reads one object and nothing else. A name that stands twice in it is
// refused: programs disagree on which one counts.
func Parse(b []byte) (JSON, error) {
	o, err := ParseLax(b)
	if err != nil {
		return nil, err
	}
	return o.unique()
}

// ParseNested is Parse for b and for its member of that name, an object too, which is
// not looked at twice; without such a member inner is nil.
func ParseNested(b []byte, name string) (outer, inner JSON, err error) {
	if outer, err = Parse(b); err != nil {
		return nil, nil, err
	}
	raw, ok := outer.Get(name)
	if !ok {
		return outer, nil, nil
	}
	if inner, err = members(raw); err == nil {
		inner, err = inner.unique()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return outer, inner, nil
}

// unique is o, unless a name stands twice in it.
func (o JSON) unique() (JSON, error) {
	seen := make(map[string]bool, len(o))
	for _, m := range o {
		if seen[m.Name] {
			return nil, fmt.Errorf("the name %q stands twice in one object", m.Name)
		}
		seen[m.Name] = true
	}
	return o, nil
}

// ParseLax reads one object and nothing else, with all of its members, whose values
// are parts of b. What it and the stricter two return is never nil without an error.
//
// It looks at b once to see that it is good and once to find the members: encoding/json
// scans each value three times on its way into a [json.RawMessage], and a file of
// thousands of logins is read several times for a renewal.
func ParseLax(b []byte) (JSON, error) {
	if !json.Valid(b) {
		return nil, positioned(b, json.Unmarshal(b, new(json.RawMessage)))
	}
	return members(b)
}

// check walks the whole document. Its errors quote no value.
func check(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var names []map[string]bool // of the open objects; nil for an array
	isName := false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil // ParseLax tells a good end from a bad one
		}
		if err != nil {
			return positioned(b, err)
		}
		switch t {
		case json.Delim('{'):
			names, isName = append(names, map[string]bool{}), true
		case json.Delim('['):
			names, isName = append(names, nil), false
		case json.Delim('}'), json.Delim(']'):
			names = names[:len(names)-1]
			isName = len(names) > 0 && names[len(names)-1] != nil
		default:
			inObject := len(names) > 0 && names[len(names)-1] != nil
			if inObject && isName {
				name, _ := t.(string) // in this place nothing else is possible
				if names[len(names)-1][name] {
					return fmt.Errorf("a name stands twice in one object (line %d)", line(b, d.InputOffset()))
				}
				names[len(names)-1][name] = true
			}
			isName = inObject && !isName
		}
		if len(names) > deepest {
			return fmt.Errorf("it nests more than %d deep (line %d)", deepest, line(b, d.InputOffset()))
		}
	}
}

func line(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(int(offset), len(b))], []byte("\n"))
}

// positioned adds the line to a syntax error. The text of an error of another
// kind is dropped: it may quote a value.
func positioned(b []byte, err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", line(b, s.Offset), s)
	}
	return errors.New("it ends too early or has a value of the wrong type")
}

// Get is the member of that name as it is written.
func (o JSON) Get(name string) (value json.RawMessage, ok bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// Has reports whether there is a member of that name.
func (o JSON) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

// Raw is Get for which null is as good as nothing.
func (o JSON) Raw(name string) json.RawMessage {
	value, _ := o.Get(name)
	if string(value) == "null" {
		return nil
	}
	return value
}

// Text is a member that is text; empty if there is none, or null.
func (o JSON) Text(name string) (string, error) {
	raw := o.Raw(name)
	if raw == nil {
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("%q is not text", name)
	}
	return s, nil
}

// Time is a member that counts milliseconds since 1970; zero if it makes no
// sense.
func (o JSON) Time(name string) (time.Time, error) {
	raw := o.Raw(name)
	if raw == nil {
		return time.Time{}, nil
	}
	var ms float64
	if json.Unmarshal(raw, &ms) != nil {
		return time.Time{}, fmt.Errorf("%q is not a number", name)
	}
	if ms <= 0 || ms > math.MaxInt32*1000.0*4 {
		return time.Time{}, nil
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

// Object is a member that is an object; nil if there is none, or null.
func (o JSON) Object(name string) (JSON, error) {
	raw := o.Raw(name)
	if raw == nil {
		return nil, nil
	}
	inner, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%q is not an object", name)
	}
	return inner, nil
}

// Texts reads several members that are text.
func (o JSON) Texts(names ...string) ([]string, error) {
	all := make([]string, len(names))
	for i, name := range names {
		s, err := o.Text(name)
		if err != nil {
			return nil, err
		}
		all[i] = s
	}
	return all, nil
}

// Set replaces or appends a member, in a copy.
func (o JSON) Set(name string, value json.RawMessage) JSON {
	o = slices.Clone(o)
	for i := range o {
		if o[i].Name == name {
			o[i].Value = value
			return o
		}
	}
	return append(o, Member{name, value})
}

// Without is o without these members.
func (o JSON) Without(names ...string) JSON {
	return slices.DeleteFunc(slices.Clone(o), func(m Member) bool { return slices.Contains(names, m.Name) })
}

// Encode writes the object on one line.
func (o JSON) Encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(Quote(m.Name))
		b.WriteByte(':')
		b.Write(m.Value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Indent writes the object two spaces deep, with a newline at the end.
func (o JSON) Indent() ([]byte, error) { return o.EncodeLike([]byte("{\n}\n")) }

// EncodeLike writes the object as the old file was written: on one line or two
// spaces deep, with or without a newline at the end.
func (o JSON) EncodeLike(old []byte) ([]byte, error) {
	var b bytes.Buffer
	var err error
	if bytes.Contains(bytes.TrimSpace(old), []byte("\n")) {
		err = json.Indent(&b, o.Encode(), "", "  ")
	} else {
		err = json.Compact(&b, o.Encode())
	}
	if err != nil {
		return nil, fmt.Errorf("formatting: %w", err)
	}
	if bytes.HasSuffix(old, []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// Change is o with what f makes of the member of that name, an object; one that is no
// object is replaced, and one that f leaves empty goes. It is never nil.
func (o JSON) Change(name string, f func(JSON) JSON) JSON {
	raw, _ := o.Get(name)
	inner, err := Parse(raw)
	if err != nil {
		inner = nil
	}
	if inner = f(inner); len(inner) == 0 {
		return append(JSON{}, o.Without(name)...)
	}
	return o.Set(name, inner.Encode())
}

// Only are the members of these names.
func (o JSON) Only(names ...string) JSON {
	return slices.DeleteFunc(slices.Clone(o), func(m Member) bool { return !slices.Contains(names, m.Name) })
}

// Equal reports whether both have the same members in the same order, written alike.
func (o JSON) Equal(p JSON) bool {
	return slices.EqualFunc(o, p, func(a, b Member) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) })
}

// Quote is a JSON string as the programs write it: < and > as they are.
func Quote(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("object: encoding text: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
