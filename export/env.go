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

// lines are those that a POSIX shell evaluates.
func lines(it Item, vars func(Item) ([]Var, error)) ([]byte, error) {
	all, err := vars(it)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, v := range all {
		b.WriteString("export " + v.Name + "=" + quote(v.Value.Reveal()) + "\n")
	}
	return []byte(b.String()), nil
}

// catalogued is the variable that the catalog names for such a secret, if any.
func catalogued(it Item) string {
	p := it.Provider
	switch {
	case it.Kind == APIKey:
		return envOf(p.APIKey)
	case isSetupToken(p, it.Access): // also one that a browser login brought
		return p.SetupToken.Env
	case it.Kind == OAuth && p.OAuth != nil:
		return p.OAuth.Env
	case it.Kind == Token:
		return envOf(p.Token)
	}
	return ""
}

func envOf(s *provider.Static) string {
	if s == nil {
		return ""
	}
	return s.Env
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

// quote makes one word of s in any POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
