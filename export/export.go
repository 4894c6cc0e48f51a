// Package export writes access tokens in the forms that other programs read, and
// knows which login may go to which program. It is pure: a writer, a token, no
// clock and no files. A refresh token cannot be exported, because an [Item] has
// none.
//
// A new format is one function in a file of its own and one line in [Formats].
package export

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// Kind says what a login is made of.
type Kind string

// The kinds, spelled as package sink does.
const (
	OAuth  Kind = "oauth"
	Token  Kind = "token"
	APIKey Kind = "api_key"
)

// Item is one token to hand out, and what is known of its login.
type Item struct {
	// Profile and Provider say whose it is. Of a provider that is in no catalog any
	// more only the ID is known.
	Profile  string
	Provider provider.Provider
	Kind     Kind
	// Account, Email and Plan are empty where nobody knows.
	Account, Email, Plan string
	Access               secret.Text
	// Issued is when the token was issued, or a later time at which it was there.
	// Expires is zero when nobody knows.
	Issued, Expires time.Time
	// CrossVendor says that the person lets a plan's token go to the tools of
	// others, see [Check].
	CrossVendor bool
}

// Var is an environment variable.
type Var struct {
	Name  string
	Value secret.Text
}

// Spec is one format.
type Spec struct {
	Name string
	// Tool is the vendor whose program reads the format; empty where any program
	// may, and it is the person who hands the token to it.
	Tool string
	// File is the usual name of the file that the format is the whole of; empty for
	// other formats.
	File string

	vars func(Item) ([]Var, error)
	text func(Item) ([]byte, error)
}

// Formats are all formats, in the order in which people are told of them.
func Formats() []Spec {
	return []Spec{
		{Name: "plain", text: plain},
		{Name: "header", text: header},
		{Name: "env", vars: env},
		{Name: "json", text: asJSON},
		{Name: "codex", Tool: "openai", File: "auth.json", text: codex},
		{Name: "claude", Tool: "anthropic", File: ".credentials.json", text: claude},
	}
}

// Find returns the format of that name.
func Find(name string) (Spec, bool) {
	for _, s := range Formats() {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

// Write writes an item whose login the format can carry and whose token its
// readers may have; else it is an [*UnfitError] or a [*CrossVendorError] and
// nothing is written.
func (s Spec) Write(w io.Writer, it Item) error {
	b, err := s.bytes(it)
	if err != nil {
		return s.told(it, err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	return nil
}

// Vars are the environment variables of a format that consists of them, for a
// child's environment; other formats have none. Errors are those of Write.
func (s Spec) Vars(it Item) ([]Var, error) {
	if s.vars == nil {
		return nil, nil
	}
	if err := s.check(it); err != nil {
		return nil, s.told(it, err)
	}
	vars, err := s.vars(it)
	return vars, s.told(it, err)
}

func (s Spec) bytes(it Item) ([]byte, error) {
	if err := s.check(it); err != nil {
		return nil, err
	}
	if s.vars != nil {
		return lines(it, s.vars)
	}
	return s.text(it)
}

func (s Spec) check(it Item) error {
	if err := Check(s.Tool, it); err != nil {
		return err
	}
	if !usable(it.Access) {
		return unfit("it has characters that no token has")
	}
	return nil
}

// told adds to an error what its reader wants to know.
func (s Spec) told(it Item, err error) error {
	if e, ok := errors.AsType[*UnfitError](err); ok {
		return &UnfitError{Format: s.Name, Reason: e.Reason, Fitting: fitting(it)}
	}
	return err
}

// fitting are the formats that can carry an item and whose readers may have it.
func fitting(it Item) []string {
	var names []string
	for _, s := range Formats() {
		if _, err := s.bytes(it); err == nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// usable reports whether the token has the characters of one (RFC 6749 App. A):
// no line break and no NUL ends up in a shell or a header.
func usable(t secret.Text) bool {
	return !t.Empty() && !strings.ContainsFunc(t.Reveal(), func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// Check reports whether the program of a vendor may be handed the item, as a
// [*CrossVendorError]. It is the one place that knows: the tokens of a plan are
// for the programs of the vendor that sold it, unless the person says otherwise;
// API keys go anywhere, and so does whatever is nobody's plan. An empty tool is
// any program, which the person chooses. The token itself does not matter here
// and may be missing.
func Check(tool string, it Item) error {
	plan := it.Provider.Vendor
	if tool == "" || plan == "" || plan == tool || it.Kind == APIKey || it.CrossVendor {
		return nil
	}
	return &CrossVendorError{Profile: it.Profile, Plan: plan, Tool: tool}
}

// CrossVendorError is a plan's token that would go to another vendor's program.
type CrossVendorError struct{ Profile, Plan, Tool string }

func (e *CrossVendorError) Error() string {
	return fmt.Sprintf("the token of %s belongs to a plan of %s, and a program of %s would get it", e.Profile, e.Plan, e.Tool)
}

// UnfitError is why a format cannot carry a login, and which formats can.
type UnfitError struct {
	Format, Reason string
	Fitting        []string
}

func (e *UnfitError) Error() string {
	return "the format " + e.Format + " cannot carry this login: " + e.Reason
}

func unfit(reason string) error { return &UnfitError{Reason: reason} }
