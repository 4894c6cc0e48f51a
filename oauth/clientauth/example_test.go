package clientauth_test

import (
	"fmt"
	"net/url"

	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
)

func ExampleAdd() {
	p := provider.OAuth{ClientID: "tray", TokenEndpoint: "https://login.acme.example/token", ClientAuth: provider.SecretBasic}
	form := url.Values{"grant_type": {"refresh_token"}}
	header, err := clientauth.Add(p, form, secret.New("s3cret"))
	fmt.Println(header, form.Encode(), err)
	// Output: Basic dHJheTpzM2NyZXQ= grant_type=refresh_token <nil>
}
