package setup

import (
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/provider"
)

// Item is what the formats want to know of a token.
func Item(k *keeper.Keeper, t keeper.Token) export.Item {
	p, ok := k.Providers.Find(t.Profile.Provider)
	if !ok {
		p = provider.Provider{ID: t.Profile.Provider}
	}
	issued := t.Profile.Minted.Wall
	if issued.IsZero() {
		issued = time.Now() // by now it is there
	}
	who := t.Profile.Account
	return export.Item{
		Profile: t.Profile.ID, Provider: p, Kind: export.Kind(t.Profile.Kind),
		Account: who.ID, Email: who.Email, Plan: who.Plan,
		Access: t.Access, Issued: issued, Expires: t.Expires,
	}
}
