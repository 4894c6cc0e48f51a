package keeper_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// newcomer is a desk whose person has logged in with another program so far.
type newcomer struct {
	*desk

	home string
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	return &newcomer{newDesk(t, oauthtest.Options{}), t.TempDir()}
}

// keeper knows the server also as ChatGPT, and asks files how imports ended.
func (n *newcomer) keeper() *keeper.Keeper {
	chatgpt := n.server.Provider()
	chatgpt.ID = "openai-codex"
	anthropic, _ := provider.Builtin().Find("anthropic")
	k := n.keeperOf(provider.Catalog{anthropic, n.server.Provider(), chatgpt})
	k.Store.Left = client.Left
	return k
}

// grant is a login of Alice that another program has got for itself.
func (n *newcomer) grant() sink.Credential {
	n.t.Helper()
	other := newDeskAt(n.t, n.server)
	p := other.login("alice")
	var c sink.Credential
	if err := other.keeper().Store.Update(n.t.Context(), p.Ref, func(tx *sink.Tx) error {
		c, _ = tx.Current()
		return nil
	}); err != nil {
		n.t.Fatal(err)
	}
	return c
}

// file writes a file of the person's home, and finds the program's logins.
func (n *newcomer) file(program, path string, content any) client.Source {
	n.t.Helper()
	path = filepath.Join(n.home, filepath.FromSlash(path))
	b, err := json.MarshalIndent(content, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	found, err := client.Find(program, client.Places{Home: n.home, Agent: "main", Getenv: func(string) string { return "" }})
	if err != nil {
		n.t.Fatal(err)
	}
	return found[0]
}

type dict = map[string]any

func (n *newcomer) openclaw(profiles dict) client.Source {
	n.t.Helper()
	return n.file("openclaw", ".openclaw/agents/main/agent/auth-profiles.json", dict{"version": 1, "profiles": profiles})
}

// profile is an OAuth profile as OpenClaw writes it.
func (n *newcomer) profile(c sink.Credential) dict {
	return dict{
		"type": "oauth", "provider": "demo", "access": c.Access.Reveal(), "refresh": c.Refresh.Reveal(),
		"expires": c.Expires.UnixMilli(), "clientId": oauthtest.ClientID, "displayName": "mine",
	}
}

// look expects one login in the file.
func (n *newcomer) look(s client.Source) keeper.Found {
	n.t.Helper()
	found, err := n.keeper().Look("main", s)
	if err != nil || len(found) != 1 {
		n.t.Fatalf("found %d logins, %v, want 1", len(found), err)
	}
	return found[0]
}

func (n *newcomer) imported(s client.Source) sink.Profile {
	n.t.Helper()
	f := n.look(s)
	p, err := n.keeper().Import(n.t.Context(), "main", f)
	if err != nil {
		n.t.Fatalf("import: %v", err)
	}
	if p.ID != f.ID || p.State != sink.StateOK {
		n.t.Errorf("profile %+v, want %s", p, f.ID)
	}
	return p
}

func (n *newcomer) text(path string) string {
	n.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// TestAnImportedLoginIsRenewedByItsNewOwner, at once and later, and the old one is
// left with an access token.
func TestAnImportedLoginIsRenewedByItsNewOwner(t *testing.T) {
	n := newNewcomer(t)
	c := n.grant()
	s := n.openclaw(dict{"demo:default": n.profile(c)})
	p := n.imported(s)
	if p.ID != "demo:default" || p.Account.ID != c.Account.ID || p.Generation != 3 {
		t.Errorf("profile %+v, want demo:default, renewed once", p)
	}
	text := n.text(s.Path)
	if strings.Contains(text, c.Refresh.Reveal()) || !strings.Contains(text, c.Access.Reveal()) || !strings.Contains(text, "mine") {
		t.Errorf("the file became %d bytes that are not access-only", len(text))
	}
	if _, err := n.keeper().Refresh(t.Context(), p); err != nil {
		t.Error(err)
	}
	if st := n.server.Stats(); st.Refreshes != 2 || st.Reuses != 0 {
		t.Errorf("the server saw %+v, want two refreshes and no reuse", st)
	}
	again := n.look(s)
	if !errors.Is(again.Why, keeper.ErrStays) {
		t.Errorf("importing what is left: %v, want that it stays", again.Why)
	}
}

// TestAnImportIntoTheMirror: where OpenClaw's folder is the state root, its file
// becomes ours and holds no token at all.
func TestAnImportIntoTheMirror(t *testing.T) {
	n := newNewcomer(t)
	n.dir = filepath.Join(n.home, ".openclaw")
	c := n.grant()
	s := n.openclaw(dict{"demo:default": n.profile(c), "other:x": dict{"type": "token", "provider": "other", "token": "theirs"}})
	found, err := n.keeper().Look("main", s)
	if err != nil || len(found) != 2 || found[0].ID != "demo:default" || found[0].Why != nil {
		t.Fatalf("found %+v, %v", found, err)
	}
	p, err := n.keeper().Import(t.Context(), "main", found[0])
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Profiles map[string]dict }
	if err := json.Unmarshal([]byte(n.text(s.Path)), &file); err != nil {
		t.Fatal(err)
	}
	got := file.Profiles["demo:default"]
	if got["tokenRef"] == nil || got["keytray"] == nil || got["displayName"] != "mine" || file.Profiles["other:x"]["token"] != "theirs" {
		t.Errorf("the file became %v", file.Profiles)
	}
	for _, secret := range n.server.Secrets() {
		if strings.Contains(n.text(s.Path), secret) {
			t.Error("a secret is left in the file")
		}
	}
	if tok, err := n.keeper().Token(t.Context(), p, 0); err != nil || !n.server.Valid(tok.Access.Reveal()) {
		t.Errorf("token: %v", err)
	}
}

func TestAnImportFromCodex(t *testing.T) {
	n := newNewcomer(t)
	c := n.grant()
	s := n.file("codex", ".codex/auth.json", dict{
		"auth_mode": "chatgpt", "OPENAI_API_KEY": nil, "last_refresh": "2026-11-23T01:49:34Z",
		"tokens": dict{
			"id_token": c.Access.Reveal(), "access_token": c.Access.Reveal(), "refresh_token": c.Refresh.Reveal(), "account_id": c.Account.ID,
			"oauth_provenance": dict{"issuer": n.server.URL, "client_id": oauthtest.ClientID},
		},
	})
	p := n.imported(s)
	if p.ID != "openai-codex:"+c.Account.Email || p.Provider != "openai-codex" {
		t.Errorf("profile %+v", p)
	}
	if st := n.server.Stats(); st.Refreshes != 1 || st.Reuses != 0 {
		t.Errorf("the server saw %+v, want one refresh", st)
	}
}

// TestALoginOfABuiltInProviderIsPinnedToTheCatalog, whatever its file says.
func TestALoginOfABuiltInProviderIsPinnedToTheCatalog(t *testing.T) {
	n := newNewcomer(t)
	c := n.grant()
	for what, claim := range map[string]dict{
		"issuer":   {"issuer": "https://evil.example"},
		"client":   {"clientId": "evil"},
		"endpoint": {"tokenEndpoint": n.server.URL + "/evil"},
		"unknown":  {"clientId": nil},
	} {
		p := n.profile(c)
		maps.Copy(p, claim)
		f := n.look(n.openclaw(dict{"demo:default": p}))
		if !errors.Is(f.Why, keeper.ErrStays) {
			t.Errorf("%s: %v, want that it stays", what, f.Why)
		}
		if f.Why != nil && strings.Contains(f.Why.Error(), "evil") {
			t.Errorf("%s: %v quotes the file", what, f.Why)
		}
		if _, err := n.keeper().Import(t.Context(), "main", f); !errors.Is(err, keeper.ErrStays) {
			t.Errorf("%s: import: %v, want that it stays", what, err)
		}
	}
	if st := n.server.Stats(); st.Refreshes != 0 {
		t.Errorf("the server saw %+v", st)
	}
}

func TestWhatStaysWhereItIs(t *testing.T) {
	n := newNewcomer(t)
	c := n.grant()
	with := func(changes dict) dict {
		p := n.profile(c)
		maps.Copy(p, changes)
		return p
	}
	for _, tt := range []struct {
		what    string
		profile dict
		want    error
	}{
		{"a login that cannot be renewed here", with(dict{"provider": "anthropic"}), keeper.ErrStays},
		{"one that its owner may be renewing", with(dict{"expires": time.Now().Add(4 * time.Minute).UnixMilli()}), keeper.ErrNear},
		{"one that has expired", with(dict{"expires": 1000}), keeper.ErrNear},
		{"one of nobody", with(dict{"access": "opaque"}), keeper.ErrStays},
		{"a token with a line break", with(dict{"refresh": "a\nb"}), keeper.ErrStays},
		{"a provider that is none", dict{"type": "api_key", "provider": "../../etc", "key": "k"}, keeper.ErrStays},
		{"an expired setup token", dict{"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-x", "expires": 1000}, keeper.ErrStays},
		{"an access token", dict{"type": "token", "provider": "demo", "token": c.Access.Reveal()}, keeper.ErrStays},
	} {
		f := n.look(n.openclaw(dict{"demo:default": tt.profile}))
		if !errors.Is(f.Why, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, f.Why, tt.want)
		}
	}
	f := n.look(n.openclaw(dict{"demo:\x1b[31m": n.profile(c)}))
	if f.Why == nil {
		t.Error("a profile id with a control character is taken")
	}
}

