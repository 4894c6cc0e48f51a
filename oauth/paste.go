package oauth

import (
	"errors"
	"net/url"
	"strings"
	"unicode"

	"github.com/keytray/keytray/secret"
)

const maxPaste = 8 << 10

// Why a pasted text was not taken.
var (
	errPasteEmpty  = errors.New("nothing was pasted")
	errPasteLong   = errors.New("too long for a code or an address")
	errPasteToken  = errors.New("this looks like a token or a key: what is needed is the address the browser ended at, or the code")
	errPasteOrigin = errors.New("this is not the address the browser is sent to after the sign-in")
	errPasteNoCode = errors.New("there is no code in this text")
)

// Paste gives the answer by hand: the whole address that the browser was sent
// to, its query, "code#state" or the code alone. It may be called at any time,
// and again after an error: the wait goes on. A code alone is taken without its
// state ([Token.StateUnverified]); PKCE still binds it to this login.
func (l *Login) Paste(input string) error {
	if len(input) > maxPaste {
		return errPasteLong
	}
	text := cleanPaste(input)
	if text == "" {
		return errPasteEmpty
	}
	query, isResponse, err := pastedQuery(text, l.redirect)
	if err != nil {
		return err
	}
	if isResponse {
		if !query.Has("code") && !query.Has("error") {
			return errPasteNoCode
		}
		return l.accept(query)
	}
	if looksLikeToken(text) {
		return errPasteToken
	}
	code, state, hasState := strings.Cut(text, "#")
	if hasState && !l.state.Equal(secret.New(state)) {
		return errState
	}
	return l.acceptCode(code, !hasState)
}

// pastedQuery returns the parameters if text is the redirect URI with a query,
// or a query.
func pastedQuery(text, redirect string) (query url.Values, isResponse bool, err error) {
	if rest, ok := strings.CutPrefix(redirect, "http://"); ok && strings.HasPrefix(text, rest) {
		text = "http://" + text // address bars hide the scheme
	}
	var raw string
	scheme, _, isURL := strings.Cut(text, "://") // iss may hold one as well
	switch {
	case isURL && !strings.ContainsAny(scheme, "?&=#"):
		var base string
		base, raw, _ = strings.Cut(text, "?")
		if base != redirect {
			return nil, true, errPasteOrigin
		}
	case strings.HasPrefix(text, "?"), strings.Contains(text, "code="), strings.Contains(text, "error="):
		raw = strings.TrimPrefix(text, "?")
	default:
		return nil, false, nil
	}
	raw, _, _ = strings.Cut(raw, "#") // a fragment is never an answer
	query, err = url.ParseQuery(raw)
	if err != nil {
		return nil, true, errPasteNoCode
	}
	return query, true, nil
}

// cleanPaste removes what terminals, chat programs and line wraps add: codes
// and addresses hold no space, no control and no invisible character.
func cleanPaste(s string) string {
	for _, mark := range []string{"\x1b[200~", "\x1b[201~"} {
		s = strings.ReplaceAll(s, mark, "")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.C, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, "\"'`<>“”‘’«»")
}

func looksLikeToken(s string) bool {
	for _, prefix := range []string{"eyJ", "sk-", "rt_", "at-"} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}
