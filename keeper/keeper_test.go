package keeper_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// desk is a person's machine: a keychain, a state root, and an authorization
// server on a real socket.
type desk struct {
	t        *testing.T
	server   *oauthtest.Server
	keychain *sinktest.Keychain
	dir      string
	place    string
}

func newDesk(t *testing.T, opts oauthtest.Options) *desk {
	t.Helper()
	s := oauthtest.New(opts)
	if err := s.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return newDeskAt(t, s)
}

// newDeskAt is another machine of the same server.
func newDeskAt(t *testing.T, s *oauthtest.Server) *desk {
	t.Helper()
	base := t.TempDir()
	return &desk{t, s, &sinktest.Keychain{}, filepath.Join(base, "root"), filepath.Join(base, "place")}
}

// keeper is a new process on the same machine.
func (d *desk) keeper() *keeper.Keeper {
	return d.keeperOf(provider.Catalog{d.server.Provider()})
}

func (d *desk) keeperOf(c provider.Catalog) *keeper.Keeper {
	return &keeper.Keeper{
		Store:     sink.Open(d.dir, d.place, d.keychain),
		Client:    &oauth.Client{},
		Providers: c,
		Log:       slog.New(slog.DiscardHandler),
	}
}

func (d *desk) request(user string) keeper.LoginRequest {
	return keeper.LoginRequest{
		Agent: "main", Provider: d.server.Provider().ID,
		Show: func(url string, _ error) error {
			go func() {
				_, err := oauthtest.Browser{User: user}.Open(d.t.Context(), url)
				if err != nil && d.t.Context().Err() == nil {
					d.t.Errorf("browser: %v", err)
				}
			}()
			return nil
		},
	}
}

func (d *desk) login(user string) sink.Profile {
	d.t.Helper()
	p, err := d.keeper().Login(d.t.Context(), d.request(user))
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

func TestALoginEndsInAWorkingToken(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	if p.Account.Email == "" || p.Account.ID == "" || !strings.HasPrefix(p.ID, p.Provider+":"+p.Account.Email) {
		t.Errorf("profile = %+v, want provider:email of a known account", p)
	}
	tok, err := d.keeper().Token(t.Context(), p, 0)
	if err != nil || tok.Access.Empty() || !tok.Expires.After(time.Now()) {
		t.Errorf("token = %+v, %v", tok, err)
	}
	if n := d.server.Stats().Refreshes; n != 0 {
		t.Errorf("a fresh token was renewed %d times", n)
	}
}

func TestOneRenewalServesAllWhoAsk(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: time.Second})
	p := d.login("alice")
	d.server.SetLifetime(time.Hour)
	time.Sleep(1100 * time.Millisecond) // the token is dead
	tokens := make([]string, 20)
	var wg sync.WaitGroup
	shared := d.keeper()
	for i := range tokens {
		k := shared // half in one process, half each in one of its own
		if i%2 == 0 {
			k = d.keeper()
		}
		wg.Go(func() {
			tok, err := k.Token(t.Context(), p, 0)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			tokens[i] = tok.Access.Reveal()
		})
	}
	wg.Wait()
	for i, tok := range tokens {
		if tok == "" || tok != tokens[0] {
			t.Errorf("caller %d got another token than caller 0", i)
		}
	}
	if st := d.server.Stats(); st.Refreshes != 1 || st.Reuses != 0 {
		t.Errorf("server saw %+v, want one refresh and no reuse", st)
	}
}

func TestRenewalsRotateAndNeverRepeat(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	for range 3 {
		if _, err := d.keeper().Refresh(t.Context(), d.profile(p.Ref)); err != nil {
			t.Fatal(err)
		}
	}
	if st := d.server.Stats(); st.Refreshes != 3 || st.Reuses != 0 {
		t.Errorf("server saw %+v, want 3 refreshes and no reuse", st)
	}
	if got := d.profile(p.Ref).Generation; got != 4 {
		t.Errorf("generation = %d, want 4", got)
	}
}

func TestSigningInAgainRenewsTheSameProfile(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	a, b := d.login("alice"), d.login("alice")
	if a.ID != b.ID || b.Generation != a.Generation+1 {
		t.Errorf("second login = %s generation %d, want %s generation %d", b.ID, b.Generation, a.ID, a.Generation+1)
	}
	if c := d.login("bob"); c.ID == a.ID {
		t.Errorf("bob's login took alice's profile %s", a.ID)
	}
}

