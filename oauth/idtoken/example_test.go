package idtoken_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/keytray/keytray/oauth/idtoken"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

// A token that nobody signed is never taken.
func ExampleVerify() {
	p := provider.OAuth{Issuer: "https://login.acme.example", ClientID: "keytray", JWKSURI: "https://login.acme.example/jwks"}
	unsigned := secret.New("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmFjbWUuZXhhbXBsZSJ9.")
	err := idtoken.Verify(context.Background(), wire.Client{}, p, idtoken.Issued{ID: unsigned})
	fmt.Println(errors.Is(err, idtoken.ErrInvalid))
	// Output: true
}
