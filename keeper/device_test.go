package keeper_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink/sinktest"
)

// handler is a server without a socket, for fake time.
type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// newQuietDesk is one whose server has no socket.
func newQuietDesk(t *testing.T) (*desk, *keeper.Keeper) {
	t.Helper()
	s := oauthtest.New(oauthtest.Options{Device: true})
	s.URL = "http://127.0.0.1:9"
	d := newDeskAt(t, s)
	k := d.keeper()
	k.Client = &oauth.Client{Transport: handler{s}}
	return d, k
}

// codeRequest is a sign-in of somebody who enters the code a minute later; the
// empty user says no.
func (d *desk) codeRequest(user string) keeper.LoginRequest {
	return keeper.LoginRequest{
		Agent: "main", Provider: d.server.Provider().ID,
		Code: func(c oauth.DeviceCode) error {
			time.AfterFunc(time.Minute, func() { _ = d.server.Decide(c.UserCode, user) })
			return nil
		},
	}
}

func TestALoginWithACodeIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, k := newQuietDesk(t)
		p, err := k.Login(t.Context(), d.codeRequest("alice"))
		if err != nil || p.Account.ID != "acct-alice" {
			t.Fatalf("%+v, %v", p.Account, err)
		}
		tok, err := d.keeper().Token(t.Context(), p, 0)
		if err != nil || !d.server.Valid(tok.Access.Reveal()) {
			t.Errorf("the token does not work: %v", err)
		}
		if again, err := k.Login(t.Context(), d.codeRequest("alice")); err != nil || again.ID != p.ID || again.Generation != 2 {
			t.Errorf("signing in again: %s, generation %d, %v", again.ID, again.Generation, err)
		}
	})
}

func TestALoginWithACodeIsRefusedOrGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, k := newQuietDesk(t)
		_, err := k.Login(t.Context(), d.codeRequest(""))
		if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != "access_denied" {
			t.Errorf("refused: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := k.Login(ctx, d.codeRequest("alice")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		no := errors.New("no screen")
		r := d.codeRequest("alice")
		r.Code = func(oauth.DeviceCode) error { return no }
		if _, err := k.Login(t.Context(), r); !errors.Is(err, no) {
			t.Errorf("nobody was shown the code: %v", err)
		}
		if s := d.server.Stats(); s.Logins != 0 {
			t.Errorf("%d logins", s.Logins)
		}
	})
}

// TestNoCodeBeforeTheKeychainCanSave: a code is of no use where nothing can be
// kept.
func TestNoCodeBeforeTheKeychainCanSave(t *testing.T) {
	t.Parallel()
	d, k := newQuietDesk(t)
	d.keychain.SetFault(func(sinktest.Op) sinktest.Fault { return sinktest.NotApplied })
	r := d.codeRequest("alice")
	r.Code = func(oauth.DeviceCode) error { t.Error("a code was shown"); return nil }
	if _, err := k.Login(t.Context(), r); !errors.Is(err, sinktest.ErrDown) {
		t.Errorf("err = %v", err)
	}
}

func TestWaysThatAProviderHasNot(t *testing.T) {
	t.Parallel()
	browserOnly, codeOnly := oauthtest.New(oauthtest.Options{}), oauthtest.New(oauthtest.Options{Device: true})
	browserOnly.URL, codeOnly.URL = "http://127.0.0.1:9", "http://127.0.0.1:9"
	p := codeOnly.Provider()
	p.OAuth.AuthorizationEndpoint = ""
	show := func(string, error) error { t.Error("a page was shown"); return nil }
	code := func(oauth.DeviceCode) error { t.Error("a code was shown"); return nil }
	for _, tt := range []struct {
		p    provider.Provider
		r    keeper.LoginRequest
		want error
	}{
		{browserOnly.Provider(), keeper.LoginRequest{Code: code}, keeper.ErrNoDeviceLogin},
		{p, keeper.LoginRequest{Show: show}, keeper.ErrNoBrowserLogin},
	} {
		d := newDeskAt(t, browserOnly)
		tt.r.Agent, tt.r.Provider = "main", tt.p.ID
		if _, err := d.keeperOf(provider.Catalog{tt.p}).Login(t.Context(), tt.r); !errors.Is(err, tt.want) {
			t.Errorf("err = %v, want %v", err, tt.want)
		}
	}
}

// TestTheFirstWayWins: a person far from a browser here is offered both.
func TestTheFirstWayWins(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("polls a real server")
	}
	idle := func(string, error) error { return nil }
	t.Run("code", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, oauthtest.Options{Device: true})
		r := d.request("")
		r.Show = idle
		r.Code = func(c oauth.DeviceCode) error { return d.server.Decide(c.UserCode, "alice") }
		if p, err := d.keeper().Login(t.Context(), r); err != nil || p.Account.ID != "acct-alice" {
			t.Errorf("%+v, %v", p.Account, err)
		}
	})
	t.Run("page", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, oauthtest.Options{Device: true})
		r := d.request("bob")
		r.Code = func(oauth.DeviceCode) error { return nil }
		if p, err := d.keeper().Login(t.Context(), r); err != nil || p.Account.ID != "acct-bob" {
			t.Errorf("%+v, %v", p.Account, err)
		}
	})
	t.Run("no", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, oauthtest.Options{Device: true})
		r := d.request("")
		r.Show = idle
		r.Code = func(c oauth.DeviceCode) error { return d.server.Decide(c.UserCode, "") }
		_, err := d.keeper().Login(t.Context(), r)
		if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != "access_denied" {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("code not to be had", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, oauthtest.Options{})
		p := d.server.Provider()
		p.OAuth.DeviceAuthorizationEndpoint = d.server.URL + "/nowhere"
		r := d.request("bob")
		r.Code = func(oauth.DeviceCode) error { t.Error("a code was shown"); return nil }
		var refused []error
		r.Refused = func(err error) { refused = append(refused, err) }
		if p, err := d.keeperOf(provider.Catalog{p}).Login(t.Context(), r); err != nil || p.Account.ID != "acct-bob" || len(refused) != 1 {
			t.Errorf("%+v, %v, refused %v", p.Account, err, refused)
		}
	})
	t.Run("expired code", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, oauthtest.Options{Device: true})
		d.server.Fail(oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
		r, show := d.request("bob"), d.request("bob").Show
		var page string
		r.Show = func(url string, _ error) error { page = url; return nil }
		r.Code = func(oauth.DeviceCode) error { return nil }
		r.Refused = func(error) { _ = show(page, nil) } // only now they turn to the browser
		if p, err := d.keeper().Login(t.Context(), r); err != nil || p.Account.ID != "acct-bob" {
			t.Errorf("%+v, %v", p.Account, err)
		}
	})
}
