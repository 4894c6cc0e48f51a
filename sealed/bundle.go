package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/keytray/keytray/secret"
)

var (
	// ErrForeign means that something was sealed that is no bundle of ours.
	ErrForeign = errors.New("what is sealed in it is not a login of Keytray")
	// ErrNewer means that a later version has sealed it.
	ErrNewer = errors.New("a later version of Keytray has sealed it")
	// ErrExpired means that its time is over.
	ErrExpired = errors.New("it has expired")
)

// Bundle is what goes to another machine: access tokens of some logins, or one
// login wholly.
type Bundle struct {
	// ID tells this bundle from all others.
	ID string
	// From is the machine that sealed it, in words.
	From string
	Made time.Time
	// NotAfter is when it must not be opened any more; zero is never. A login that is
	// moved has no such end: it would be nowhere then.
	NotAfter time.Time
	// Move says that there is one login in it, with what renews it, and that the
	// machine it comes from has it no longer.
	Move   bool
	Logins []Login
}

// Login is one of them.
type Login struct {
	Profile, Provider, Kind string
	Access                  secret.Text
	// Refresh is there if it is moved.
	Refresh         secret.Text
	Minted, Expires time.Time
	Scope           string
	Account, Email  string
	Plan            string
	// Issuer, Client and the endpoints are where a login that is moved is renewed.
	Issuer, Client, TokenEndpoint, RevocationEndpoint string
}

const (
	// format and schema name what is inside.
	format = "keytray-sealed"
	schema = 1
	// maxBundle is the largest bundle, sealed or not; maxLogins are as many as fit.
	maxBundle = 1 << 20
	maxLogins = 100
	maxText   = 2000
	maxToken  = 48 << 10
)

// wire is the JSON of a bundle.
type wire struct {
	Format        string      `json:"format"`
	SchemaVersion int         `json:"schemaVersion"`
	ID            string      `json:"id"`
	From          string      `json:"from"`
	Made          int64       `json:"made"`
	NotAfter      int64       `json:"notAfter,omitempty"`
	Move          bool        `json:"move"`
	Logins        []wireLogin `json:"logins"`
}

type wireLogin struct {
	Profile            string `json:"profile"`
	Provider           string `json:"provider"`
	Kind               string `json:"kind"`
	Access             string `json:"access,omitempty"`
	Refresh            string `json:"refresh,omitempty"`
	Minted             int64  `json:"minted,omitempty"`
	Expires            int64  `json:"expires,omitempty"`
	Scope              string `json:"scope,omitempty"`
	Account            string `json:"account,omitempty"`
	Email              string `json:"email,omitempty"`
	Plan               string `json:"plan,omitempty"`
	Issuer             string `json:"issuer,omitempty"`
	Client             string `json:"client,omitempty"`
	TokenEndpoint      string `json:"tokenEndpoint,omitempty"`
	RevocationEndpoint string `json:"revocationEndpoint,omitempty"`
}

// Seal encrypts a bundle for all of the recipients, as text.
func (b Bundle) Seal(to Address) ([]byte, error) {
	w := wire{Format: format, SchemaVersion: schema, ID: b.ID, From: b.From, Made: millis(b.Made), NotAfter: millis(b.NotAfter), Move: b.Move}
	for _, l := range b.Logins {
		w.Logins = append(w.Logins, wireLogin{
			l.Profile, l.Provider, l.Kind, l.Access.Reveal(), l.Refresh.Reveal(), millis(l.Minted), millis(l.Expires), l.Scope,
			l.Account, l.Email, l.Plan, l.Issuer, l.Client, l.TokenEndpoint, l.RevocationEndpoint,
		})
	}
	if err := w.check(); err != nil {
		return nil, err // what could not be opened is not sealed
	}
	plain, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if len(plain) > maxBundle/2 {
		return nil, fmt.Errorf("sealing: %d bytes are too many for one file", len(plain))
	}
	return encrypt(plain, true, to.to...)
}

