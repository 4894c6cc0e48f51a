// Package client knows other programs that keep logins in files: where the files
// are, what is in them, how their owner is kept away, and how a file looks that
// has the access token and not what renews it.
//
// It speaks to no server, opens no keychain and starts nothing. What it reads is
// foreign: a file that is not wholly understood, or that others could have
// written, is left as it is, and what it says of servers is a claim.
//
// # Taking a login out of a file
//
// [Source.Hold] takes the owner's locks in the owner's order and reads the login
// under them; [Held.Strip] writes the file anew without the login's secret, if
// nobody has touched it meanwhile, and reads it back; [Held.Close] lets the owner
// go on. A process that dies in between leaves the old file or the new one.
// [Left] tells which, at any time and without the locks.
package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

var (
	// ErrUnknownProgram means that Keytray does not know that program's files.
	ErrUnknownProgram = errors.New("no such program")
	// ErrNothing means that a file has no such login, or none with a secret that
	// could be moved.
	ErrNothing = errors.New("there is no login to move")
	// ErrBusy means that the owner of the file is at work on it.
	ErrBusy = errors.New("the program is working on its logins")
	// ErrChanged means that the file is not what it was a moment ago.
	ErrChanged = errors.New("the file has changed meanwhile")
	// ErrFormat means that a file is not understood.
	ErrFormat = errors.New("not understood, and left as it is")
)

// RefusedError is why a program's logins are not moved at all.
type RefusedError struct{ Program, Reason, Hint string }

func (e *RefusedError) Error() string { return "logins of " + e.Program + " stay there: " + e.Reason }

// The programs, as people type them; legacy is OpenClaw's oldest file.
const (
	codex    = "codex"
	claude   = "claude"
	openclaw = "openclaw"
	legacy   = "openclaw-legacy"
	pi       = "pi"
	opencode = "opencode"
	gemini   = "gemini"
	copilot  = "copilot"
)

// Programs are the names that [Find] knows.
func Programs() []string {
	return []string{openclaw, codex, claude, gemini, pi, opencode, copilot}
}

// A Login is one login in a file. What stands in it comes from the file.
type Login struct {
	// Name is the login's name in the file.
	Name string
	// Provider is what Keytray calls it; it may be unknown.
	Provider string
	Kind     sink.Kind
	// Access is the secret itself for kinds that are not OAuth.
	Access, Refresh, ID secret.Text
	// Expires is zero when the file does not say.
	Expires        time.Time
	Account, Email string
	// Claim is where the file says that the login is renewed.
	Claim Claim

	raw string // the provider as the file spells it
}

// whole reports whether there is something to move.
func (l Login) whole() bool { return !l.Access.Empty() && !l.vital().Empty() && !l.fenced() }

// vital is what renews the login, or the secret itself.
func (l Login) vital() secret.Text {
	if l.Kind == sink.KindOAuth {
		return l.Refresh
	}
	return l.Access
}

// Usable reports whether the secrets have the characters of a token (RFC 6749
// App. A): they go into headers.
func (l Login) Usable() bool {
	for _, t := range []secret.Text{l.Access, l.Refresh} {
		if strings.ContainsFunc(t.Reveal(), func(r rune) bool { return r <= 0x20 || r > 0x7e }) {
			return false
		}
	}
	return true
}

// Claim names a server and our registration with it; what a file does not say is
// empty.
type Claim struct{ Issuer, Client, TokenEndpoint string }

// Source is one file of a program.
type Source struct {
	Program string
	Path    string
	// Bare leaves not even the access token behind, as in a file that is
	// Keytray's own.
	Bare bool

	state string // OpenClaw's state folder, in which it has locks; empty if Path is in it
}

// Origin names a login of the file.
func (s Source) Origin(name string) sink.Origin {
	return sink.Origin{Program: s.Program, Path: s.Path, Name: name}
}

// HasProfileIDs reports whether a login's name is a profile's id.
func (s Source) HasProfileIDs() bool { return s.Program == openclaw }

// form is how one program keeps its logins.
type form interface {
	// logins are those of top, also those that have no secret any more.
	logins(top object.JSON) ([]Login, error)
	// strip returns top without l's secret; nil if the file is to go.
	strip(top object.JSON, l Login, bare bool) object.JSON
	// locks are what the owner takes when it renews or writes l, in its order.
	locks(s Source, l Login) []lock
}

func (s Source) form() (form, error) {
	forms := map[string]form{
		codex: codexForm{}, claude: claudeForm{}, openclaw: openclawForm{},
		legacy: legacyForm{}, pi: piForm{}, opencode: opencodeForm{},
	}
	f, ok := forms[s.Program]
	if !ok {
		return nil, fmt.Errorf("%q: %w", s.Program, ErrUnknownProgram)
	}
	return f, nil
}

