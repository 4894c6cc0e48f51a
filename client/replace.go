package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
)

// Replaceable reports whether next may take the place of a program's file, whole:
// it is an [*OwnedError] if that would lose a login that renews itself, a
// [*disk.UnsafeError] for anything else that next says nothing of, and ErrFormat
// if nobody can tell. Unlike [Source.Put] it takes no locks.
func Replaceable(program, path string, next []byte) error {
	old, err := disk.Read(path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the logins of %s: %w", program, err)
	}
	s := Source{Program: program, Path: path}
	was, err := object.ParseStrict(old)
	if err != nil {
		return s.notUnderstood(err)
	}
	will, err := object.ParseStrict(next)
	if err != nil {
		return s.notUnderstood(err)
	}
	if Renews(old) {
		return &OwnedError{program, path}
	}
	for _, m := range was {
		if will.Raw(m.Name) == nil && was.Raw(m.Name) != nil {
			return &disk.UnsafeError{Path: path, Reason: fmt.Sprintf("has %q too, which would be lost", m.Name), Hint: "name another file"}
		}
	}
	return nil
}

// Renews reports whether a document of any of the programs has a refresh token. What
// is not JSON has none.
func Renews(document []byte) bool {
	if o, err := object.ParseLax(document); err == nil {
		return slices.ContainsFunc(o, func(m object.Member) bool {
			return slices.Contains([]string{"refresh", "refresh_token", "refreshToken"}, m.Name) && isText(m.Value) || Renews(m.Value)
		})
	}
	return false
}

// isText reports whether a value is text that says something.
func isText(value json.RawMessage) bool {
	var s string
	return json.Unmarshal(value, &s) == nil && s != ""
}
