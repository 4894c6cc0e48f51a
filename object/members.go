package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// members finds those of an object in what is known to be JSON.
func members(b []byte) (JSON, error) {
	i := afterSpace(b, 0)
	if b[i] != '{' {
		return nil, errors.New("not a JSON object")
	}
	o := JSON{}
	for i = afterSpace(b, i+1); b[i] != '}'; {
		end := afterString(b, i)
		name := unquoted(b[i:end])
		i = afterSpace(b, afterSpace(b, end)+1) // a colon lies between
		end = afterValue(b, i)
		o = append(o, Member{name, b[i:end:end]})
		if i = afterSpace(b, end); b[i] == ',' {
			i = afterSpace(b, i+1)
		}
	}
	return o, nil
}

func afterSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r' {
		i++
	}
	return i
}

// afterString is the end of the string that begins at i.
func afterString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// afterValue is the end of the value, of any kind, that begins at i.
func afterValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return afterString(b, i)
	case '{', '[':
		return afterBrackets(b, i)
	}
	return i + bytes.IndexAny(b[i:], ",} \n\t\r") // a number or a word
}

// afterBrackets is the end of the object or array that begins at i.
func afterBrackets(b []byte, i int) int {
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = afterString(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// unquoted is what a string says.
func unquoted(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is good
	return s
}
