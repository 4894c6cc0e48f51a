package client

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

	"github.com/keytray/keytray/secret"
)

// object is a JSON object that keeps the order of its members and whatever it
// does not understand.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// deepest is how far objects and arrays may nest. No program's file comes near.
const deepest = 32

// parse reads a file that is one JSON object. It is strict, as the file will be
// written again: valid UTF-8, no name twice in any object.
func parse(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	if err := check(b); err != nil {
		return nil, err
	}
	return parseObject(b)
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
			return nil // parseObject tells a good end from a bad one
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

// parseObject reads one JSON object and nothing else.
func parseObject(b []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	o := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, positioned(b, err)
		}
		m := member{}
		m.name, _ = t.(string) // in this place nothing else is possible
		if err := d.Decode(&m.value); err != nil {
			return nil, positioned(b, err)
		}
		o = append(o, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, positioned(b, err)
	}
	if d.More() {
		return nil, errors.New("something follows the JSON object")
	}
	return o, nil
}

// positioned adds the line to a syntax error. The text of an error of another
// kind is dropped: it may quote a value.
func positioned(b []byte, err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", line(b, s.Offset), s)
	}
	return errors.New("it ends too early or has a value of the wrong type")
}

func (o object) raw(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name && string(m.value) != "null" {
			return m.value
		}
	}
	return nil
}

// text is a member that is text; empty if there is none, or null.
func (o object) text(name string) (string, error) {
	raw := o.raw(name)
	if raw == nil {
		return "", nil
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("%q is not text", name)
	}
	return s, nil
}

// secret is text that must not be shown.
func (o object) secret(name string) (secret.Text, error) {
	s, err := o.text(name)
	return secret.New(s), err
}

// time is a member that counts milliseconds since 1970; zero if it makes no
// sense.
func (o object) time(name string) (time.Time, error) {
	raw := o.raw(name)
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

// object is a member that is an object; nil if there is none, or null.
func (o object) object(name string) (object, error) {
	raw := o.raw(name)
	if raw == nil {
		return nil, nil
	}
	inner, err := parseObject(raw)
	if err != nil {
		return nil, fmt.Errorf("%q is not an object", name)
	}
	return inner, nil
}

// texts reads several members that are text.
func (o object) texts(names ...string) ([]string, error) {
	all := make([]string, len(names))
	for i, name := range names {
		s, err := o.text(name)
		if err != nil {
			return nil, err
		}
		all[i] = s
	}
	return all, nil
}

// set replaces or appends a member, in a copy.
func (o object) set(name string, value json.RawMessage) object {
	o = slices.Clone(o)
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

func (o object) without(names ...string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return slices.Contains(names, m.name) })
}

// encode writes the object on one line.
func (o object) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encodeLike writes the object as the old file was written: on one line or two
// spaces deep, with or without a newline at the end.
func (o object) encodeLike(old []byte) ([]byte, error) {
	var b bytes.Buffer
	var err error
	if bytes.Contains(bytes.TrimSpace(old), []byte("\n")) {
		err = json.Indent(&b, o.encode(), "", "  ")
	} else {
		err = json.Compact(&b, o.encode())
	}
	if err != nil {
		return nil, fmt.Errorf("formatting: %w", err)
	}
	if bytes.HasSuffix(old, []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// quoted is a JSON string as the programs write it: < and > as they are.
func quoted(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("client: encoding text: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
