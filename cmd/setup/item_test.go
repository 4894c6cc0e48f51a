package setup_test

import (
	"testing"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// TestALentTokenIsWhatItWasThere: of a login with OAuth, which has an account, or one
// that somebody had pasted.
func TestALentTokenIsWhatItWasThere(t *testing.T) {
	k := &keeper.Keeper{Providers: provider.Builtin()}
	for _, c := range []struct {
		name    string
		account sink.Account
		expires time.Time
		want    export.Kind
	}{
		{"a login's", sink.Account{ID: "acct-1"}, time.Now().Add(time.Hour), export.OAuth},
		{"a login's with an address only", sink.Account{Email: "ann@example.org"}, time.Now().Add(time.Hour), export.OAuth},
		{"a pasted one", sink.Account{}, time.Now().Add(30 * 24 * time.Hour), export.Token},
		{"one without an end", sink.Account{ID: "acct-1"}, time.Time{}, export.Token},
	} {
		p := sink.Profile{Provider: "openai-codex", Kind: sink.KindToken, Lender: "vm", Account: c.account, Life: sink.Life{Expires: c.expires}}
		if got := setup.Item(k, keeper.Token{Profile: p, Expires: c.expires}).Kind; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
