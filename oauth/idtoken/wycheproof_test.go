package idtoken

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytray/keytray/provider"
)

// vectors is a file of Wycheproof, as far as it matters here.
type vectors struct {
	TestGroups []struct {
		Comment string
		Public  json.RawMessage
		Private json.RawMessage
		Tests   []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     string
			Result  string
		}
	}
}

// TestWycheproof runs Project Wycheproof's vectors for signatures and keys: what
// they call invalid is refused, and what they call valid is taken if it is signed
// by an algorithm that we know. A key with the ROCA weakness is not told from
// another: who publishes one has lost already.
func TestWycheproof(t *testing.T) {
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "wycheproof", name))
		if err != nil {
			t.Fatal(err)
		}
		var v vectors
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		taken, refused := 0, 0
		for _, g := range v.TestGroups {
			keys := publicKeys(t, g.Public, g.Private)
			if g.Comment == "jws_rsa_roca_key" {
				continue
			}
			for _, tt := range g.Tests {
				_, err := keys.VerifySignature(t.Context(), tt.JWS)
				want := tt.Result == "valid" && slices.Contains(provider.Algorithms(), algorithm(tt.JWS))
				if (err == nil) != want {
					t.Errorf("%s, %s %d (%s): %v, want taken: %t", name, g.Comment, tt.ID, tt.Comment, err, want)
				}
				if want {
					taken++
				} else {
					refused++
				}
			}
		}
		if taken == 0 || refused == 0 {
			t.Errorf("%s: %d to be taken, %d to be refused; nothing was tested", name, taken, refused)
		}
		t.Logf("%s: %d taken, %d refused", name, taken, refused)
	}
}

// publicKeys are the keys of a group as a server would publish them.
func publicKeys(t *testing.T, public, private json.RawMessage) keySet {
	t.Helper()
	raw := public
	if raw == nil {
		raw = private
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{raw}
	}
	for i, b := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(b) == nil && !k.IsPublic() && k.Public().Key != nil {
			set.Keys[i], _ = k.Public().MarshalJSON()
		}
	}
	b, err := json.Marshal(map[string]any{"keys": set.Keys})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseKeys(b)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func algorithm(jws string) string {
	head, _, _ := strings.Cut(jws, ".")
	b, _ := base64.RawURLEncoding.DecodeString(head) // not every vector has one
	var h struct{ Alg string }
	_ = json.Unmarshal(b, &h)
	return h.Alg
}
