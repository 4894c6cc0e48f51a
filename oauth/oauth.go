// Package oauth speaks to authorization servers: the authorization code flow
// with PKCE over a loopback redirect (RFC 8252, RFC 7636), the device flow (RFC
// 8628), the refresh of tokens (RFC 6749 §6) and their revocation (RFC 7009). It
// holds no state between calls, stores nothing, opens no browser and never logs.
//
// # What an error says
//
// Every refusal and every failure on the way is an [*Error], whose [Class]
// tells what became of the token that was sent. Errors hold no token, code,
// state, response body or URL query.
//
// # What a response may still be worth
//
// A refresh token is taken out of a response before anything else in it is
// looked at: the server has already spent the old one. So [Client.Refresh],
// [Login.Wait] and [Device.Wait] may return an error together with a [Token]
// whose Refresh is set. A caller of the first saves it before it looks at the
// error; a sign-in that failed is nobody's login yet, and is begun anew.
package oauth

import (
	"time"

	"github.com/keytray/keytray/secret"
)

// Token is what the token endpoint issued.
type Token struct {
	// Access is empty after a sign-in whose first exchange ([provider.Exchange]) did
	// not come about: Refresh tries it again.
	Access secret.Text
	// Refresh is empty where the server did not issue one: at a refresh the one
	// that was sent stays good (RFC 6749 §6).
	Refresh secret.Text
	ID      secret.Text
	// Type is "Bearer", however the server spelled it.
	Type string
	// Expiry is counted from before the request was sent; zero means unknown.
	// It is never more than 90 days ahead.
	Expiry time.Time
	// Scope is what was granted; empty at a refresh means as before.
	Scope   string
	Account Account
	// StateUnverified says that the code was pasted without its state, so that
	// PKCE alone ties it to this login.
	StateUnverified bool
}

// Account is who signed in, as the token says it; unverified, for display and
// for telling two accounts of one provider apart.
type Account struct{ ID, Email, Plan string }