// Places are where programs keep their files.
type Places struct {
	// Home is the person's home folder, Agent the OpenClaw agent that is meant.
	Home, Agent string
	// OpenClaw is that program's state folder, AgentDir that of the agent's files
	// and Credentials that of its oldest versions. Empty ones are in the usual place.
	OpenClaw, AgentDir, Credentials string

	Getenv func(string) string
}

// dir is what a variable says, else a folder of the home folder.
func (p Places) dir(variable string, below ...string) string {
	if d := p.Getenv(variable); filepath.IsAbs(d) {
		return filepath.Clean(d)
	}
	return filepath.Join(append([]string{p.Home}, below...)...)
}

// Find returns the files of a program that are there. It is a [*RefusedError] for
// a program whose logins cannot be moved, and ErrNothing where there is no file.
func Find(program string, p Places) ([]Source, error) {
	var all []Source
	switch program {
	case codex, pi, opencode:
		s, err := File(program, p)
		if err != nil {
			return nil, err
		}
		all = []Source{s}
	case claude:
		dir := p.dir("CLAUDE_CONFIG_DIR", ".claude")
		if d := p.Getenv("CLAUDE_SECURESTORAGE_CONFIG_DIR"); filepath.IsAbs(d) {
			dir = d
		}
		all = []Source{{Program: claude, Path: filepath.Join(dir, ".credentials.json")}}
	case openclaw:
		dir := p.OpenClaw
		if dir == "" {
			dir = p.dir("OPENCLAW_STATE_DIR", ".openclaw")
		}
		agentDir := cmp.Or(p.AgentDir, filepath.Join(dir, "agents", p.Agent, "agent"))
		if hasDatabase(dir, agentDir) {
			return nil, &RefusedError{openclaw, "it keeps them in a database, which Keytray does not touch", "sign in anew with `keytray login PROVIDER`"}
		}
		all = openclawSources(dir, agentDir, cmp.Or(p.Credentials, filepath.Join(dir, "credentials")))
	case gemini:
		return nil, &RefusedError{gemini, "Google renews them for a registered client only, and does not rotate their refresh tokens, so that copies do no harm", "keep a Gemini API key here: `keytray models auth paste-api-key --provider google`"}
	case copilot:
		return nil, &RefusedError{copilot, "it keeps them in the keychain, whose foreign items Keytray does not read, and GitHub's tokens do not rotate", "keep a personal access token here: `keytray models auth paste-token --provider github-copilot`"}
	default:
		return nil, fmt.Errorf("%q: %w", program, ErrUnknownProgram)
	}
	var there, looked []string
	var found []Source
	for _, s := range all {
		looked = append(looked, s.Path)
		if _, err := os.Lstat(s.Path); !errors.Is(err, fs.ErrNotExist) {
			found, there = append(found, s), append(there, s.Path)
		}
	}
	if len(there) == 0 {
		return nil, fmt.Errorf("%w in %s", ErrNothing, strings.Join(looked, " or "))
	}
	return found, nil
}

func (p Places) opencodeDir() string {
	if d := p.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "opencode")
	}
	return filepath.Join(p.Home, ".local", "share", "opencode")
}

// limit is the largest file that is read, bytes.
const limit = 4 << 20

// Logins are those of the file that have a secret. It takes no locks.
func (s Source) Logins() ([]Login, error) {
	all, _, err := s.read()
	return slices.DeleteFunc(all, func(l Login) bool { return !l.whole() }), err
}

// read returns all logins of the file and its very bytes.
func (s Source) read() ([]Login, []byte, error) {
	f, err := s.form()
	if err != nil {
		return nil, nil, err
	}
	b, err := disk.Read(s.Path, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the logins of %s: %w", s.Program, err)
	}
	top, err := object.ParseStrict(b)
	if err != nil {
		return nil, nil, s.notUnderstood(err)
	}
	logins, err := f.logins(top)
	if err != nil {
		return nil, nil, s.notUnderstood(err)
	}
	return logins, b, nil
}

func (s Source) notUnderstood(err error) error {
	return fmt.Errorf("%s: %w: %w", s.Path, ErrFormat, err)
}

// Held is a login whose file's owner is kept away.
type Held struct {
	Login

	source Source
	locks  []lock
	bytes  []byte
}

