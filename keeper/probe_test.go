package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// TestProbe asks where the entry says; userinfo serves for want of that, but not
// for a token that was traded for another.
func TestProbe(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	asked := func(change func(*provider.OAuth)) (oauth.Verdict, error) {
		entry := d.server.Provider()
		userinfo := entry.OAuth.Probe.Endpoint
		entry.OAuth.Probe, entry.OAuth.UserinfoEndpoint = nil, userinfo
		change(entry.OAuth)
		return d.keeperOf(provider.Catalog{entry}).Probe(t.Context(), p, time.Second)
	}
	if v, err := asked(func(*provider.OAuth) {}); v != oauth.Works {
		t.Errorf("by userinfo: %s (%v)", v, err)
	}
	if v, err := asked(func(o *provider.OAuth) { o.UserinfoEndpoint = "" }); v != oauth.Unknown || !errors.Is(err, keeper.ErrNoProbe) {
		t.Errorf("by nothing: %s (%v), want ErrNoProbe", v, err)
	}
	if v, err := asked(func(o *provider.OAuth) { o.Exchange = &provider.Exchange{} }); v != oauth.Unknown || !errors.Is(err, keeper.ErrNoProbe) {
		t.Errorf("for a token that was traded: %s (%v), want ErrNoProbe", v, err)
	}
	if n := d.server.Stats(); n.Asked != 1 || n.Refreshes != 0 {
		t.Errorf("the server saw %+v, want one question", n)
	}
}

// TestProbeOfALoginThatIsGone needs no request, and spends nothing.
func TestProbeOfALoginThatIsGone(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p, err := d.keeper().AddToken(t.Context(), sink.Ref{Agent: "main"}, sink.KindToken, "demo", secret.New("t"), time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	entry := d.server.Provider()
	entry.Token = &provider.Static{Probe: entry.OAuth.Probe}
	if v, err := d.keeperOf(provider.Catalog{entry}).Probe(t.Context(), p, time.Second); v != oauth.Unwanted {
		t.Errorf("verdict %s (%v), want auth", v, err)
	}
	if n := d.server.Stats(); n.Asked+n.Refused != 0 {
		t.Errorf("the server saw %+v, want nothing", n)
	}
}
