package keychain

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/ascii85"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"
)

// An item is text, because go-keyring's interface wants that:
//
//	kt1 KIND SUM ":" BODY
//
// SUM is the first 132 bits of a SHA-256 in base64url, over the service, the
// name, the kind and the body, so that an item that was cut, changed or moved
// under another name does not open.
const (
	mark     = "kt1"
	sumLen   = 22
	overhead = len(mark) + 1 + sumLen + len(":")
)

// kind says what the body of an item is.
type kind byte

const (
	kindText kind = 't' // the value itself
	kindData kind = 'd' // the value in Ascii85, as not every store keeps any byte
	kindHead kind = 'h' // the header of a value in parts
	kindPart kind = 'p' // a part of the text or the Ascii85
)

// encode makes the body of a value. Valid UTF-8 stays as it is; anything else
// grows by a quarter.
func encode(value []byte) (kind, string) {
	if utf8.Valid(value) && bytes.IndexByte(value, 0) < 0 {
		return kindText, string(value)
	}
	body := make([]byte, ascii85.MaxEncodedLen(len(value)))
	return kindData, string(body[:ascii85.Encode(body, value)])
}

// decode is the reverse of encode.
func decode(k kind, body string) ([]byte, error) {
	switch k {
	case kindText:
		return []byte(body), nil
	case kindData:
		value := make([]byte, 4*len(body)) // 4 for each z
		n, _, err := ascii85.Decode(value, []byte(body), true)
		if err != nil {
			return nil, fmt.Errorf("%w: its body is not Ascii85", ErrCorrupt)
		}
		return value[:n:n], nil
	}
	return nil, fmt.Errorf("%w: it is of another kind", ErrCorrupt)
}

// seal makes the text of an item, 27 bytes longer than its body.
func seal(service, name string, k kind, body string) string {
	return mark + string(k) + sum(service, name, k, body) + ":" + body
}

// open is the reverse of seal.
func open(service, name, item string) (kind, string, error) {
	if !isOwn(item) {
		return 0, "", errForeign
	}
	if len(item) < overhead || item[overhead-1] != ':' {
		return 0, "", fmt.Errorf("%w: its head is cut", ErrCorrupt)
	}
	k, body := kind(item[len(mark)]), item[overhead:]
	if !equal(item[len(mark)+1:overhead-1], sum(service, name, k, body)) {
		return 0, "", fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	return k, body, nil
}

var errForeign = fmt.Errorf("%w: another program's item is in its place", ErrNotFound)

func sum(service, name string, k kind, body string) string {
	h := sha256.New()
	h.Write([]byte(service + "\x00" + name + "\x00" + string(k) + "\x00" + body))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:sumLen]
}

// newestOwn returns, of items with the newest first, the first that is ours and
// whole, else one that is ours and damaged. A search may return items of other
// programs as well.
func newestOwn(service, name string, items []string) (string, error) {
	var damaged string
	for _, item := range items {
		if !isOwn(item) {
			continue
		}
		if _, _, err := open(service, name, item); err == nil {
			return item, nil
		}
		damaged = item
	}
	if damaged == "" {
		return "", errForeign
	}
	return damaged, nil
}

// vacant says whether a write may replace the items: those of other programs are
// never overwritten.
func vacant(items []string) error {
	for _, item := range items {
		if !isOwn(item) {
			return fmt.Errorf("%w: another program's item is in its place", ErrCorrupt)
		}
	}
	return nil
}

// isOwn reports whether an item is one that we wrote, whole or not.
func isOwn(item string) bool { return strings.HasPrefix(item, mark) }

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
