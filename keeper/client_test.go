package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// confidential is a desk whose server wants a secret of the client, and a login
// request of a person who answers so when asked for it.
func confidential(t *testing.T, answer string) (d *desk, r keeper.LoginRequest, asked *int) {
	t.Helper()
	d = newDesk(t, oauthtest.Options{ClientSecret: "s3cret & more", Lifetime: time.Hour})
	asked = new(int)
	r = d.request("alice")
	r.ClientKey = func(context.Context) (secret.Text, error) {
		*asked++
		return secret.New(answer), nil
	}
	return d, r, asked
}

func TestAClientsSecretIsAskedForOnce(t *testing.T) {
	d, r, asked := confidential(t, "s3cret & more\n")
	p, err := d.keeper().Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.keeper().Refresh(t.Context(), p); err != nil {
		t.Fatalf("renewing: %v", err)
	}
	if _, err := d.keeper().Login(t.Context(), r); err != nil || *asked != 1 {
		t.Errorf("second sign-in: %v; asked %d times, want 1", err, *asked)
	}
	r.NewClientKey = true
	if _, err := d.keeper().Login(t.Context(), r); err != nil || *asked != 2 {
		t.Errorf("with a new secret: %v; asked %d times, want 2", err, *asked)
	}
}

func TestAWrongSecretIsNotKept(t *testing.T) {
	d, r, asked := confidential(t, "wrong")
	for range 2 {
		_, err := d.keeper().Login(t.Context(), r)
		if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != "invalid_client" {
			t.Fatalf("err = %v, want invalid_client", err)
		}
	}
	if *asked != 2 {
		t.Errorf("asked %d times, want 2", *asked)
	}
}

