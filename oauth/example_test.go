package oauth_test

import (
	"context"
	"fmt"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
)

// A sign-in, and a renewal. A refresh token that the answer has is saved before
// anything else is looked at.
func Example() {
	ctx := context.Background()
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(ctx, "127.0.0.1:0"); err != nil {
		panic(err)
	}
	defer server.Close()
	p := *server.Provider().OAuth

	client := &oauth.Client{}
	login, err := client.StartLogin(ctx, p)
	if err != nil {
		panic(err)
	}
	go oauthtest.Browser{User: "ada"}.Open(ctx, login.URL) // a person's browser
	token, err := login.Wait(ctx)
	login.Close(err)
	fmt.Println(token.Account.Email, err)

	next, err := client.Refresh(ctx, p, token.Refresh)
	fmt.Println("another refresh token:", !next.Refresh.Equal(token.Refresh), err)
	fmt.Println(next.Access)
	// Output:
	// ada@example.test <nil>
	// another refresh token: true <nil>
	// [redacted]
}