// TestTwoLoginsOfOneAccountAreNotImported: one may be an old copy of the other.
func TestTwoLoginsOfOneAccountAreNotImported(t *testing.T) {
	n := newNewcomer(t)
	first := n.login("alice")
	s := n.openclaw(dict{"demo:default": n.profile(n.grant())})
	if f := n.look(s); !errors.Is(f.Why, sink.ErrExists) {
		t.Errorf("%v, want ErrExists", f.Why)
	}
	work := n.request("alice")
	work.Agent = "work"
	if _, _, err := n.keeper().Logout(t.Context(), first.Ref, false); err != nil {
		t.Fatal(err)
	}
	if _, err := n.keeper().Login(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if f := n.look(s); !errors.Is(f.Why, sink.ErrExists) {
		t.Errorf("of another agent: %v, want ErrExists", f.Why)
	}
}

func TestStaticSecretsMove(t *testing.T) {
	n := newNewcomer(t)
	s := n.file("pi", ".pi/agent/auth.json", dict{"anthropic": dict{"type": "api_key", "key": "sk-ant-oat01-secret"}})
	p := n.imported(s)
	if p.ID != "anthropic:default" || p.Kind != sink.KindToken {
		t.Errorf("profile %+v", p)
	}
	if got := n.text(s.Path); got != "{}" {
		t.Errorf("the file became %s", got)
	}
	tok, err := n.keeper().Token(t.Context(), p, 0)
	if err != nil || tok.Access.Reveal() != "sk-ant-oat01-secret" {
		t.Errorf("token: %v", err)
	}
	s = n.file("pi", ".pi/agent/auth.json", dict{"anthropic": dict{"type": "api_key", "key": "sk-ant-oat01-other"}})
	if _, err := n.keeper().Import(t.Context(), "main", n.look(s)); !errors.Is(err, sink.ErrExists) {
		t.Errorf("another secret: %v, want ErrExists", err)
	}
}

// TestAFileThatChangedAfterItWasShownIsJudgedAnew, under the locks.
func TestAFileThatChangedAfterItWasShownIsJudgedAnew(t *testing.T) {
	n := newNewcomer(t)
	c := n.grant()
	f := n.look(n.openclaw(dict{"demo:default": n.profile(c)}))
	evil := n.profile(c)
	evil["tokenEndpoint"] = "https://evil.example/token"
	s := n.openclaw(dict{"demo:default": evil})
	before := n.text(s.Path)
	if _, err := n.keeper().Import(t.Context(), "main", f); !errors.Is(err, keeper.ErrStays) {
		t.Errorf("import: %v, want that it stays", err)
	}
	if n.text(s.Path) != before {
		t.Error("the file was touched")
	}
	if refs, err := n.keeper().Store.Indexed(t.Context()); len(refs) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", refs, err)
	}
}

