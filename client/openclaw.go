package client

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// openclawForm is the auth-profiles.json of OpenClaw up to 2026.6.1. Later
// versions have a database, which is not touched.
type openclawForm struct{}

// fence begins what OpenClaw puts in place of a token that it is about to renew.
const fence = "openclaw-oauth-refresh-fence:"

func openclawSources(dir, agentDir, credentials string) []Source {
	profiles := Source{Program: openclaw, Path: filepath.Join(agentDir, "auth-profiles.json"), state: dir}
	return []Source{profiles, legacySource(credentials)}
}

func legacySource(credentials string) Source {
	return Source{Program: legacy, Path: filepath.Join(credentials, "oauth.json")}
}

// Profiles is an auth-profiles.json by its path.
func Profiles(path string) Source { return Source{Program: openclaw, Path: path} }

// Legacy is the file in which OpenClaw's oldest versions kept all logins of the
// state folder dir, by its folder for credentials; ok is false if there is none,
// or if an OpenClaw with a database has the state folder or that of the agent.
func Legacy(dir, agentDir, credentials string) (s Source, ok bool) {
	s = legacySource(credentials)
	if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) {
		return s, false
	}
	return s, !hasDatabase(dir, agentDir)
}

// IsLegacy reports whether nothing renews the logins of this file any more.
func (s Source) IsLegacy() bool { return s.Program == legacy }

// hasDatabase reports whether an OpenClaw of 2026.6.5 or later has the folder:
// what its older files still hold are copies of what it owns.
func hasDatabase(dir, agentDir string) bool {
	for _, path := range []string{
		filepath.Join(dir, "state", "openclaw.sqlite"),
		filepath.Join(agentDir, "openclaw-agent.sqlite"),
	} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// locks are the one of the profile's renewal, under the state folder, and that of
// the file.
func (openclawForm) locks(s Source, l Login) []lock {
	state := cmp.Or(s.state, filepath.Join(filepath.Dir(s.Path), "..", "..", "..")) // agents/main/agent/auth-profiles.json
	sum := sha256.Sum256([]byte(l.raw + "\x00" + l.Name))
	return []lock{
		newSidecarLock(filepath.Join(state, "locks", "oauth-refresh", "sha256-"+hex.EncodeToString(sum[:])+".lock"), 3*time.Minute),
		newSidecarLock(s.Path+".lock", 30*time.Second),
	}
}

func (openclawForm) logins(top object.JSON) ([]Login, error) {
	profiles, err := top.Object("profiles")
	if err != nil {
		return nil, err
	}
	var all []Login
	for _, m := range profiles {
		l, err := profileLogin(m)
		if err != nil {
			return nil, fmt.Errorf("profile %q: %w", m.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// profileLogin reads one profile of auth-profiles.json. What holds no secret but
// a reference to one has no login in it.
func profileLogin(m object.Member) (Login, error) {
	o, err := object.Parse(m.Value)
	if err != nil {
		return Login{}, errors.New("it is not an object")
	}
	s, err := o.Texts("type", "mode", "provider", "accountId", "email")
	if err != nil {
		return Login{}, err
	}
	kind := s[0]
	if kind == "" {
		kind = s[1]
	}
	l := Login{Name: m.Name, raw: s[2], Provider: strings.ToLower(strings.TrimSpace(s[2])), Account: s[3], Email: s[4]}
	switch kind {
	case "oauth":
		l.Kind = sink.KindOAuth
		return oauthLogin(l, o)
	case "token":
		l.Kind = sink.KindToken
		return staticLogin(l, o, "token")
	case "api_key":
		l.Kind = sink.KindAPIKey
		return staticLogin(l, o, "key", "apiKey")
	}
	return l, nil // OpenClaw ignores it too
}

// oauthLogin reads the members that all programs of this family use.
func oauthLogin(l Login, o object.JSON) (Login, error) {
	var errs [5]error
	l.Access, errs[0] = secretOf(o, "access")
	l.Refresh, errs[1] = secretOf(o, "refresh")
	l.ID, errs[2] = secretOf(o, "idToken")
	l.Expires, errs[3] = o.Time("expires")
	l.Claim, errs[4] = claimOf(o, "issuer", "clientId", "tokenEndpoint")
	if l.Provider == "openai" {
		l.Provider = codexProvider // a ChatGPT login by its newer name
	}
	return l, errors.Join(errs[:]...)
}

// staticLogin reads a secret from the first of these members that has one.
func staticLogin(l Login, o object.JSON, names ...string) (Login, error) {
	var err error
	if l.Expires, err = o.Time("expires"); err != nil {
		return Login{}, err
	}
	for _, name := range names {
		raw := o.Raw(name)
		if raw == nil || raw[0] == '{' { // a reference
			continue
		}
		if l.Access, err = secretOf(o, name); err != nil {
			return Login{}, err
		}
		if strings.HasPrefix(l.Access.Reveal(), "${") { // the name of a variable
			l.Access = secret.Text{}
		}
		if !l.Access.Empty() {
			break
		}
	}
	if strings.HasPrefix(l.Access.Reveal(), "sk-ant-oat") { // a setup token, whatever it is filed as
		l.Kind = sink.KindToken
	}
	return l, nil
}

// fenced reports whether OpenClaw is renewing the login, or died doing so.
func (l Login) fenced() bool {
	return strings.HasPrefix(l.Access.Reveal(), fence) || strings.HasPrefix(l.Refresh.Reveal(), fence)
}

// strip turns an OAuth profile into one of a token that cannot be renewed; one of
// a static secret goes. In a file that is ours the entry stays, without a secret,
// for the mirror to fill.
func (openclawForm) strip(top object.JSON, l Login, bare bool) object.JSON {
	profiles, _ := top.Object("profiles")
	if l.Kind != sink.KindOAuth && !bare {
		return top.Set("profiles", profiles.Without(l.Name).Encode())
	}
	o, _ := object.Parse(profiles.Raw(l.Name))
	o = o.Without("mode", "access", "refresh", "idToken", "token", "key", "apiKey")
	if bare {
		return top.Set("profiles", profiles.Set(l.Name, o.Encode()).Encode())
	}
	o = o.Set("type", object.Quote("token")).Set("token", object.Quote(l.Access.Reveal()))
	return top.Set("profiles", profiles.Set(l.Name, o.Encode()).Encode())
}

// legacyForm is credentials/oauth.json: provider to login, in OpenClaw's oldest
// versions. Later ones copied it into auth-profiles.json; nothing renews what is
// still in it.
type legacyForm struct{}

func (legacyForm) locks(Source, Login) []lock { return nil }

func (legacyForm) logins(top object.JSON) ([]Login, error) {
	var all []Login
	for _, m := range top {
		o, err := object.Parse(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%q is not an object", m.Name)
		}
		s, err := o.Texts("accountId", "email")
		if err != nil {
			return nil, fmt.Errorf("%q: %w", m.Name, err)
		}
		l := Login{Name: m.Name, Provider: strings.ToLower(m.Name), Kind: sink.KindOAuth, Account: s[0], Email: s[1]}
		if l, err = oauthLogin(l, o); err != nil {
			return nil, fmt.Errorf("%q: %w", m.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// strip removes the login, and with the last one the file: later versions of
// OpenClaw do not start where it is.
func (legacyForm) strip(top object.JSON, l Login, _ bool) object.JSON {
	if top = top.Without(l.Name); len(top) == 0 {
		return nil
	}
	return top
}

// short names a login in a file name.
func short(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}
