package export

import "github.com/keytray/keytray/secret"

// gemini is what Gemini CLI reads of its environment: a key, or the access token
// of a Google login, which it does not renew. A selectedType in its settings
// beats either.
func gemini(it Item) ([]Var, error) {
	if it.Kind == APIKey {
		return []Var{{"GEMINI_API_KEY", it.Access}}, nil
	}
	return []Var{
		{"GOOGLE_GENAI_USE_GCA", secret.New("true")},
		{"GOOGLE_CLOUD_ACCESS_TOKEN", it.Access},
	}, nil
}

// geminiFile is Gemini CLI's oauth_creds.json without a refresh token.
func geminiFile(it Item) ([]byte, error) {
	if it.Kind == APIKey {
		return nil, unfit("Gemini CLI's file has no API keys")
	}
	return encode(struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Expiry int64  `json:"expiry_date,omitempty"`
	}{it.Access.Reveal(), "Bearer", millis(it)}, "  ")
}

// millis is when the token ends, in milliseconds since 1970; 0 when nobody knows.
func millis(it Item) int64 {
	if it.Expires.IsZero() {
		return 0
	}
	return it.Expires.UnixMilli()
}