// TestAnImportThatCannotBeRenewedAtOnceIsDone all the same.
func TestAnImportThatCannotBeRenewedAtOnceIsDone(t *testing.T) {
	n := newNewcomer(t)
	s := n.openclaw(dict{"demo:default": n.profile(n.grant())})
	n.server.Fail(oauthtest.Fault{Status: 503})
	p, err := n.keeper().Import(t.Context(), "main", n.look(s))
	if err != nil || p.Generation != 2 {
		t.Errorf("import: %+v, %v", p, err)
	}
	if tok, err := n.keeper().Token(t.Context(), p, 0); err != nil || !n.server.Valid(tok.Access.Reveal()) {
		t.Errorf("token: %v", err)
	}
}

// TestAKilledImportIsFinished: one that died before the keychain had anything of it
// is known by its journal alone.
func TestAKilledImportIsFinished(t *testing.T) {
	n := newNewcomer(t)
	s := n.openclaw(dict{"demo:default": n.profile(n.grant())})
	f := n.look(s)
	n.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
		if op.Verb == "set" && strings.Contains(op.Name, ".index.") {
			panic(errDied)
		}
		return sinktest.None
	})
	func() {
		defer func() { _ = recover() }()
		_, _ = n.keeper().Import(t.Context(), "main", f)
	}()
	n.keychain.SetFault(nil)
	if refs := n.keeper().Store.Importing(); len(refs) != 1 {
		t.Fatalf("the import left %v, want one that has not ended", refs)
	}
	if err := n.keeper().FinishImports(t.Context()); err != nil {
		t.Error(err)
	}
	if refs := n.keeper().Store.Importing(); len(refs) > 0 {
		t.Errorf("still being imported: %v", refs)
	}
}

