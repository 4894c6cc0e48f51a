package keeper

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/clientauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// ErrSignedOut means that the login was signed out while the browser was open.
var ErrSignedOut = errors.New("signed out in the meantime")

// ErrTaken means that the wanted profile id belongs to something else.
var ErrTaken = errors.New("this profile id is taken")

// LoginRequest is a sign-in that a person asked for. It needs Show or Code; with
// both the first answer wins.
type LoginRequest struct {
	Agent, Provider string
	// ProfileID is the id to use; empty means one made of provider and account.
	ProfileID string
	// Show brings a URL before the person, by opening a browser for example.
	// Why is nil, or says why the browser cannot come back to us by itself, so
	// that the answer must be pasted. An error of Show ends the login.
	Show func(url string, why error) error
	// Code brings a code before the person, who enters it in a browser anywhere.
	// An error of Code ends the login.
	Code func(oauth.DeviceCode) error
	// Pasted delivers what the person types while the login waits; nil for
	// nothing. An answer that is no good is reported to Refused, and so is a way
	// that fails while another is open.
	Pasted  <-chan secret.Text
	Refused func(error)
	// ClientKey asks for the secret or key of a client that has to prove itself, when
	// the keychain has none, or always if NewClientKey is set. It is kept when the
	// sign-in has shown that it is the right one. Nil means that there is nobody to
	// ask.
	ClientKey    func(context.Context) (secret.Text, error)
	NewClientKey bool

	since     sink.Epochs
	clientKey secret.Text // to be kept
}

// Login signs in through the browser or with a code and saves the login. Before
// the person is asked anything the keychain has proved that it can save. The
// browser is told of success only after the login was read back. Signing in again
// as the same account renews its profile; another account never overwrites it.
func (k *Keeper) Login(ctx context.Context, r LoginRequest) (sink.Profile, error) {
	p, err := k.oauthProvider(r.Provider)
	if err != nil {
		return sink.Profile{}, err
	}
	if r.ProfileID != "" && k.Store.Foreign(sink.Ref{Agent: r.Agent, ID: r.ProfileID}) {
		return sink.Profile{}, fmt.Errorf("%s: %w by another program's login", r.ProfileID, ErrTaken)
	}
	if r, err = r.within(p); err != nil {
		return sink.Profile{}, fmt.Errorf("%s: %w", r.Provider, err)
	}
	if err := k.Store.Ready(ctx); err != nil {
		return sink.Profile{}, err
	}
	r.since = k.Store.Epochs(r.Agent)
	client, isNew, err := k.loginClient(ctx, p, r)
	if err != nil {
		return sink.Profile{}, fmt.Errorf("signing in to %s: %w", r.Provider, err)
	}
	if isNew {
		r.clientKey = client.Key
	}
	w, err := open(ctx, client, p, r)
	if err != nil {
		return sink.Profile{}, fmt.Errorf("signing in to %s: %w", r.Provider, err)
	}
	profile, err := k.login(ctx, w, r, pinOf(p))
	w.close(err)
	return profile, err
}

// within leaves out the ways that a provider does not have.
func (r LoginRequest) within(p provider.OAuth) (LoginRequest, error) {
	none := ErrNoBrowserLogin
	if r.Show == nil {
		none = ErrNoDeviceLogin
	}
	if p.AuthorizationEndpoint == "" {
		r.Show = nil
	}
	if p.DeviceAuthorizationEndpoint == "" {
		r.Code = nil
	}
	if r.Show == nil && r.Code == nil {
		return r, none
	}
	return r, nil
}

func (r LoginRequest) refused(err error) {
	if r.Refused != nil {
		r.Refused(err)
	}
}

// loginClient is clientOf for a sign-in, where a person may be asked.
func (k *Keeper) loginClient(ctx context.Context, p provider.OAuth, r LoginRequest) (client *oauth.Client, isNew bool, err error) {
	if !r.NewClientKey || !p.ClientAuth.Confidential() {
		client, err := k.clientOf(ctx, p)
		if !errors.Is(err, sink.ErrNoClientKey) || r.ClientKey == nil {
			return client, false, err
		}
	}
	text, err := r.ClientKey(ctx)
	if err != nil {
		return nil, false, err
	}
	key, err := clientauth.Clean(p, text)
	if err != nil {
		return nil, false, err
	}
	return &oauth.Client{Transport: k.Client.Transport, Key: key}, true, nil
}

// pinOf is where a login of p may be renewed.
func pinOf(p provider.OAuth) sink.Pin {
	return sink.Pin{Issuer: p.Issuer, Client: p.ClientID, TokenEndpoint: p.RenewalEndpoint(), RevocationEndpoint: p.RevocationEndpoint}
}

// ways are the ways to sign in that are open; at least one is.
type ways struct {
	page *oauth.Login
	code *oauth.Device
}

// open opens the ways that are wanted.
func open(ctx context.Context, client *oauth.Client, p provider.OAuth, r LoginRequest) (w ways, err error) {
	if r.Code != nil {
		w.code, err = client.StartDevice(ctx, p)
		if err != nil && (r.Show == nil || ctx.Err() != nil) {
			return w, err
		}
		if err != nil { // the other way may do
			w.code = nil
			r.refused(err)
		}
	}
	if r.Show != nil {
		w.page, err = client.StartLogin(ctx, p)
	}
	return w, err
}

// show brings them before the person.
func (w ways) show(r LoginRequest) error {
	if w.code != nil {
		if err := r.Code(w.code.DeviceCode); err != nil {
			return err
		}
	}
	if w.page != nil {
		return r.Show(w.page.URL, w.page.Listening())
	}
	return nil
}