func TestWhatCannotBeASecretIsRefused(t *testing.T) {
	for answer, want := range map[string]error{"": clientauth.ErrMissing, " \n": clientauth.ErrMissing, "a\x00b": clientauth.ErrSecret} {
		d, r, _ := confidential(t, answer)
		if _, err := d.keeper().Login(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
	}
	d, r, _ := confidential(t, "")
	r.ClientKey = nil
	if _, err := d.keeper().Login(t.Context(), r); !errors.Is(err, sink.ErrNoClientKey) {
		t.Errorf("nobody to ask: %v, want ErrNoClientKey", err)
	}
}

// TestASharedSecretStays as long as another provider has the same client.
func TestASharedSecretStays(t *testing.T) {
	d, r, _ := confidential(t, "s3cret & more")
	p, err := d.keeper().Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	entry := d.server.Provider()
	twin := entry
	twin.ID = "twin"
	if err := d.keeperOf(provider.Catalog{entry, twin}).ForgetClient(t.Context(), twin); err != nil {
		t.Fatal(err)
	}
	if _, err := d.keeper().Refresh(t.Context(), p); err != nil {
		t.Errorf("renewing after its twin was forgotten: %v", err)
	}
	if err := d.keeper().ForgetClient(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	if _, err := d.keeper().Refresh(t.Context(), d.profile(p.Ref)); !errors.Is(err, sink.ErrNoClientKey) {
		t.Errorf("renewing after it was forgotten: %v, want ErrNoClientKey", err)
	}
}

// TestALostSecretSpendsNothing: without it the refresh token stays where it is.
func TestALostSecretSpendsNothing(t *testing.T) {
	d, r, _ := confidential(t, "s3cret & more")
	p, err := d.keeper().Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	o := d.server.Provider().OAuth
	pin := sink.Pin{Issuer: o.Issuer, Client: o.ClientID, TokenEndpoint: o.TokenEndpoint}
	if err := d.keeper().Store.DropClientKey(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	if _, err := d.keeper().Refresh(t.Context(), p); !errors.Is(err, sink.ErrNoClientKey) {
		t.Errorf("renewing without it: %v, want ErrNoClientKey", err)
	}
	if n := d.server.Stats().Refreshes; n != 0 {
		t.Errorf("the server saw %d refreshes", n)
	}
	if _, err := d.keeper().Login(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := d.keeper().Refresh(t.Context(), d.profile(p.Ref)); err != nil {
		t.Errorf("renewing with it: %v", err)
	}
}

// TestAnotherIssuerIsAnotherAccount: the same id from another server is somebody
// else, and gets a profile of their own.
func TestAnotherIssuerIsAnotherAccount(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	first := d.login("alice")
	other := newDesk(t, oauthtest.Options{})
	other.dir, other.place, other.keychain = d.dir, d.place, d.keychain
	p := other.server.Provider()
	second, err := other.keeperOf(provider.Catalog{p}).Login(t.Context(), other.request("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if first.ID == second.ID || first.Account != second.Account {
		t.Errorf("profiles %q and %q of accounts %v and %v", first.ID, second.ID, first.Account, second.Account)
	}
	if _, err := d.keeper().Refresh(t.Context(), d.profile(first.Ref)); err != nil {
		t.Errorf("the first login: %v", err)
	}
}

// TestATradedLoginStaysWhereItWasMade: what renews it is not sent to an exchange
// that the provider's entry names later.
func TestATradedLoginStaysWhereItWasMade(t *testing.T) {
	trades := 0
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		trades++
		_, _ = fmt.Fprintf(w, `{"token":"short-%d","expires_at":%d}`, trades, time.Now().Add(time.Hour).Unix())
	}))
	defer exchange.Close()
	d := newDesk(t, oauthtest.Options{})
	entry := d.server.Provider()
	entry.OAuth.Exchange = &provider.Exchange{Endpoint: exchange.URL + "/a", Token: "token", Expires: "expires_at"}
	k := d.keeperOf(provider.Catalog{entry})
	p, err := k.Login(t.Context(), d.request("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if tok, err := k.Token(t.Context(), p, 0); err != nil || tok.Access.Reveal() != "short-1" {
		t.Errorf("token %q, %v", tok.Access.Reveal(), err)
	}
	if tok, err := k.Refresh(t.Context(), p); err != nil || tok.Access.Reveal() != "short-2" {
		t.Errorf("renewed: %q, %v", tok.Access.Reveal(), err)
	}
	entry.OAuth.Exchange.Endpoint = exchange.URL + "/b"
	if _, err := d.keeperOf(provider.Catalog{entry}).Refresh(t.Context(), d.profile(p.Ref)); !errors.Is(err, keeper.ErrPinned) || trades != 2 {
		t.Errorf("another exchange: %v after %d trades, want ErrPinned after 2", err, trades)
	}
}

// TestASignInOutlivesAnExchangeThatFails for a moment: what the person waited for is
// kept, and traded as soon as that is possible. One that is refused is no login.
func TestASignInOutlivesAnExchangeThatFails(t *testing.T) {
	var answers []int
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		if len(answers) > 0 {
			status, answers = answers[0], answers[1:]
		}
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = fmt.Fprintf(w, `{"token":"short","expires_at":%d}`, time.Now().Add(time.Hour).Unix())
		}
	}))
	defer exchange.Close()
	for name, c := range map[string]struct {
		answers []int
		kept    bool
		later   bool // the token comes at the second attempt
	}{
		"once":         {answers: []int{503}, kept: true},
		"for a minute": {answers: []int{500, 502}, kept: true, later: true},
		"refused":      {answers: []int{401}},
		"no licence":   {answers: []int{403}},
	} {
		t.Run(name, func(t *testing.T) {
			answers = c.answers
			d := newDesk(t, oauthtest.Options{})
			entry := d.server.Provider()
			entry.OAuth.Exchange = &provider.Exchange{Endpoint: exchange.URL, Token: "token", Expires: "expires_at"}
			k := d.keeperOf(provider.Catalog{entry})
			p, err := k.Login(t.Context(), d.request("alice"))
			if (err == nil) != c.kept {
				t.Fatalf("login: %v", err)
			}
			if !c.kept {
				return
			}
			if got := d.profile(p.Ref); got.Generation == 0 || (p.Left(sink.Now()) > time.Minute) == c.later {
				t.Errorf("after the login: %+v", got)
			}
			k.Clock = func() sink.Moment { return sink.Moment{Wall: time.Now().Add(5 * time.Minute)} }
			if tok, err := k.Refresh(t.Context(), p); err != nil || tok.Access.Reveal() != "short" {
				t.Errorf("token %q, %v", tok.Access.Reveal(), err)
			}
		})
	}
}

// TestAClientsSecretIsForOneEndpoint: an entry that names another token endpoint
// does not get it.
func TestAClientsSecretIsForOneEndpoint(t *testing.T) {
	d, r, asked := confidential(t, "s3cret & more")
	if _, err := d.keeper().Login(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*provider.OAuth){
		func(o *provider.OAuth) { o.TokenEndpoint = d.server.URL + "/elsewhere" },
		func(o *provider.OAuth) { o.ClientID = "another" },
		func(o *provider.OAuth) { o.Issuer = d.server.URL + "/x" },
	} {
		*asked = 0
		entry := d.server.Provider()
		change(entry.OAuth)
		r.ClientKey = func(context.Context) (secret.Text, error) { *asked++; return secret.Text{}, nil }
		if _, err := d.keeperOf(provider.Catalog{entry}).Login(t.Context(), r); !errors.Is(err, clientauth.ErrMissing) || *asked != 1 {
			t.Errorf("%+v: %v, asked %d times, want 1", entry.OAuth, err, *asked)
		}
	}
}
