// Package export writes access tokens in the forms that other programs read.
// It is pure: a writer, a token, no clock and no files. A refresh token cannot
// be exported, because an [Item] has none.
//
// A new format is one function in a file of its own and one line in [Formats].
package export

import (
	"io"
	"time"

	"github.com/keytray/keytray/secret"
)

// Item is one token to hand out.
type Item struct {
	// Profile and Provider say whose it is.
	Profile, Provider string
	Access            secret.Text
	// Expires is zero when nobody knows.
	Expires time.Time
}

// Format writes an item in one form.
type Format func(w io.Writer, it Item) error

// Formats are all formats by name.
func Formats() map[string]Format {
	return map[string]Format{
		"plain":  Plain,
		"header": Header,
		"env":    Env,
		"json":   JSON,
	}
}