func TestAnotherAccountIsRefusedUnderAGivenID(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	r := d.request("alice")
	r.ProfileID = "acme:work"
	if _, err := d.keeper().Login(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// The browser must be told that nothing was saved.
	pages := make(chan oauthtest.Page, 1)
	r.Show = func(url string, _ error) error {
		go func() {
			page, _ := oauthtest.Browser{User: "bob"}.Open(t.Context(), url)
			pages <- page
		}()
		return nil
	}
	if _, err := d.keeper().Login(t.Context(), r); !errors.Is(err, sink.ErrOtherAccount) {
		t.Errorf("bob under alice's id: %v, want ErrOtherAccount", err)
	}
	if page := <-pages; !strings.HasSuffix(page.URL, "/failed") {
		t.Errorf("the browser ended on %s, want /failed", page.URL)
	}
}

func TestALoginIsPasted(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Approve: "alice"})
	pasted := make(chan secret.Text, 1)
	refused := make(chan error, 8)
	r := d.request("alice")
	r.Pasted = pasted
	r.Refused = func(err error) { refused <- err }
	r.Show = func(url string, _ error) error {
		pasted <- secret.New("https://elsewhere.example/?code=x&state=y")
		go func() {
			if err := <-refused; err == nil {
				t.Error("an address from elsewhere was accepted")
			}
			pasted <- secret.New(redirect(t, url))
		}()
		return nil
	}
	if _, err := d.keeper().Login(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// redirect is where the server would send a browser, which stays.
func redirect(t *testing.T, url string) string {
	t.Helper()
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Get(url)
	if err != nil {
		t.Errorf("authorization: %v", err)
		return ""
	}
	defer resp.Body.Close()
	return resp.Header.Get("Location")
}

func TestNobodyIsAskedWhenTheKeychainCannotSave(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	d.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "set" {
			return sinktest.NotApplied
		}
		return sinktest.None
	})
	r := d.request("alice")
	r.Show = func(string, error) error { t.Error("the person was asked"); return nil }
	if _, err := d.keeper().Login(t.Context(), r); !errors.Is(err, sinktest.ErrDown) {
		t.Errorf("login = %v, want the keychain's error", err)
	}
}

func TestARevokedLoginAsksForASignInOnce(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: time.Second})
	p := d.login("alice")
	d.server.Fail(oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
	_, err := d.keeper().Refresh(t.Context(), p)
	required, ok := errors.AsType[*keeper.LoginRequiredError](err)
	if !ok || required.Reason != "invalid_grant" {
		t.Fatalf("refresh = %v, want a sign-in for invalid_grant", err)
	}
	before := d.server.Stats()
	if _, err := d.keeper().Refresh(t.Context(), d.profile(p.Ref)); !isLoginRequired(err) {
		t.Errorf("second try = %v, want the same", err)
	}
	if after := d.server.Stats(); after != before {
		t.Errorf("a dead token was sent again: %+v, then %+v", before, after)
	}
	d.server.SetLifetime(time.Hour)
	d.login("alice")
	if _, err := d.keeper().Token(t.Context(), d.profile(p.Ref), 0); err != nil {
		t.Errorf("after signing in again: %v", err)
	}
}

func isLoginRequired(err error) bool {
	_, ok := errors.AsType[*keeper.LoginRequiredError](err)
	return ok
}

// The server spent the token and the answer was lost, while the access token
// still works: nothing is risked for it.
func TestALostAnswerDoesNotEndAWorkingToken(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: 3 * time.Minute})
	p := d.login("alice")
	d.server.Fail(oauthtest.Fault{Commit: true, Reset: true})
	if _, err := d.keeper().Token(t.Context(), p, 175*time.Second); err != nil {
		t.Fatalf("a fresh token: %v", err)
	}
	if _, err := d.keeper().Refresh(t.Context(), p); !errors.Is(err, keeper.ErrLater) {
		t.Fatalf("refresh = %v, want ErrLater", err)
	}
	sent := d.server.Stats()
	tok, err := d.keeper().Token(t.Context(), d.profile(p.Ref), 0)
	if err != nil || tok.Access.Empty() {
		t.Errorf("the old token = %v, want it served", err)
	}
	if now := d.server.Stats(); now != sent {
		t.Errorf("the spent token was sent again: %+v, then %+v", sent, now)
	}
}

