package export

import (
	"cmp"
	"regexp"
	"strings"
	"sync"
)

// entry is a login in the auth.json of opencode and pi, by provider. Opencode
// wants a refresh token that is text, pi takes an access token as a key.
type entry struct {
	Type    string  `json:"type"`
	Key     string  `json:"key,omitempty"`
	Refresh *string `json:"refresh,omitempty"`
	Access  string  `json:"access,omitempty"`
	Expires int64   `json:"expires,omitempty"`
	Account string  `json:"accountId,omitempty"`
}

// opencodeNames are those that are not the same as ours.
var opencodeNames = map[string]string{"openai-codex": "openai"}

// opencode is opencode's auth.json, and what its OPENCODE_AUTH_CONTENT holds.
func opencode(it Item) ([]byte, error) {
	e := entry{Type: "api", Key: it.Access.Reveal()}
	if it.Kind == OAuth {
		e = entry{Type: "oauth", Refresh: new(""), Access: it.Access.Reveal(), Expires: millis(it), Account: it.Account}
	}
	return encode(map[string]entry{cmp.Or(opencodeNames[it.Provider.ID], it.Provider.ID): e}, "  ")
}

// piVariable is a key that pi takes for the name of a variable.
var piVariable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) })

// pi is pi's auth.json. It takes the account of a ChatGPT login from the access
// token, and would run a key that begins with an exclamation mark.
func pi(it Item) ([]byte, error) {
	key := it.Access.Reveal()
	if strings.HasPrefix(key, "!") || piVariable().MatchString(key) {
		return nil, unfit("pi would take the token for a command or a variable")
	}
	return encode(map[string]entry{it.Provider.ID: {Type: "api_key", Key: key}}, "  ")
}
