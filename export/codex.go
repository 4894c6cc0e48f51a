package export

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/keytray/keytray/secret"
)

// codexAuth is Codex's auth.json. Package client knows how Codex writes it and
// takes logins out of it; this is a whole new one.
type codexAuth struct {
	Mode        string       `json:"auth_mode,omitempty"`
	Key         *string      `json:"OPENAI_API_KEY"`
	Personal    string       `json:"personal_access_token,omitempty"`
	Tokens      *codexTokens `json:"tokens,omitempty"`
	LastRefresh string       `json:"last_refresh,omitempty"`
}

// codexTokens has an empty refresh token: without one Codex cannot read the file.
type codexTokens struct {
	ID      string `json:"id_token"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Account string `json:"account_id,omitempty"`
}

// codexPersonal is how a personal access token of Codex begins.
const codexPersonal = "at-"

// codex is Codex's auth.json. Tokens from outside, as it calls them, it neither
// renews nor revokes, and reads again when they are refused. The ID token must
// be a JWT, as Codex itself makes one of the access token; without last_refresh
// it would send requests without a token.
func codex(it Item) ([]byte, error) {
	token := it.Access.Reveal()
	switch {
	case it.Kind == APIKey:
		return encode(codexAuth{Mode: "apikey", Key: &token}, "  ")
	case it.Kind == Token && strings.HasPrefix(token, codexPersonal):
		return encode(codexAuth{Personal: token}, "  ")
	case !isJWT(it.Access):
		return nil, unfit("Codex takes an access token only if it is a JWT")
	}
	return encode(codexAuth{
		Mode:        "chatgptAuthTokens",
		Tokens:      &codexTokens{ID: token, Access: token, Account: it.Account},
		LastRefresh: it.Issued.UTC().Format(time.RFC3339),
	}, "  ")
}

// isJWT reports whether t can be read as one; nobody looks at its signature.
func isJWT(t secret.Text) bool {
	parts := strings.Split(t.Reveal(), ".")
	if len(parts) != 3 {
		return false
	}
	for _, part := range parts[:2] {
		b, err := base64.RawURLEncoding.DecodeString(part)
		var object map[string]json.RawMessage
		if err != nil || json.Unmarshal(b, &object) != nil || object == nil {
			return false
		}
	}
	return true
}
