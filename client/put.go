package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/sink"
)

// OwnedError is a file that has a login, or a key, which its program or a person
// put there and which would be lost.
type OwnedError struct{ Program, Path string }

func (e *OwnedError) Error() string { return e.Path + " has a login of its own" }

// Mark tells what Keytray put into a file: the members, and checksums by which they
// are known again; two while it is not certain which of two texts is there. It
// holds no secret.
type Mark struct {
	Members []string `json:"members,omitempty"`
	Sums    []string `json:"sums,omitempty"`
}

// And is the mark of a file that has what m tells or what next tells.
func (m Mark) And(next Mark) Mark {
	both := slices.Concat(m.Members, next.Members)
	slices.Sort(both)
	return Mark{slices.Compact(both), slices.Compact(slices.Concat(m.Sums, next.Sums))}
}

// Shared reports whether a program's file has more in it than one login, or is
// locked by its owner, so that it is to be written by [Source.Put].
func Shared(program string) bool {
	_, err := Source{Program: program}.form()
	return err == nil && !slices.Contains([]string{openclaw, legacy}, program)
}

// File is where a program has its logins, whether there is such a file or not.
func File(program string, p Places) (Source, error) {
	paths := map[string]string{
		codex:    filepath.Join(p.dir("CODEX_HOME", ".codex"), "auth.json"),
		pi:       filepath.Join(p.dir("PI_CODING_AGENT_DIR", ".pi", "agent"), "auth.json"),
		opencode: filepath.Join(p.opencodeDir(), "auth.json"),
	}
	if path, ok := paths[program]; ok {
		return Source{Program: program, Path: path}, nil
	}
	return Source{}, fmt.Errorf("%q: %w", program, ErrUnknownProgram)
}

// Mark is that of fresh, a JSON object, in the file.
func (s Source) Mark(fresh []byte) (Mark, error) {
	members, err := object.ParseStrict(fresh)
	if err != nil {
		return Mark{}, fmt.Errorf("writing for %s: %w", s.Program, err)
	}
	names := s.members(members)
	return Mark{names, []string{sum(members)}}, nil
}

// Put writes the members of fresh, a JSON object, into the file, under its owner's
// locks: they take the place of what the file has of a login, everything else in
// it stays, and nothing is written that is there already. Last is the mark of what
// was put there before; the zero Mark is nothing. A file whose login can renew
// itself, or whose key is not that of last, is left as it is: [*OwnedError].
func (s Source) Put(ctx context.Context, fresh []byte, last Mark) error {
	members, err := object.ParseStrict(fresh)
	if err != nil {
		return fmt.Errorf("writing for %s: %w", s.Program, err)
	}
	names := slices.Concat(s.members(members), last.Members)
	return s.edit(ctx, names, last, func(top object.JSON) object.JSON {
		top = top.Without(slices.DeleteFunc(names, members.Has)...)
		for _, m := range members {
			top = top.Set(m.Name, m.Value)
		}
		return top
	})
}

// Drop takes out of the file what is left there of what last tells; a file that
// then has nothing in it goes. What is not ours is left: [*OwnedError].
func (s Source) Drop(ctx context.Context, last Mark) error {
	if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) {
		return s.clear(putting)
	}
	return s.edit(ctx, last.Members, last, func(top object.JSON) object.JSON {
		top = top.Without(last.Members...)
		if len(top) == 0 {
			return nil
		}
		return top
	})
}

// members are the names of all that a login consists of in the program's file.
func (s Source) members(fresh object.JSON) []string {
	switch s.Program {
	case codex:
		return []string{"auth_mode", "OPENAI_API_KEY", "personal_access_token", "tokens", "last_refresh"}
	case claude:
		return []string{"claudeAiOauth"}
	default:
		var names []string
		for _, m := range fresh {
			names = append(names, m.Name)
		}
		return names
	}
}

// edit replaces the file by what change makes of it, under the owner's locks.
func (s Source) edit(ctx context.Context, names []string, last Mark, change func(object.JSON) object.JSON) error {
	f, err := s.form()
	if err != nil {
		return err
	}
	h := &Held{source: s}
	defer h.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, ownerWait, ErrBusy)
	defer cancel()
	for _, l := range f.locks(s, Login{}) {
		if err := h.lock(ctx, l); err != nil {
			return err
		}
	}
	if err := s.clear(putting); err != nil { // what a killed writer left
		return err
	}
	top, old, err := s.mine(f, names, last)
	if err != nil {
		return err
	}
	for _, l := range h.locks {
		if !l.held() {
			return fmt.Errorf("%s: %w: somebody took its lock away", s.Path, ErrChanged)
		}
	}
	next := change(top)
	if old != nil && next != nil && same(next, top) {
		return nil
	}
	if old == nil {
		old = []byte("{\n}\n") // so a new file is written over several lines
	}
	if err := s.replace(putting, next, old); err != nil {
		return fmt.Errorf("writing for %s: %w", s.Program, err)
	}
	return nil
}

// same reports whether both have the same members and values, in any order.
func same(o, p object.JSON) bool { return len(o) == len(p) && sum(o) == sum(p) }

// putting names the new file before it takes the old one's place.
const putting = "put"

// mine reads the file, and refuses one that has a login of its owner's in one of
// these members. A file that is not there is an empty object without bytes.
func (s Source) mine(f form, names []string, last Mark) (top object.JSON, old []byte, err error) {
	old, err = disk.Read(s.Path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return object.JSON{}, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the logins of %s: %w", s.Program, err)
	}
	if top, err = object.ParseStrict(old); err != nil {
		return nil, nil, s.notUnderstood(err)
	}
	logins, err := f.logins(top)
	if err != nil {
		return nil, nil, s.notUnderstood(err)
	}
	ours := slices.Contains(last.Sums, sum(top.Only(last.Members...)))
	for _, l := range logins {
		if slices.Contains(names, l.Name) && l.owned(s.Program) && (l.Kind == sink.KindOAuth || !ours) {
			return nil, nil, &OwnedError{s.Program, s.Path}
		}
	}
	return top, old, nil
}

// owned reports whether something would be lost with the login. Claude Code's token
// without a refresh token is what an import leaves there, and is lost to nobody.
func (l Login) owned(program string) bool {
	if l.Kind == sink.KindOAuth {
		return !l.Refresh.Empty()
	}
	return !l.Access.Empty() && program != claude
}

// Owned reports whether the file has a login that can renew itself. One that is
// not there has none.
func (s Source) Owned() (bool, error) {
	logins, err := s.Logins()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.ContainsFunc(logins, func(l Login) bool { return l.Kind == sink.KindOAuth }), err
}

// sum is a checksum, however the file is laid out. What is null does not count.
func sum(o object.JSON) string {
	o = slices.DeleteFunc(slices.Clone(o), func(m object.Member) bool { return string(m.Value) == "null" })
	slices.SortFunc(o, func(a, b object.Member) int { return strings.Compare(a.Name, b.Name) })
	b, err := o.EncodeLike(nil)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
