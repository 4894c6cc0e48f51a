package export

// claude is Claude Code's .credentials.json, as on Linux and Windows. Without the
// key of a refresh token it uses the access token as it is, also when its time
// is over, and reads the file again when the token is refused.
func claude(it Item) ([]byte, error) {
	if it.Kind == APIKey {
		return nil, unfit("Claude Code's file has no API keys")
	}
	var expires *int64 // null when nobody knows
	if ms := millis(it); ms != 0 {
		expires = &ms
	}
	scopes := []string{"user:inference"} // all that a setup-token has
	if it.Kind == OAuth {
		scopes = append(scopes, "user:profile")
	}
	type login struct {
		Access  string   `json:"accessToken"`
		Expires *int64   `json:"expiresAt"`
		Scopes  []string `json:"scopes"`
		Plan    string   `json:"subscriptionType,omitempty"`
	}
	return encode(map[string]login{"claudeAiOauth": {it.Access.Reveal(), expires, scopes, it.Plan}}, "")
}
