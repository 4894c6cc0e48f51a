package client

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/object"
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

func (codexForm) logins(top object.JSON) ([]Login, error) {
	tokens, err := top.Object("tokens")
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
		v, err := secretOf(top, s.name)
		if err != nil {
			return nil, err
		}
		all = append(all, Login{Name: s.name, Provider: s.provider, Kind: s.kind, Access: v})
	}
	return all, nil
}

// codexTokens reads a ChatGPT login. The file does not say when it ends; the
// access token does.
func codexTokens(o object.JSON) (Login, error) {
	l := Login{Name: "tokens", Provider: codexProvider, Kind: sink.KindOAuth}
	var errs [6]error
	l.Access, errs[0] = secretOf(o, "access_token")
	l.Refresh, errs[1] = secretOf(o, "refresh_token")
	l.ID, errs[2] = secretOf(o, "id_token")
	l.Account, errs[3] = o.Text("account_id")
	provenance, err := o.Object("oauth_provenance")
	errs[4] = err
	if provenance != nil {
		l.Claim, errs[5] = claimOf(provenance, "issuer", "client_id", "")
	}
	return l, errors.Join(errs[:]...)
}

// claimOf reads a claim from the members of these names.
func claimOf(o object.JSON, issuer, client, token string) (Claim, error) {
	s, err := o.Texts(issuer, client, token)
	if err != nil {
		return Claim{}, err
	}
	return Claim{s[0], s[1], s[2]}, nil
}

// strip of an OAuth login leaves what Codex calls tokens from outside: it never renews or revokes
// those, and reads the file again when they are refused. It needs last_refresh,
// an id token, and an empty refresh token rather than none.
func (codexForm) strip(top object.JSON, l Login, _ bool) object.JSON {
	if l.Kind != sink.KindOAuth {
		return codexWithout(top, l.Name)
	}
	tokens, _ := top.Object("tokens")
	tokens = tokens.Set("refresh_token", object.Quote(""))
	if l.ID.Empty() {
		tokens = tokens.Set("id_token", object.Quote(l.Access.Reveal()))
	}
	top = top.Set("auth_mode", object.Quote("chatgptAuthTokens")).Set("tokens", tokens.Encode())
	if top.Raw("last_refresh") == nil {
		top = top.Set("last_refresh", object.Quote(time.Now().UTC().Format(time.RFC3339Nano)))
	}
	return top
}

// codexWithout takes a static secret out. Where nothing else is left the file
// goes, as with codex logout: one without a login counts as a ChatGPT login.
func codexWithout(top object.JSON, name string) object.JSON {
	top = top.Set(name, []byte("null"))
	if mode, _ := top.Text("auth_mode"); mode == "apikey" {
		top = top.Without("auth_mode")
	}
	for _, m := range top {
		if m.Name != "auth_mode" && m.Name != "last_refresh" && string(m.Value) != "null" {
			return top
		}
	}
	return nil
}
