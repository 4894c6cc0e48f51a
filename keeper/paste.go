package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// Pasted is what a person pastes to be kept.
type Pasted string

// The things that can be pasted.
const (
	// SetupToken is a token that a provider's own command makes to be pasted.
	SetupToken Pasted = "setup-token"
	// BearerToken is any other token.
	BearerToken Pasted = "token"
	// APIKey is a key.
	APIKey Pasted = "api_key"
)

// ErrCannotPaste means that this provider issues nothing of that kind.
var ErrCannotPaste = errors.New("nothing of that kind is known")

// PasteError says why a pasted text is not what was asked for. It holds nothing
// of the text.
type PasteError struct {
	Problem string
	// Hint says how to come by the right one, as far as is known.
	Hint string
}

func (e *PasteError) Error() string { return e.Problem }

// AddRequest is a secret that a person wants to be kept.
type AddRequest struct {
	// Ref may go without an ID: a setup-token is then <provider>:default, anything
	// else <provider>:manual.
	Ref      sink.Ref
	Provider string
	Kind     Pasted
	// Expires is when it ends, as the person says. Zero means that they do not
	// know: a setup-token then lives as long as its provider says.
	Expires time.Time
	// Ask asks for the secret. It is called again after one that was no good, with
	// a [*PasteError] that says why; an error of it ends the request.
	Ask func(ctx context.Context, refused error) (secret.Text, error)
}

// Add asks for a secret that cannot be renewed, and saves it in place of an older
// one of its kind. Before the person is asked the keychain has proved that it
// can save.
func (k *Keeper) Add(ctx context.Context, r AddRequest) (sink.Profile, error) {
	known, err := k.known(r.Provider, r.Kind)
	if err != nil {
		return sink.Profile{}, err
	}
	if r.Ref.ID == "" {
		r.Ref.ID = r.Provider + ":manual"
		if r.Kind == SetupToken {
			r.Ref.ID = r.Provider + ":default"
		}
	}
	if k.Store.Foreign(r.Ref) {
		return sink.Profile{}, fmt.Errorf("%s: %w by another program's login", r.Ref.ID, ErrTaken)
	}
	if err := k.Store.Ready(ctx); err != nil {
		return sink.Profile{}, err
	}
	var refused error
	for {
		text, err := r.Ask(ctx, refused)
		if err != nil {
			return sink.Profile{}, err
		}
		good, days, err := checkPasted(text.Reveal(), r.Kind, known)
		if err != nil {
			refused = err
			continue
		}
		if r.Expires.IsZero() && days > 0 {
			r.Expires = k.now().Wall.AddDate(0, 0, days)
		}
		return k.AddToken(ctx, r.Ref, r.Kind.sinkKind(), r.Provider, secret.New(good), r.Expires)
	}
}

// Wanted says in words what a person is to paste, and how they come by one, as far
// as is known. ErrCannotPaste is for what this provider does not issue.
func (k *Keeper) Wanted(providerID string, kind Pasted) (what, from string, err error) {
	p, err := k.known(providerID, kind)
	if err != nil {
		return "", "", err
	}
	return kind.words(), whereFrom(kind.rule(p)), nil
}

func (p Pasted) sinkKind() sink.Kind {
	if p == APIKey {
		return sink.KindAPIKey
	}
	return sink.KindToken
}

// rule is what a provider says of it.
func (p Pasted) rule(of provider.Provider) provider.Static {
	rule := map[Pasted]*provider.Static{SetupToken: of.SetupToken, BearerToken: of.Token, APIKey: of.APIKey}[p]
	if rule == nil {
		return provider.Static{}
	}
	return *rule
}

// words name it in a sentence.
func (p Pasted) words() string {
	switch p {
	case SetupToken:
		return "a setup-token"
	case APIKey:
		return "an API key"
	default:
		return "a token"
	}
}

// known is the provider's entry. Tokens and keys may be of a provider that is in
// no catalog; a setup-token is of one that issues some.
func (k *Keeper) known(id string, kind Pasted) (provider.Provider, error) {
	p, ok := k.Providers.Find(id)
	switch {
	case kind != SetupToken && kind != BearerToken && kind != APIKey:
		return p, fmt.Errorf("%w: %q", ErrCannotPaste, kind)
	case ok && kind == SetupToken && p.SetupToken == nil:
		return p, fmt.Errorf("a setup-token of %s: %w", id, ErrCannotPaste)
	case ok:
		return p, nil
	}
	if err := provider.CheckID(id); err != nil || kind == SetupToken {
		return p, fmt.Errorf("%s: %w", id, ErrUnknownProvider)
	}
	return p, nil
}

const maxPasted = 8 << 10

// checkPasted cleans a pasted secret and says whether it can be what was asked
// for: as OpenClaw does, in the same words. Days is how long it is known to
// live.
func checkPasted(pasted string, kind Pasted, p provider.Provider) (good string, days int, err error) {
	rule := kind.rule(p)
	refuse := func(problem string) (string, int, error) { return "", 0, &PasteError{problem, whereFrom(kind.rule(p))} }
	if len(pasted) > maxPasted {
		return refuse("Too long for a token or a key")
	}
	good = cleanPasted(pasted)
	setup := p.SetupToken != nil && p.SetupToken.Prefix != "" && strings.HasPrefix(good, p.SetupToken.Prefix)
	switch {
	case good == "":
		return refuse("Required")
	case kind == APIKey && setup:
		return refuse("This is a setup-token, not an API key")
	case kind == BearerToken && setup: // what is known of those is true of this one
		rule = *p.SetupToken
	}
	switch {
	case !strings.HasPrefix(good, rule.Prefix):
		return refuse("Expected token starting with " + rule.Prefix)
	case len(good) < rule.MinLength && setup:
		return refuse("Token looks too short; paste the full setup-token")
	case len(good) < rule.MinLength:
		return refuse("Token looks too short; paste all of it")
	case strings.ContainsFunc(good, func(r rune) bool { return r <= ' ' || r > '~' }):
		return refuse("There are characters in it that no token has")
	}
	return good, rule.Days, nil
}

// cleanPasted removes what terminals, chat programs and line wraps add: no token
// and no key holds a space, a control or an invisible character.
func cleanPasted(s string) string {
	for _, mark := range []string{"\x1b[200~", "\x1b[201~"} {
		s = strings.ReplaceAll(s, mark, "")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.C, r) {
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, "\"'`<>“”‘’«»")
}

// whereFrom says how to come by a secret.
func whereFrom(s provider.Static) string {
	switch {
	case s.Command != "":
		return "run `" + s.Command + "` and paste what it prints"
	case s.Page != "":
		return "see " + s.Page
	default:
		return ""
	}
}

// feed hands what is pasted to a login until it is over.
func feed(ctx context.Context, l *oauth.Login, r LoginRequest) {
	for {
		select {
		case s, ok := <-r.Pasted:
			if !ok {
				return
			}
			if err := l.Paste(s.Reveal()); err != nil {
				r.refused(err)
			}
		case <-ctx.Done():
			return
		}
	}
}
