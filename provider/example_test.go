package provider_test

import (
	"fmt"

	"github.com/keytray/keytray/provider"
)

func ExampleRead() {
	p, err := provider.Read("acme.json", []byte(`{
		"id": "acme", "name": "Acme", // comments are allowed
		"api_key": {"page": "https://acme.example/keys", "prefix": "ak-", "env": "ACME_API_KEY"}
	}`), provider.Builtin())
	fmt.Println(p.Name, p.Ways(), err)

	_, err = provider.Read("acme.json", []byte(`{"id": "acme", "name": "Acme", "api_key": {"colour": "red"}}`), nil)
	fmt.Println(err)
	// Output:
	// Acme [api-key] <nil>
	// acme.json:1: api_key.colour: is not a member that is known here
}
