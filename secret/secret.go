// Package secret holds the one type for values that must never be shown:
// tokens, authorization codes, verifiers, API keys.
//
// A [Text] prints as [Redacted] under every verb, encoder and logger of the
// standard library, also when it sits unexported in another struct. It does
// not try to wipe memory: Go may have copied the string already.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Redacted is what a [Text] shows instead of its value.
const Redacted = "[redacted]"

// Text is a string that cannot be shown. The zero value is empty.
//
// It holds a pointer, because fmt and slog walk unexported fields by reflection
// and would print a string there, however many methods its type has; a pointer
// below the top level prints as an address. For the same reason == compares
// addresses: use [Text.Equal].
type Text struct{ p *string }

// New wraps s.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the value. Only the files listed in arch_test.go may call it.
func (t Text) Reveal() string {
	if t.p == nil {
		return ""
	}
	return *t.p
}

// Empty reports whether there is no value.
func (t Text) Empty() bool { return t.p == nil }

// Equal compares two values in constant time.
func (t Text) Equal(u Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(u.Reveal())) == 1
}

// Format implements [fmt.Formatter] for every verb.
func (t Text) Format(f fmt.State, _ rune) { fmt.Fprint(f, Redacted) }

// String implements [fmt.Stringer].
func (t Text) String() string { return Redacted }

// LogValue implements [slog.LogValuer].
func (t Text) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements [encoding.TextMarshaler], so that JSON, XML and flag
// packages show [Redacted] as well.
func (t Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