var errDied = errors.New("died")

func TestLegacyLoginsMove(t *testing.T) {
	n := newNewcomer(t)
	n.dir = filepath.Join(n.home, ".openclaw")
	c := n.grant()
	old := n.profile(c)
	old["expires"] = 1000 // nothing renews it any more, so that does not matter
	write := func() string {
		return n.file("openclaw", ".openclaw/credentials/oauth.json", dict{"demo": old, "anthropic": dict{"access": "a", "refresh": "r", "expires": 1}}).Path
	}
	path := write()
	moved, err := n.keeper().ImportLegacy(t.Context(), "main")
	if err != nil || len(moved) != 1 || moved[0].Generation != 3 {
		t.Fatalf("moved %+v, %v, want one login", moved, err)
	}
	if got := n.text(path); strings.Contains(got, "demo") || !strings.Contains(got, "anthropic") {
		t.Errorf("the file became %s", got)
	}
	if moved, err := n.keeper().ImportLegacy(t.Context(), "main"); len(moved) > 0 || err != nil {
		t.Errorf("the next time: %v, %v", moved, err)
	}
	if _, _, err := n.keeper().Logout(t.Context(), sink.Ref{Agent: "main", ID: "demo:" + c.Account.Email}, false); err != nil {
		t.Error(err)
	}
}

// TestLegacyCopiesStay: OpenClaw copied its oldest file and left it there, so that
// it holds what has been spent since.
func TestLegacyCopiesStay(t *testing.T) {
	n := newNewcomer(t)
	n.dir = filepath.Join(n.home, ".openclaw")
	c := n.grant()
	n.openclaw(dict{"demo:alice": n.profile(n.grant())})
	n.file("openclaw", ".openclaw/credentials/oauth.json", dict{"demo": n.profile(c)})
	if moved, err := n.keeper().ImportLegacy(t.Context(), "main"); len(moved) > 0 || err != nil {
		t.Errorf("moved %+v, %v", moved, err)
	}
	if _, err := os.Stat(filepath.Join(n.dir, "credentials", "oauth.json")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the file is gone")
	}
}