// Hold takes the owner's locks for the login of that name and reads it. It waits
// for an owner at work for some seconds, then answers ErrBusy.
func (s Source) Hold(ctx context.Context, name string) (*Held, error) {
	f, err := s.form()
	if err != nil {
		return nil, err
	}
	before, err := s.find(name) // what is locked depends on it
	if err != nil {
		return nil, err
	}
	h := &Held{source: s}
	ctx, cancel := context.WithTimeoutCause(ctx, ownerWait, ErrBusy)
	defer cancel()
	for _, l := range f.locks(s, before) {
		if err := h.lock(ctx, l); err != nil {
			h.Close()
			return nil, err
		}
	}
	logins, b, err := s.read()
	if err == nil {
		h.bytes = b
		h.Login, err = pick(logins, name)
	}
	if err == nil && !h.whole() {
		err = fmt.Errorf("%s: %w", name, ErrNothing)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (s Source) find(name string) (Login, error) {
	logins, _, err := s.read()
	if err != nil {
		return Login{}, err
	}
	return pick(logins, name)
}

func pick(logins []Login, name string) (Login, error) {
	for _, l := range logins {
		if l.Name == name {
			return l, nil
		}
	}
	return Login{}, fmt.Errorf("%s: %w", name, ErrNothing)
}

// Strip replaces the file by one without the login's secret, durably, and reads
// it back. What it does not understand stays as it is. With an error, touched says
// whether the file may have been replaced all the same.
func (h *Held) Strip() (touched bool, err error) {
	s := h.source
	f, err := s.form()
	if err != nil {
		return false, err
	}
	for _, l := range h.locks {
		if !l.held() {
			return false, fmt.Errorf("%s: %w: somebody took its lock away", s.Path, ErrChanged)
		}
	}
	now, err := disk.Read(s.Path, limit)
	if err != nil {
		return false, fmt.Errorf("rewriting the logins of %s: %w", s.Program, err)
	}
	if string(now) != string(h.bytes) {
		return false, fmt.Errorf("%s: %w", s.Path, ErrChanged)
	}
	top, err := object.ParseStrict(now)
	if err != nil {
		return false, s.notUnderstood(err)
	}
	if err := s.replace(h.Name, f.strip(top, h.Login, s.Bare), h.bytes); err != nil {
		return true, fmt.Errorf("rewriting the logins of %s: %w", s.Program, err)
	}
	left, err := Left(s.Origin(h.Name), h.Kind)
	if err == nil && !left.Empty() {
		err = ErrChanged
	}
	return true, err
}

// replace puts next in place of the file, in the style of its old bytes. Next nil
// removes it.
func (s Source) replace(name string, next object.JSON, old []byte) error {
	if next == nil {
		return disk.Remove(s.Path)
	}
	b, err := next.EncodeLike(old)
	if err != nil {
		return err
	}
	temp := s.temp(name)
	if err := disk.Reserve(temp, len(b)); err != nil {
		return err
	}
	if err := disk.Fill(temp, s.Path, b); err != nil {
		return errors.Join(err, disk.Remove(temp))
	}
	return nil
}

// temp is the new file before it takes the old one's place. Its name is the
// login's own, so that whoever has the right to move the login may clear it away.
func (s Source) temp(name string) string {
	return filepath.Join(filepath.Dir(s.Path), "."+filepath.Base(s.Path)+".keytray-"+short(name))
}

// Close gives the owner's locks back, the last one first. The login may not be
// stripped any more.
func (h *Held) Close() {
	for _, l := range slices.Backward(h.locks) {
		l.unlock()
	}
	h.locks = nil
}

// Left is what a program's file still has of a login: what renews it, or the
// secret itself for kinds that are not OAuth. It is empty where the file or the
// login is gone, and an error where nobody can tell. The caller has the right to
// move the login: what a dead process left of doing so is cleared away.
func Left(from sink.Origin, kind sink.Kind) (secret.Text, error) {
	s := Source{Program: from.Program, Path: from.Path}
	if _, err := os.Stat(filepath.Dir(s.Path)); err != nil {
		return secret.Text{}, fmt.Errorf("looking for the logins of %s: %w", s.Program, err)
	}
	if err := s.clear(from.Name); err != nil {
		return secret.Text{}, err
	}
	l, err := s.find(from.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNothing):
		return secret.Text{}, nil
	case err != nil:
		return secret.Text{}, err
	case l.fenced():
		return secret.Text{}, fmt.Errorf("%s: %w", s.Program, ErrBusy)
	case kind == sink.KindOAuth, l.Kind == sink.KindOAuth: // or such a one has taken its place
		return l.Refresh, nil
	default:
		return l.Access, nil
	}
}

// clear removes the unfinished new file of a dead process.
func (s Source) clear(name string) error {
	temp := s.temp(name)
	if _, err := os.Lstat(temp); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := disk.Remove(temp); err != nil {
		return fmt.Errorf("clearing away an unfinished file: %w", err)
	}
	return nil
}

// secretOf is a member that is text and must not be shown.
func secretOf(o object.JSON, name string) (secret.Text, error) {
	s, err := o.Text(name)
	return secret.New(s), err
}
