package discovery_test

import (
	"fmt"

	"github.com/keytray/keytray/oauth/discovery"
)

func ExampleRead() {
	m, err := discovery.Read([]byte(`{
		"issuer": "https://login.acme.example",
		"authorization_endpoint": "https://login.acme.example/authorize",
		"token_endpoint": "https://login.acme.example/token",
		"response_types_supported": ["code"],
		"code_challenge_methods_supported": ["S256"]
	}`), "https://login.acme.example")
	if err != nil {
		panic(err)
	}
	p, err := m.Provider("acme", "Acme", "keytray", false)
	fmt.Println(p.Ways(), p.OAuth.TokenEndpoint, err)
	// Output: [browser] https://login.acme.example/token <nil>
}
