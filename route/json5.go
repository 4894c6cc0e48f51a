package route

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError is a place where a text is no JSON5.
type SyntaxError struct{ Line int }

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d cannot be understood", e.Line) }

func lineOf(b []byte, offset int) int {
	return 1 + bytes.Count(b[:min(offset, len(b))], []byte("\n"))
}

// toJSON rewrites JSON5 as JSON, line by line, so that encoding/json can do the
// rest: it checks the grammar, bounds the depth, and keeps the order of members,
// which no JSON5 library does. Numbers that JSON cannot say become null.
func toJSON(text []byte) ([]byte, error) {
	t := translator{in: text, last: ','}
	for t.at < len(t.in) {
		if !t.step() {
			return nil, &SyntaxError{Line: lineOf(t.in, t.at)}
		}
	}
	if t.comma {
		t.out.WriteByte(',') // for the error
	}
	return t.out.Bytes(), nil
}

type translator struct {
	in  []byte
	at  int
	out bytes.Buffer
	// last is the first byte of the last token, comma whether a comma follows it
	// that is not written yet: it may be a trailing one.
	last  byte
	comma bool
	open  []byte // the brackets that are not closed
}

// step translates one token or one piece of space; false if there is none.
func (t *translator) step() bool {
	r, size := utf8.DecodeRune(t.in[t.at:])
	switch {
	case isSpace(r):
		t.at += size
		t.out.WriteRune(blank(r))
	case r == '/':
		return t.comment()
	case r == ',':
		t.at++
		t.flush()
		t.comma = true
	case r == '{' || r == '[':
		t.flush()
		t.open = append(t.open, t.in[t.at])
		t.put(t.in[t.at])
	case r == '}' || r == ']':
		if t.last == '{' || t.last == '[' || t.last == ',' {
			t.flush() // [,] is an error
		}
		t.comma = false
		t.open = t.open[:max(0, len(t.open)-1)]
		t.put(t.in[t.at])
	case r == ':':
		t.flush()
		t.put(':')
	case r == '"' || r == '\'':
		t.flush()
		return t.str(t.in[t.at])
	default:
		return t.word()
	}
	return true
}

func (t *translator) put(c byte) {
	t.at++
	t.last = c
	t.out.WriteByte(c)
}

// flush writes a comma that turned out not to be the trailing one.
func (t *translator) flush() {
	if t.comma {
		t.out.WriteByte(',')
		t.last, t.comma = ',', false
	}
}

func isSpace(r rune) bool {
	return r == '\t' || r == '\n' || r == '\v' || r == '\f' || r == '\r' || r == '\ufeff' || isLineEnd(r) || unicode.Is(unicode.Zs, r)
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' }

func blank(r rune) rune {
	if r == '\n' {
		return '\n'
	}
	return ' '
}

func (t *translator) comment() bool {
	rest := t.in[t.at:]
	var length int
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		length = bytes.IndexFunc(rest, isLineEnd)
		if length < 0 {
			length = len(rest)
		}
	case bytes.HasPrefix(rest, []byte("/*")):
		end := bytes.Index(rest[2:], []byte("*/"))
		if end < 0 {
			return false
		}
		length = end + 4
	default:
		return false
	}
	t.skip(length)
	return true
}

// skip leaves of the next n bytes one space and the ends of lines.
func (t *translator) skip(n int) {
	t.out.WriteByte(' ')
	t.out.Write(bytes.Repeat([]byte("\n"), bytes.Count(t.in[t.at:t.at+n], []byte("\n"))))
	t.at += n
}

// str translates a string.
func (t *translator) str(quote byte) bool {
	var s strings.Builder
	rest := t.in[t.at+1:]
	for len(rest) > 0 {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == rune(quote):
			t.write(s.String())
			t.skip(len(t.in) - t.at - len(rest) + 1)
			return true
		case r == '\n' || r == '\r':
			return false
		case r == '\\':
			var ok bool
			if rest, ok = escape(&s, rest[1:]); !ok {
				return false
			}
		default:
			s.WriteRune(r)
			rest = rest[size:]
		}
	}
	return false
}

