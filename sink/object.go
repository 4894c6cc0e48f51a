package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// object is a JSON object that keeps the order of its members and whatever it
// does not understand.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// parseObject reads one JSON object and nothing else. A name that stands twice
// is refused: programs disagree on which one counts.
func parseObject(b []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), positioned(b, err))
	}
	var o object
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, positioned(b, err)
		}
		m := member{name: t.(string)} // a token in name position is a string
		if err := d.Decode(&m.value); err != nil {
			return nil, positioned(b, err)
		}
		if seen[m.name] {
			return nil, fmt.Errorf("the name %q stands twice in one object", m.name)
		}
		seen[m.name] = true
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
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:min(int(s.Offset), len(b))], []byte("\n")), s)
	}
	return errors.New("the file ends too early or has a value of the wrong type")
}

func (o object) get(name string) (json.RawMessage, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// set replaces or appends a member.
func (o object) set(name string, value json.RawMessage) object {
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

func (o object) without(names ...string) object {
	var kept object
next:
	for _, m := range o {
		for _, n := range names {
			if m.name == n {
				continue next
			}
		}
		kept = append(kept, m)
	}
	return kept
}

// encode writes the object on one line.
func (o object) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(mustJSON(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// indent writes the object as OpenClaw writes its files: two spaces, a newline
// at the end.
func (o object) indent() ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, o.encode(), "", "  "); err != nil {
		return nil, fmt.Errorf("formatting: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
