package export

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// schemaVersion changes when a member of the JSON form changes its meaning.
const schemaVersion = 1

// JSON is one object on one line: schemaVersion, profile, provider, tokenType,
// accessToken and, where known, expiresAt (RFC 3339, UTC).
func JSON(w io.Writer, it Item) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		SchemaVersion int    `json:"schemaVersion"`
		Profile       string `json:"profile"`
		Provider      string `json:"provider"`
		TokenType     string `json:"tokenType"`
		AccessToken   string `json:"accessToken"`
		ExpiresAt     string `json:"expiresAt,omitempty"`
	}{schemaVersion, it.Profile, it.Provider, "Bearer", it.Access.Reveal(), stamp(it.Expires)})
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