// write writes a string and remembers that it did.
func (t *translator) write(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		panic("route: encoding a string: " + err.Error())
	}
	t.out.Write(b)
	t.last = '"'
}

// escape decodes what follows a backslash, and returns what follows that.
func escape(s *strings.Builder, rest []byte) (after []byte, ok bool) {
	if len(rest) == 0 {
		return nil, false
	}
	r, size := utf8.DecodeRune(rest)
	after = rest[size:]
	switch {
	case r == '\r' && len(after) > 0 && after[0] == '\n':
		return after[1:], true
	case isLineEnd(r):
		return after, true
	case r == '0':
		s.WriteByte(0)
		return after, len(after) == 0 || after[0] < '0' || after[0] > '9'
	case r >= '1' && r <= '9':
		return nil, false
	case r == 'x':
		c, ok := hex(after, 2)
		s.WriteRune(c)
		return after[min(2, len(after)):], ok
	case r == 'u':
		c, n, ok := unicodeEscape(after)
		s.WriteRune(c)
		return after[n:], ok
	}
	if i := strings.IndexRune("bfnrtv", r); i >= 0 {
		r = rune("\b\f\n\r\t\v"[i])
	}
	s.WriteRune(r)
	return after, true
}

// unicodeEscape reads the digits after \u, and the second half of a pair.
func unicodeEscape(b []byte) (r rune, n int, ok bool) {
	r, ok = hex(b, 4)
	if !ok {
		return 0, 0, false
	}
	if utf16.IsSurrogate(r) && bytes.HasPrefix(b[4:], []byte(`\u`)) {
		if low, ok := hex(b[6:], 4); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return utf16.DecodeRune(r, low), 10, true
		}
	}
	return r, 4, true
}

func hex(b []byte, n int) (rune, bool) {
	if len(b) < n {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[:n]), 16, 32)
	return rune(v), err == nil //nolint:gosec // four digits
}

var (
	jsonNumber  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$`) })
	json5Number = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[+-]?(Infinity|NaN|0[xX][0-9a-fA-F]+|((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?)$`)
	})
)

// word translates a name, a number, or one of the words of JSON.
func (t *translator) word() bool {
	rest := t.in[t.at:]
	n := bytes.IndexFunc(rest, func(r rune) bool { return isSpace(r) || strings.ContainsRune(`{}[]:,/"'`, r) })
	if n < 0 {
		n = len(rest)
	}
	w := string(rest[:n])
	t.flush()
	isKey := len(t.open) > 0 && t.open[len(t.open)-1] == '{' && (t.last == '{' || t.last == ',')
	t.last = 'w'
	switch {
	case isKey:
		name, ok := identifier(w)
		if !ok {
			return false
		}
		t.write(name)
	case w == "true" || w == "false" || w == "null" || jsonNumber().MatchString(w):
		t.out.WriteString(w)
	case json5Number().MatchString(w):
		t.out.WriteString("null")
	default:
		return false
	}
	t.at += n
	return true
}

// identifier decodes a name of ECMAScript 5.1.
func identifier(w string) (name string, ok bool) {
	var s strings.Builder
	for rest := []byte(w); len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == '\\' {
			if len(rest) < 2 || rest[1] != 'u' {
				return "", false
			}
			if r, ok = hex(rest[2:], 4); !ok {
				return "", false
			}
			n = 6
		}
		if !inName(r, s.Len() == 0) {
			return "", false
		}
		s.WriteRune(r)
		rest = rest[n:]
	}
	return s.String(), true
}

func inName(r rune, first bool) bool {
	if r == '$' || r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) {
		return true
	}
	return !first && (unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc) || r == '\u200c' || r == '\u200d')
}