func TestAnOldTokenIsBetterThanNone(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: 4 * time.Second})
	p := d.login("alice")
	time.Sleep(2100 * time.Millisecond) // half of its life is over: it is due
	d.server.Fail(oauthtest.Fault{Status: 503}, oauthtest.Fault{Status: 503})
	if _, err := d.keeper().Token(t.Context(), p, 0); err != nil {
		t.Errorf("token while the server is down: %v, want the old one", err)
	}
	if _, err := d.keeper().Token(t.Context(), p, 3*time.Second); !errors.Is(err, keeper.ErrLater) {
		t.Errorf("a promise while the server is down: %v, want ErrLater", err)
	}
}

// Whoever renews was stopped in the middle of it: callers do not wait for it
// while the old token still works.
func TestAStoppedRenewalDoesNotKeepCallersWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for five seconds")
	}
	d := newDesk(t, oauthtest.Options{Lifetime: 20 * time.Second})
	p := d.login("alice")
	time.Sleep(10100 * time.Millisecond) // it is due
	d.server.Fail(oauthtest.Fault{Delay: 15 * time.Second})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = d.keeper().Token(t.Context(), p, 0) // gets its answer in the end
	}()
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	tok, err := d.keeper().Token(t.Context(), p, 0)
	if took := time.Since(began); err != nil || tok.Access.Empty() || took > 9*time.Second {
		t.Errorf("token = %v after %v, want the old one after about 5 s", err, took)
	}
	<-stopped
}

func TestAPromiseThatCannotBeKeptIsAnError(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: time.Minute})
	p := d.login("alice")
	_, err := d.keeper().Token(t.Context(), p, time.Hour)
	if !errors.Is(err, keeper.ErrShortLife) || !strings.Contains(err.Error(), "1m0s") {
		t.Errorf("an hour of a one-minute token: %v, want ErrShortLife with the real life", err)
	}
	if n := d.server.Stats().Refreshes; n != 0 {
		t.Errorf("a refresh token was spent on a promise that cannot be kept")
	}
}

func TestASignOutWinsOverALoginThatWaited(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	r := d.request("alice")
	show := r.Show
	r.Show = func(url string, why error) error { // while the browser is open
		if _, _, err := d.keeper().Logout(t.Context(), p.Ref, false); err != nil {
			t.Error(err)
		}
		return show(url, why)
	}
	if _, err := d.keeper().Login(t.Context(), r); !errors.Is(err, keeper.ErrSignedOut) {
		t.Errorf("login = %v, want ErrSignedOut", err)
	}
	if _, err := d.keeper().Store.Profile(p.Ref); !errors.Is(err, sink.ErrUnknownProfile) {
		t.Errorf("profile after the sign-out: %v, want none", err)
	}
}

func TestATokenIsNotSentToAChangedEndpoint(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: time.Second})
	p := d.login("alice")
	k := d.keeper()
	moved := *k.Providers[0].OAuth
	moved.TokenEndpoint = "https://evil.example/token"
	k.Providers = provider.Catalog{{ID: p.Provider, OAuth: &moved}}
	if _, err := k.Refresh(t.Context(), p); !errors.Is(err, keeper.ErrPinned) {
		t.Errorf("refresh = %v, want ErrPinned", err)
	}
	if n := d.server.Stats().Refreshes; n != 0 {
		t.Errorf("the server saw %d refreshes", n)
	}
}

