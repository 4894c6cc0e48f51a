package client

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// piForm is pi's auth.json: provider to login. pi renews under its lock.
type piForm struct{}

func (piForm) locks(s Source, _ Login) []lock {
	return []lock{newFolderLock(s.Path+".lock", 30*time.Second)}
}

func (piForm) logins(top object.JSON) ([]Login, error) {
	all, err := byProvider(top, "api_key")
	for i, l := range all {
		if indirect(l.Access.Reveal()) {
			all[i].Access = secret.Text{}
		}
	}
	return all, err
}

var variable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) })

// indirect reports whether a key is a command or the name of a variable.
func indirect(key string) bool { return strings.HasPrefix(key, "!") || variable().MatchString(key) }

// strip leaves the access token as a key: pi uses it as it is, and cannot renew
// it.
func (piForm) strip(top object.JSON, l Login, _ bool) object.JSON {
	if l.Kind != sink.KindOAuth {
		return top.Without(l.Name)
	}
	o, _ := top.Object(l.Name)
	o = o.Without("access", "refresh", "expires").Set("type", object.Quote("api_key")).Set("key", object.Quote(l.Access.Reveal()))
	return top.Set(l.Name, o.Encode())
}

// opencodeForm is opencode's auth.json: provider to login. opencode has no lock,
// and renews what has expired.
type opencodeForm struct{}

func (opencodeForm) locks(Source, Login) []lock { return nil }

func (opencodeForm) logins(top object.JSON) ([]Login, error) {
	return byProvider(top, "api")
}

// strip leaves an empty refresh token, since opencode wants one that is text.
func (opencodeForm) strip(top object.JSON, l Login, _ bool) object.JSON {
	if l.Kind != sink.KindOAuth {
		return top.Without(l.Name)
	}
	o, _ := top.Object(l.Name)
	return top.Set(l.Name, o.Set("refresh", object.Quote("")).Encode())
}

// byProvider reads a file that has a login for each provider: OAuth, or a key
// whose type is keyType.
func byProvider(top object.JSON, keyType string) ([]Login, error) {
	var all []Login
	for _, m := range top {
		o, err := object.Parse(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%q is not an object", m.Name)
		}
		l, err := providerLogin(m.Name, o, keyType)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", m.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}

func providerLogin(name string, o object.JSON, keyType string) (Login, error) {
	s, err := o.Texts("type", "accountId")
	if err != nil {
		return Login{}, err
	}
	l := Login{Name: name, Provider: strings.ToLower(name), Account: s[1]}
	switch s[0] {
	case "oauth":
		l.Kind = sink.KindOAuth
		return oauthLogin(l, o)
	case keyType:
		l.Kind = sink.KindAPIKey
		return staticLogin(l, o, "key")
	}
	return l, nil // of a type that holds nothing for us
}