// wait returns what the first way has that leads to a token. A way that fails
// ends the others only if the person said no.
func (w ways) wait(ctx context.Context, r LoginRequest) (oauth.Token, error) {
	type answer struct {
		token oauth.Token
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, 2)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	open := 0
	wait := func(f func(context.Context) (oauth.Token, error)) {
		open++
		waiting.Go(func() {
			t, err := f(ctx)
			answers <- answer{t, err}
		})
	}
	if w.page != nil {
		wait(w.page.Wait)
		waiting.Go(func() { feed(ctx, w.page, r) })
	}
	if w.code != nil {
		wait(w.code.Wait)
	}
	for {
		a := <-answers
		open--
		if a.err == nil || open == 0 || ctx.Err() != nil || saidNo(a.err) {
			return a.token, a.err
		}
		if !errors.Is(a.err, oauth.ErrTimeout) {
			r.refused(a.err)
		}
	}
}

func saidNo(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Code == "access_denied"
}

func (w ways) close(err error) {
	if w.page != nil {
		w.page.Close(err)
	}
}

// login is Login from the open door on.
func (k *Keeper) login(ctx context.Context, w ways, r LoginRequest, pin sink.Pin) (sink.Profile, error) {
	if err := w.show(r); err != nil {
		return sink.Profile{}, err
	}
	t, err := w.wait(ctx, r)
	if err != nil {
		return sink.Profile{}, fmt.Errorf("signing in to %s: %w", r.Provider, err)
	}
	_ = k.step(sink.Ref{Agent: r.Agent, ID: r.ProfileID}, StepReceived)
	// The server has issued a login: it is saved even if the person leaves now.
	ctx = context.WithoutCancel(ctx)
	if !r.clientKey.Empty() { // without it the login could not be renewed
		if err := k.Store.SetClientKey(ctx, pin, r.clientKey); err != nil {
			return sink.Profile{}, err
		}
	}
	p, err := k.save(ctx, r, newCredential(r.Provider, pin, t, k.life(t, k.now())))
	if err != nil || !t.Access.Empty() {
		return p, err
	}
	fresh, err := k.Refresh(ctx, p)
	if err != nil {
		k.Log.Warn("signed in; the token is still to come", "profile", p.ID, "err", err)
		return p, nil
	}
	return fresh.Profile, nil
}

// save puts a new credential under the first fitting profile id.
func (k *Keeper) save(ctx context.Context, r LoginRequest, c sink.Credential) (sink.Profile, error) {
	var err error
	for _, id := range k.candidates(r, c.Account) {
		ref := sink.Ref{Agent: r.Agent, ID: id}
		if k.Store.Foreign(ref) {
			err = fmt.Errorf("%s: %w by another program's login", id, ErrTaken)
			continue
		}
		err = k.Store.Update(ctx, ref, func(tx *sink.Tx) error {
			if tx.SignedOutSince(r.since) {
				return fmt.Errorf("%s: %w", id, ErrSignedOut)
			}
			return tx.Received(c)
		})
		if errors.Is(err, sink.ErrOtherAccount) {
			continue
		}
		if m, ok := errors.AsType[*sink.MirrorError](err); ok {
			k.Log.Warn("signed in, but the profile file could not be written", "profile", id, "err", m)
			return sink.Profile{Ref: ref, Provider: c.Provider, Kind: c.Kind, Account: c.Account, Life: c.Life}, nil
		}
		if err != nil {
			return sink.Profile{}, err
		}
		return k.Store.Profile(ref)
	}
	return sink.Profile{}, err
}

// candidates are the ids that a login may go by: the wanted one; else the one
// that this account has already; else provider:email, or provider:default
// without an e-mail; else one that only this account can have.
func (k *Keeper) candidates(r LoginRequest, a sink.Account) []string {
	if r.ProfileID != "" {
		return []string{r.ProfileID}
	}
	var ids []string
	for p, err := range k.Store.Profiles(r.Agent) {
		if err == nil && p.Provider == r.Provider && a.ID != "" && p.Account.ID == a.ID {
			ids = append(ids, p.ID)
		}
	}
	name := a.Email
	if name == "" {
		name = "default"
	}
	ids = append(ids, r.Provider+":"+name)
	if a.ID != "" {
		ids = append(ids, r.Provider+":id-"+base64.RawURLEncoding.EncodeToString([]byte(a.ID)))
	}
	return ids
}

// AddToken saves a secret that cannot be renewed: a setup-token, an API key.
// The zero expires means that none is known. The id is <provider>:manual unless
// one is given. A login of another kind under that id is not overwritten.
func (k *Keeper) AddToken(ctx context.Context, ref sink.Ref, kind sink.Kind, providerID string, s secret.Text, expires time.Time) (sink.Profile, error) {
	if kind == sink.KindOAuth || s.Empty() {
		return sink.Profile{}, fmt.Errorf("adding %s: a token or an API key is needed", ref.ID)
	}
	if ref.ID == "" {
		ref.ID = providerID + ":manual"
	}
	if k.Store.Foreign(ref) {
		return sink.Profile{}, fmt.Errorf("%s: %w by another program's login", ref.ID, ErrTaken)
	}
	err := k.Store.Update(ctx, ref, func(tx *sink.Tx) error {
		if c, ok := tx.Current(); ok && (c.Kind != kind || c.Provider != providerID) {
			return fmt.Errorf("%s: %w by a login of %s", ref.ID, ErrTaken, c.Provider)
		}
		return tx.Received(staticCredential(kind, providerID, s, sink.Life{Minted: k.now(), Expires: expires}))
	})
	if err != nil {
		return sink.Profile{}, err
	}
	return k.Store.Profile(ref)
}
