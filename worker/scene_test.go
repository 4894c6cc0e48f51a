package worker_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// desk is a person's machine: a keychain, a folder, and an authorization server
// on a real socket.
type desk struct {
	t        *testing.T
	server   *oauthtest.Server
	keychain *sinktest.Keychain
	base     string
}

func newDesk(t *testing.T, opts oauthtest.Options) *desk {
	t.Helper()
	s := oauthtest.New(opts)
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &desk{t, s, &sinktest.Keychain{}, t.TempDir()}
}

// keeper is that of a new process, which knows all providers.
func (d *desk) keeper() *keeper.Keeper {
	catalog := append(provider.Builtin(), d.server.Provider())
	slices.SortFunc(catalog, func(a, b provider.Provider) int { return strings.Compare(a.ID, b.ID) })
	return &keeper.Keeper{
		Store:     sink.Open(filepath.Join(d.base, "root"), filepath.Join(d.base, "place"), d.keychain),
		Client:    &oauth.Client{},
		Providers: catalog,
		Log:       slog.New(slog.DiscardHandler),
	}
}

// login is a login that is there before a worker is asked for anything.
func (d *desk) login(user string) sink.Profile {
	d.t.Helper()
	p, err := d.keeper().Login(d.t.Context(), keeper.LoginRequest{
		Agent: "main", Provider: d.server.Provider().ID,
		Show: func(url string, _ error) error {
			go func() { _, _ = oauthtest.Browser{User: user}.Open(d.t.Context(), url) }() // Login tells
			return nil
		},
	})
	if err != nil {
		d.t.Fatalf("login: %v", err)
	}
	return p
}

func (d *desk) profile(ref sink.Ref) sink.Profile {
	d.t.Helper()
	p, err := d.keeper().Store.Profile(ref)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// redirect is where the server would send a browser, which stays.
func redirect(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Error(err)
		return ""
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Errorf("authorization: %v", err)
		return ""
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location")
}