func TestCancellingDuringARenewalLosesNothing(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: time.Second})
	p := d.login("alice")
	d.server.SetLifetime(time.Hour)
	for range 5 {
		d.server.Fail(oauthtest.Fault{Delay: 100 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _ = d.keeper().Refresh(ctx, d.profile(p.Ref)) // it may say either
		cancel()
	}
	if _, err := d.keeper().Refresh(t.Context(), d.profile(p.Ref)); err != nil {
		t.Errorf("after all: %v", err)
	}
	if n := d.server.Stats().Reuses; n != 0 {
		t.Errorf("a spent token came %d times", n)
	}
}

func TestAPastedTokenIsKeptAndNotRenewed(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	k := d.keeper()
	ref := sink.Ref{Agent: "main"}
	p, err := k.AddToken(t.Context(), ref, sink.KindToken, "anthropic", secret.New("sk-ant-oat01-x"), time.Now().Add(time.Hour))
	if err != nil || p.ID != "anthropic:manual" {
		t.Fatalf("AddToken = %+v, %v", p, err)
	}
	tok, err := k.Token(t.Context(), p, 0)
	if err != nil || tok.Access.Reveal() != "sk-ant-oat01-x" {
		t.Errorf("token = %v", err)
	}
	if _, err := k.Token(t.Context(), p, 2*time.Hour); !errors.Is(err, keeper.ErrShortLife) {
		t.Errorf("two hours of a one-hour token: %v, want ErrShortLife", err)
	}
	if _, err := k.AddToken(t.Context(), p.Ref, sink.KindAPIKey, "anthropic", secret.New("sk"), time.Time{}); !errors.Is(err, keeper.ErrTaken) {
		t.Errorf("another kind under the same id: %v, want ErrTaken", err)
	}
}

// Kept hands out what is there while it lives, sends nothing, and says what
// would help when it is over.
func TestKeptSendsNothing(t *testing.T) {
	d := newDesk(t, oauthtest.Options{Lifetime: 3 * time.Second})
	p := d.login("alice")
	k := d.keeper()
	before := d.server.Stats()
	tok, err := k.Kept(t.Context(), p, 0)
	if err != nil || !d.server.Valid(tok.Access.Reveal()) {
		t.Errorf("a living token: %v", err)
	}
	if _, err := k.Kept(t.Context(), p, time.Hour); !errors.Is(err, keeper.ErrUnrenewed) {
		t.Errorf("a longer life: %v, want ErrUnrenewed", err)
	}
	time.Sleep(2100 * time.Millisecond)
	if _, err := k.Kept(t.Context(), p, 0); !errors.Is(err, keeper.ErrUnrenewed) {
		t.Errorf("within its last second: %v, want ErrUnrenewed", err)
	}
	if after := d.server.Stats(); after != before {
		t.Errorf("something was sent: %+v, then %+v", before, after)
	}
	d.server.Fail(oauthtest.Fault{Status: 400, Body: `{"error":"invalid_grant"}`})
	_, _ = k.Refresh(t.Context(), p)
	if _, err := k.Kept(t.Context(), d.profile(p.Ref), 0); !isLoginRequired(err) {
		t.Errorf("a revoked login: %v, want a sign-in", err)
	}
}

func TestKeptOfASecretThatEnds(t *testing.T) {
	d := newDesk(t, oauthtest.Options{})
	p, err := d.keeper().AddToken(t.Context(), sink.Ref{Agent: "main"}, sink.KindToken, "acme", secret.New("bearer-1"), time.Now().Add(2500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	k := d.keeper()
	if tok, err := k.Kept(t.Context(), p, time.Second); err != nil || tok.Access.Reveal() != "bearer-1" {
		t.Errorf("while it lives: %v", err)
	}
	if _, err := k.Kept(t.Context(), p, time.Hour); !errors.Is(err, keeper.ErrShortLife) {
		t.Errorf("a longer life: %v, want ErrShortLife", err)
	}
	time.Sleep(2 * time.Second)
	if _, err := k.Kept(t.Context(), p, 0); !isLoginRequired(err) {
		t.Errorf("at its end: %v, want a sign-in", err)
	}
}

func TestWhoObservesMayKeepATokenUnsent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, oauthtest.Options{})
	p := d.login("alice")
	before := d.server.Stats()
	k := d.keeper()
	no := errors.New("no")
	k.Observe = func(ref sink.Ref, s keeper.Step) error {
		if ref != p.Ref || s != keeper.StepSending {
			t.Errorf("told of %s of %v", s, ref)
		}
		return no
	}
	if _, err := k.Refresh(t.Context(), p); !errors.Is(err, no) {
		t.Errorf("refresh = %v, want the observer's error", err)
	}
	if now := d.server.Stats(); now != before {
		t.Errorf("the server saw %+v, then %+v", before, now)
	}
	if p := d.profile(p.Ref); d.keeper().Store.Unfinished(p) {
		t.Error("an intent was left behind")
	}
}
