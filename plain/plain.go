// Package plain makes text from elsewhere, a server or a file, fit to be shown:
// on a terminal, in a menu, in a notification. It is no escaping: markup is the
// business of whoever writes it.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text drops what could play tricks on its reader: control characters, line
// breaks, and marks that are not seen or turn the direction of text.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// Line is Text of at most limit characters; what is cut is replaced by an
// ellipsis.
func Line(s string, limit int) string {
	s = strings.TrimSpace(Text(s))
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:max(limit-1, 0)])) + "…"
}
