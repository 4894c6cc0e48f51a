package keychain

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"
)

// An item is text, because go-keyring's interface wants that:
//
//	kt1 KIND SUM ":" BODY
//
// KIND is t for a body that is the value itself, b for one in base64. SUM is
// the first 132 bits of a SHA-256 in base64url, over the service, the name, the
// kind and the body, so that an item that was cut, changed or moved under
// another name does not open.
const (
	mark     = "kt1"
	kindText = "t"
	kindData = "b"
	sumLen   = 22
	overhead = len(mark) + len(kindText) + sumLen + len(":")
)

// seal makes the text of an item. A value of valid UTF-8 grows by 27 bytes;
// another one by a third more, because not every store keeps any byte.
func seal(service, name string, value []byte) string {
	kind, body := kindText, string(value)
	if !plain(body) {
		kind, body = kindData, base64.RawStdEncoding.EncodeToString(value)
	}
	return mark + kind + sum(service, name, kind, body) + ":" + body
}

// plain reports whether every store keeps s as it is.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// open is the reverse of seal.
func open(service, name, item string) ([]byte, error) {
	rest, ok := strings.CutPrefix(item, mark)
	if !ok {
		return nil, fmt.Errorf("%w: another program's item is in its place", ErrNotFound)
	}
	if len(item) < overhead || item[overhead-1] != ':' {
		return nil, fmt.Errorf("%w: its head is cut", ErrCorrupt)
	}
	kind, check, body := rest[:1], rest[1:1+sumLen], item[overhead:]
	if !equal(check, sum(service, name, kind, body)) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	switch kind {
	case kindText:
		return []byte(body), nil
	case kindData:
		value, err := base64.RawStdEncoding.Strict().DecodeString(body)
		if err != nil {
			return nil, fmt.Errorf("%w: its body is not base64", ErrCorrupt)
		}
		return value, nil
	}
	return nil, fmt.Errorf("%w: a newer version wrote it", ErrCorrupt)
}

func sum(service, name, kind, body string) string {
	h := sha256.New()
	for _, s := range []string{service, name, kind} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	h.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:sumLen]
}

// pick returns the value of the newest item that is ours and whole. Items of
// other programs, which a search may return too, are passed over.
func pick(service, name string, items []string) ([]byte, error) {
	err := ErrNotFound
	for _, item := range items {
		if !isOwn(item) {
			continue
		}
		value, openErr := open(service, name, item)
		if openErr == nil {
			return value, nil
		}
		err = openErr
	}
	return nil, err
}

// newestOwn returns the item that pick decides on, or "".
func newestOwn(service, name string, items []string) string {
	var damaged string
	for _, item := range items {
		if !isOwn(item) {
			continue
		}
		if _, err := open(service, name, item); err == nil {
			return item
		}
		damaged = item
	}
	return damaged
}

// isOwn reports whether an item is one that we wrote, whole or not.
func isOwn(item string) bool { return strings.HasPrefix(item, mark) }

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
