package keychain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A value that does not fit into one item of the system goes into parts, named
// name.p0, name.p1 and so on, and a header under its own name. The parts are
// written first and the header last; the header has the length and the checksum
// of the whole, so that parts of two writes never read as a value. Deleting goes
// the other way round: what is left after a crash is always name.p0 to some
// name.pN without a gap.
const (
	maxParts = 32
	partSize = 2000
)

// header is the body of the header of a value in parts.
type header struct {
	kind   kind
	length int
	parts  int
	sum    string
}

func (h header) String() string { return fmt.Sprintf("%c %d %d %s", h.kind, h.length, h.parts, h.sum) }

func parseHeader(s string) (header, error) {
	var h header
	_, err := fmt.Sscanf(s, "%c %d %d %s", &h.kind, &h.length, &h.parts, &h.sum)
	if err != nil || h.parts < 1 || h.parts > maxParts || h.length < 1 || h.String() != s {
		return header{}, fmt.Errorf("%w: its header is wrong", ErrCorrupt)
	}
	return h, nil
}

func partName(name string, i int) string { return fmt.Sprintf("%s.p%d", name, i) }

// isPartName reports whether name could be that of a part.
func isPartName(name string) bool {
	_, suffix, ok := cutLast(name, ".p")
	return ok && suffix != "" && strings.Trim(suffix, "0123456789") == ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// splits reports whether the system has items that are too small for some
// values. Where it has not, there are never any parts.
func (k *Keychain) splits(name string) bool { return k.store.limit(name) < 2*MaxValue }

// cut makes the items of a value: the one under its name, and the parts.
func (k *Keychain) cut(name string, value []byte) (head string, parts []string) {
	kind, body := encode(value)
	if overhead+len(body) <= k.store.limit(name) {
		return seal(k.service, name, kind, body), nil
	}
	h := header{kind: kind, length: len(body), sum: sum(k.service, name, kind, body)}
	for ; body != ""; h.parts++ {
		n := chunk(body)
		part := partName(name, h.parts)
		parts = append(parts, seal(k.service, part, kindPart, body[:n]))
		body = body[n:]
	}
	return seal(k.service, name, kindHead, h.String()), parts
}

// chunk returns how much of body goes into a part: whole characters.
func chunk(body string) int {
	if len(body) <= partSize {
		return len(body)
	}
	n := partSize
	for n > partSize-utf8.UTFMax && !utf8.RuneStart(body[n]) {
		n--
	}
	return n
}

func (k *Keychain) write(ctx context.Context, name string, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %d bytes of at most %d", ErrTooBig, len(value), MaxValue)
	}
	head, parts := k.cut(name, value)
	for i, part := range parts {
		if err := k.put(ctx, partName(name, i), part); err != nil {
			return err
		}
	}
	if err := k.put(ctx, name, head); err != nil {
		return err
	}
	return k.trim(ctx, name, len(parts))
}

// trim removes the parts of an older, longer value.
func (k *Keychain) trim(ctx context.Context, name string, from int) error {
	if !k.splits(name) {
		return nil
	}
	last := from
	for ; last < maxParts; last++ {
		if _, err := k.own(ctx, partName(name, last)); errors.Is(err, ErrNotFound) {
			break
		} else if err != nil {
			return err
		}
	}
	for i := last - 1; i >= from; i-- {
		if err := k.drop(ctx, partName(name, i)); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keychain) remove(ctx context.Context, name string) error {
	if err := k.drop(ctx, name); err != nil || !k.splits(name) {
		return err
	}
	// All of them, whatever the header said: it may have been lost.
	for i := maxParts - 1; i >= 0; i-- {
		if err := k.drop(ctx, partName(name, i)); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keychain) read(ctx context.Context, name string) ([]byte, error) {
	item, err := k.own(ctx, name)
	if err != nil {
		return nil, err
	}
	kind, body, err := open(k.service, name, item)
	if err != nil {
		return nil, err
	}
	if kind != kindHead {
		return decode(kind, body)
	}
	h, err := parseHeader(body)
	if err != nil {
		return nil, err
	}
	return k.join(ctx, name, h)
}

// join reads the parts of a value.
func (k *Keychain) join(ctx context.Context, name string, h header) ([]byte, error) {
	var body strings.Builder
	for i := range h.parts {
		part := partName(name, i)
		item, err := k.own(ctx, part)
		if errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("%w: part %d of %d is missing", ErrCorrupt, i, h.parts)
		}
		if err != nil {
			return nil, err
		}
		kind, chunk, err := open(k.service, part, item)
		if err != nil {
			return nil, err
		}
		if kind != kindPart {
			return nil, fmt.Errorf("%w: part %d is none", ErrCorrupt, i)
		}
		body.WriteString(chunk)
	}
	if body.Len() != h.length || !equal(h.sum, sum(k.service, name, h.kind, body.String())) {
		return nil, fmt.Errorf("%w: its parts are of different writes", ErrCorrupt)
	}
	return decode(h.kind, body.String())
}
