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

	// home says that the program sends what it gets to its vendor's API, so that keys
	// of other vendors are not for it either.
	home bool

	// A format consists of variables, written for a shell, or of text.
	vars  func(Item) ([]Var, error)
	shell Shell
	text  func(Item) ([]byte, error)
}

// Formats are all formats, in the order in which people are told of them.
func Formats() []Spec {
	return []Spec{
		{Name: "plain", text: plain},
		{Name: "header", text: header},
		{Name: "curl", text: curl},
		{Name: "json", text: asJSON},
		{Name: "env", vars: env},
		{Name: "dotenv", vars: env, shell: Dotenv},
		{Name: "codex", Tool: "openai", File: "auth.json", text: codex},
		{Name: "claude", Tool: "anthropic", File: ".credentials.json", text: claude},
		{Name: "gemini", Tool: "google", vars: gemini},
		{Name: "gemini-file", Tool: "google", File: "oauth_creds.json", text: geminiFile},
		{Name: "copilot", Tool: "github", vars: copilot},
		{Name: "opencode", Tool: "opencode", File: "auth.json", text: opencode},
		{Name: "pi", Tool: "pi", File: "auth.json", text: pi},
		{Name: "aider", Tool: "aider", vars: keys},
		{Name: "llm", Tool: "llm", vars: keys},
		{Name: "litellm", Tool: "litellm", vars: keys},
	}
}

// Program is whose file the format is, as package client calls it; empty for
// other formats.
func (s Spec) Program() string {
	if s.File == "" {
		return ""
	}
	return strings.TrimSuffix(s.Name, "-file")
}

// In is a format that consists of variables, for another shell than sh; ok is
// false for every other format.
func (s Spec) In(shell Shell) (_ Spec, ok bool) {
	ok = s.vars != nil && s.shell == ""
	s.shell = shell
	return s, ok
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
	if _, err := s.bytes(it); err != nil {
		return nil, s.told(it, err)
	}
	return s.vars(it)
}

// bytes are what the format makes of an item that its readers may have. What it
// cannot carry is told first: nobody may change that.
func (s Spec) bytes(it Item) ([]byte, error) {
	if !usable(it.Access) {
		return nil, unfit("it has characters that no token has")
	}
	b, err := s.make(it)
	if err != nil {
		return nil, err
	}
	return b, s.Check(it)
}

func (s Spec) make(it Item) ([]byte, error) {
	if s.vars == nil {
		return s.text(it)
	}
	vars, err := s.vars(it)
	if err != nil {
		return nil, err
	}
	return s.shell.lines(vars)
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

// Check reports whether the readers of the format may be handed the item, as [Check]
// does.
func (s Spec) Check(it Item) error {
	if vendor := issuer(it.Provider); s.home && it.Kind == APIKey && vendor != "" && vendor != s.Tool && !it.CrossVendor {
		return &CrossVendorError{Profile: it.Profile, Plan: vendor, Tool: s.Tool, Key: true}
	}
	return Check(s.Tool, it)
}

// issuer is the vendor whose keys a provider's are, if that is known. The services of
// the catalog that sell no plan name none, and issue their own.
func issuer(p provider.Provider) string {
	if _, known := provider.Builtin().Find(p.ID); known && p.Vendor == "" {
		return p.ID
	}
	return p.Vendor
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

// CrossVendorError is a plan's token that would go to another vendor's program, or a
// key that would go to another vendor.
type CrossVendorError struct {
	Profile, Plan, Tool string
	Key                 bool
}

func (e *CrossVendorError) Error() string {
	if e.Key {
		return fmt.Sprintf("%s is a key of %s, and the tool would send it to another vendor (%s)", e.Profile, e.Plan, e.Tool)
	}
	return fmt.Sprintf("the token of %s belongs to a plan of %s, and another vendor's tool (%s) would get it", e.Profile, e.Plan, e.Tool)
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
