package client

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/sink"
)

// codexForm is Codex's auth.json: one login, and perhaps a key beside it.
//
// Codex (0.169) posts a refresh token without any lock, and drops the answer if
// the file has changed by then; so a login is moved only while its access token
// is not near its end. What it takes to write are the two locks below.
type codexForm struct{}

// codexProvider is the provider of ChatGPT logins, codexKeys that of API keys.
const (
	codexProvider = "openai-codex"
	codexKeys     = "openai"
)

func (codexForm) locks(s Source, _ Login) []lock {
	dir := filepath.Dir(s.Path)
	return []lock{&fileLock{path: filepath.Join(dir, "auth.lock")}, &fileLock{path: s.Path + ".lock"}}
}

func (codexForm) logins(top object) ([]Login, error) {
	tokens, err := top.object("tokens")
	if err != nil {
		return nil, err
	}
	var all []Login
	if tokens != nil {
		l, err := codexTokens(tokens)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	for _, s := range []struct {
		name, provider string
		kind           sink.Kind
	}{
		{"OPENAI_API_KEY", codexKeys, sink.KindAPIKey},
		{"personal_access_token", codexProvider, sink.KindToken},
	} {
		v, err := top.secret(s.name)
		if err != nil {
			return nil, err
		}
		all = append(all, Login{Name: s.name, Provider: s.provider, Kind: s.kind, Access: v})
	}
	return all, nil
}

// codexTokens reads a ChatGPT login. The file does not say when it ends; the
// access token does.
func codexTokens(o object) (Login, error) {
	l := Login{Name: "tokens", Provider: codexProvider, Kind: sink.KindOAuth}
	var errs [6]error
	l.Access, errs[0] = o.secret("access_token")
	l.Refresh, errs[1] = o.secret("refresh_token")
	l.ID, errs[2] = o.secret("id_token")
	l.Account, errs[3] = o.text("account_id")
	provenance, err := o.object("oauth_provenance")
	errs[4] = err
	if provenance != nil {
		l.Claim, errs[5] = claimOf(provenance, "issuer", "client_id", "")
	}
	return l, errors.Join(errs[:]...)
}

// claimOf reads a claim from the members of these names.
func claimOf(o object, issuer, client, token string) (Claim, error) {
	s, err := o.texts(issuer, client, token)
	if err != nil {
		return Claim{}, err
	}
	return Claim{s[0], s[1], s[2]}, nil
}

// strip of an OAuth login leaves what Codex calls tokens from outside: it never renews or revokes
// those, and reads the file again when they are refused. It needs last_refresh,
// an id token, and an empty refresh token rather than none.
func (codexForm) strip(top object, l Login, _ bool) object {
	if l.Kind != sink.KindOAuth {
		return codexWithout(top, l.Name)
	}
	tokens, _ := top.object("tokens")
	tokens = tokens.set("refresh_token", quoted(""))
	if l.ID.Empty() {
		tokens = tokens.set("id_token", quoted(l.Access.Reveal()))
	}
	top = top.set("auth_mode", quoted("chatgptAuthTokens")).set("tokens", tokens.encode())
	if top.raw("last_refresh") == nil {
		top = top.set("last_refresh", quoted(time.Now().UTC().Format(time.RFC3339Nano)))
	}
	return top
}

// codexWithout takes a static secret out. Where nothing else is left the file
// goes, as with codex logout: one without a login counts as a ChatGPT login.
func codexWithout(top object, name string) object {
	top = top.set(name, []byte("null"))
	if mode, _ := top.text("auth_mode"); mode == "apikey" {
		top = top.without("auth_mode")
	}
	for _, m := range top {
		if m.name != "auth_mode" && m.name != "last_refresh" && string(m.value) != "null" {
			return top
		}
	}
	return nil
}