// Open is the reverse of [Bundle.Seal]. Its errors quote nothing of what is inside.
func Open(b []byte, with Keys, now time.Time) (Bundle, error) {
	if len(b) > maxBundle {
		return Bundle{}, ErrNotSealed
	}
	plain, err := decrypt(b, with...)
	if err != nil {
		return Bundle{}, err
	}
	bundle, err := Decode(plain)
	if err != nil {
		return Bundle{}, err
	}
	if !bundle.NotAfter.IsZero() && now.After(bundle.NotAfter) {
		return Bundle{}, fmt.Errorf("%w, at %s", ErrExpired, bundle.NotAfter.Local().Format(time.DateTime))
	}
	return bundle, nil
}

// Decode reads what was sealed. It comes from whoever knew a recipient, which is
// anybody.
func Decode(plain []byte) (Bundle, error) {
	var head struct {
		Format        string `json:"format"`
		SchemaVersion int    `json:"schemaVersion"`
	}
	if json.Unmarshal(plain, &head) != nil || head.Format != format {
		return Bundle{}, ErrForeign
	}
	if head.SchemaVersion > schema {
		return Bundle{}, ErrNewer
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	var w wire
	if d.Decode(&w) != nil { // its text may quote a value
		return Bundle{}, ErrForeign
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Bundle{}, ErrForeign
	}
	if err := w.check(); err != nil {
		return Bundle{}, err
	}
	b := Bundle{ID: w.ID, From: w.From, Made: fromMillis(w.Made), NotAfter: fromMillis(w.NotAfter), Move: w.Move}
	for _, l := range w.Logins {
		b.Logins = append(b.Logins, Login{
			l.Profile, l.Provider, l.Kind, secret.New(l.Access), secret.New(l.Refresh), fromMillis(l.Minted), fromMillis(l.Expires), l.Scope,
			l.Account, l.Email, l.Plan, l.Issuer, l.Client, l.TokenEndpoint, l.RevocationEndpoint,
		})
	}
	return b, nil
}

// check holds for every bundle that is sealed or opened.
func (w wire) check() error {
	switch {
	case len(w.ID) < 20 || !isShort(w.ID), w.From == "" || !isShort(w.From), w.Made <= 0, w.NotAfter < 0:
		return fmt.Errorf("%w: its head is wrong", ErrForeign)
	case len(w.Logins) == 0 || len(w.Logins) > maxLogins || w.Move && len(w.Logins) > 1:
		return fmt.Errorf("%w: %d logins", ErrForeign, len(w.Logins))
	case w.Move && w.NotAfter != 0:
		return fmt.Errorf("%w: a login that is moved does not expire", ErrForeign)
	}
	for _, l := range w.Logins {
		if err := l.check(w.Move); err != nil {
			return err
		}
	}
	return nil
}

func (l wireLogin) check(move bool) error {
	for _, s := range []string{l.Profile, l.Provider, l.Kind, l.Scope, l.Account, l.Email, l.Plan, l.Issuer, l.Client, l.TokenEndpoint, l.RevocationEndpoint} {
		if !isShort(s) {
			return fmt.Errorf("%w: a text is too long or cannot be shown", ErrForeign)
		}
	}
	switch {
	case l.Profile == "" || l.Provider == "" || l.Minted < 0 || l.Expires < 0:
		return fmt.Errorf("%w: a login without a name", ErrForeign)
	case move != (l.Refresh != ""):
		return fmt.Errorf("%w: what renews a login is moved, and never copied", ErrForeign)
	case move && (l.Kind != "oauth" || l.TokenEndpoint == ""):
		return fmt.Errorf("%w: a login that cannot be renewed is not moved", ErrForeign)
	case !move && (l.Access == "" || l.Kind != "token" && l.Kind != "api_key"):
		return fmt.Errorf("%w: a login without a token", ErrForeign)
	case !isToken(l.Access) || !isToken(l.Refresh):
		return fmt.Errorf("%w: a token with characters that none has", ErrForeign)
	}
	return nil
}

// isShort reports whether s can be kept and shown in one line.
func isShort(s string) bool {
	return len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func isToken(s string) bool {
	return len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
