package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// schemaVersion changes when a member of the JSON form changes its meaning.
const schemaVersion = 1

// asJSON is one object on one line: schemaVersion, profile, provider, tokenType,
// accessToken and, where known, expiresAt (RFC 3339, UTC).
func asJSON(it Item) ([]byte, error) {
	return encode(struct {
		SchemaVersion int    `json:"schemaVersion"`
		Profile       string `json:"profile"`
		Provider      string `json:"provider"`
		TokenType     string `json:"tokenType"`
		AccessToken   string `json:"accessToken"`
		ExpiresAt     string `json:"expiresAt,omitempty"`
	}{schemaVersion, it.Profile, it.Provider.ID, "Bearer", it.Access.Reveal(), stamp(it.Expires, time.RFC3339)}, "")
}

// encode writes v as other programs do: <, > and & as they are.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return b.Bytes(), nil
}

func stamp(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}
