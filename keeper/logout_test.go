package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// TestALogoutEndsTheLoginOnBothSides whatever the provider does, and says what it
// did.
func TestALogoutEndsTheLoginOnBothSides(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault *oauthtest.Fault
		local bool
		want  keeper.Farewell
		told  int
	}{
		{"told", nil, false, keeper.Told, 1},
		{"local", nil, true, keeper.Local, 0},
		{"refused", &oauthtest.Fault{At: "/revoke", Status: 503, RetryAfter: "3600"}, false, keeper.Unheard, 0},
		{"the answer got lost", &oauthtest.Fault{At: "/revoke", Commit: true, Reset: true}, false, keeper.Unheard, 1},
		{"a redirect", &oauthtest.Fault{At: "/revoke", Status: 307}, false, keeper.Unheard, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, oauthtest.Options{})
			p := d.login("alice")
			if tt.fault != nil {
				d.server.Fail(*tt.fault)
			}
			f, why, err := d.keeper().Logout(t.Context(), p.Ref, tt.local)
			if err != nil || f != tt.want || (why != nil) != (f == keeper.Unheard) {
				t.Errorf("farewell %s (%v), %v; want %s", f, why, err, tt.want)
			}
			if n := d.server.Stats().Revoked; n != tt.told {
				t.Errorf("the server was told %d times, want %d", n, tt.told)
			}
			for name := range d.keychain.Items() {
				if strings.Contains(name, ".slot.") || strings.Contains(name, ".at.") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestALogoutGoesToThePinnedEndpoint: the provider's entry may have changed since.
func TestALogoutGoesToThePinnedEndpoint(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	thief := newDesk(t, oauthtest.Options{})
	entry := d.server.Provider()
	entry.OAuth.RevocationEndpoint = thief.server.Provider().OAuth.RevocationEndpoint
	f, why, err := d.keeperOf(provider.Catalog{entry}).Logout(t.Context(), p.Ref, false)
	if err != nil || f != keeper.Told || d.server.Stats().Revoked != 1 {
		t.Errorf("farewell %s (%v), %v and told %d times; want it to be told where the login was made", f, why, err, d.server.Stats().Revoked)
	}
}

// TestASignOutThatDiedIsToldOnceMore: by whoever comes next, and not a third time.
func TestASignOutThatDiedIsToldOnceMore(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	d.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "delete" {
			return sinktest.NotApplied
		}
		return sinktest.None
	})
	for i, told := range []int{1, 2, 2} {
		k := d.keeper()
		k.Store.Revoke = k.Forsake
		if _, _, err := k.Logout(t.Context(), p.Ref, false); !errors.Is(err, sinktest.ErrDown) {
			t.Fatalf("try %d: %v, want the keychain's error", i, err)
		}
		if n := d.server.Stats().Revoked; n != told {
			t.Errorf("after %d tries the server was told %d times, want %d", i+1, n, told)
		}
	}
	d.keychain.SetFault(nil)
	k := d.keeper()
	k.Store.Revoke = k.Forsake
	if _, err := k.Refresh(t.Context(), p); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("whoever comes next: %v, want no such login", err)
	}
	if n := d.server.Stats(); n.Revoked != 2 || n.Refreshes != 0 {
		t.Errorf("in the end the server saw %+v", n)
	}
}

// TestALogoutIsNotGivenUpHalfWay when its caller leaves while the server is told.
func TestALogoutIsNotGivenUpHalfWay(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	d.server.Fail(oauthtest.Fault{At: "/revoke", Delay: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	if f, why, err := d.keeper().Logout(ctx, p.Ref, false); err != nil || f != keeper.Told {
		t.Errorf("farewell %s (%v), %v; want it told", f, why, err)
	}
	if _, err := d.keeper().Store.Profile(p.Ref); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("the profile after the sign-out: %v, want none", err)
	}
}
