package export

import (
	"cmp"
	"strings"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// env is the variable in which programs look for a secret of that provider.
func env(it Item) ([]Var, error) {
	return []Var{{cmp.Or(catalogued(it), Variable(it.Provider.ID)), it.Access}}, nil
}

// keys is env for programs that know each provider's own variable and take
// nothing but keys: aider, llm, LiteLLM.
func keys(it Item) ([]Var, error) {
	switch {
	case it.Kind != APIKey:
		return nil, unfit("it is no API key")
	case catalogued(it) == "":
		return nil, unfit("no variable is known for keys of " + it.Provider.ID)
	}
	return env(it)
}

// catalogued is the variable that the catalog names for such a secret, if any.
func catalogued(it Item) string {
	if it.Kind == OAuth && it.Provider.OAuth != nil && it.Provider.OAuth.Env != "" {
		return it.Provider.OAuth.Env
	}
	return static(it).Env
}

// static is what the catalog says of such a secret. An access token may be one
// that the provider's own command would make, too.
func static(it Item) provider.Static {
	p := it.Provider
	s := map[Kind]*provider.Static{APIKey: p.APIKey, Token: p.Token}[it.Kind]
	if it.Kind != APIKey && isSetupToken(p, it.Access) {
		s = p.SetupToken
	}
	if s == nil {
		return provider.Static{}
	}
	return *s
}

// isSetupToken tells a provider's own kind of token from any other that was
// pasted.
func isSetupToken(p provider.Provider, t secret.Text) bool {
	return p.SetupToken != nil && strings.HasPrefix(t.Reveal(), p.SetupToken.Prefix)
}

// Variable is the name of the environment variable for a token of a provider
// whose entry names none: openai-codex gives OPENAI_CODEX_TOKEN.
func Variable(provider string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9'):
			return r
		default:
			return '_'
		}
	}, provider)
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		name = "_" + name
	}
	return name + "_TOKEN"
}
