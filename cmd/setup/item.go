package setup

import (
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
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
		Profile: t.Profile.ID, Provider: p, Kind: kind(p, t.Profile),
		Account: who.ID, Email: who.Email, Plan: who.Plan,
		Access: t.Access, Issued: issued, Expires: t.Expires,
	}
}

// kind is what a login is made of, for a program that is handed its token. What is
// lent is a token here. One that ends, at a provider that signs in by OAuth, comes from
// such a login, which programs want to know, unless it has no account: somebody pasted
// it there.
func kind(of provider.Provider, p sink.Profile) export.Kind {
	lent := p.Lender != "" && p.Kind == sink.KindToken
	if known := p.Account.ID != "" || p.Account.Email != ""; lent && known && of.OAuth != nil && !p.Expires.IsZero() {
		return export.OAuth
	}
	return export.Kind(p.Kind)
}
