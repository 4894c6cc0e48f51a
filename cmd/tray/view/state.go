// Package view is what a person is shown of the logins: the menu, the icon's
// state and the notices, as data, in the person's language. It is pure: it
// draws nothing, sends nothing and reads no file.
package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/cmd/tray/icon"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// State is all that the menu and the icon show.
type State struct {
	Services []Service
	Profiles []sink.Profile
	// First are the logins that are used before others of their provider.
	First map[sink.Ref]bool
	// Working are the logins on which a worker is busy.
	Working map[sink.Ref]bool
	// Waiting are the sign-ins that wait for their person.
	Waiting []Wait
	// Failing is since when the renewals of a login have failed.
	Failing map[sink.Ref]time.Time
	// Keychain is what is wrong with the keychain as a whole.
	Keychain Trouble
	// Trouble is a sentence about anything else that needs a person: a profile
	// file that cannot be read, a disk that is full.
	Trouble  string
	Settings Settings
	Now      time.Time
}

// Service is a provider as the menu offers it.
type Service struct {
	ID, Name string
	// Browser, Code, SetupToken and APIKey are the ways to sign in there.
	Browser, Code, SetupToken, APIKey bool
}

// Wait is a sign-in whose browser page, or whose Code, waits for its person.
type Wait struct {
	Service string
	Code    bool
	// Manual says why the browser cannot come back by itself, if it cannot.
	Manual string
}

// Trouble is why nobody can use the keychain.
type Trouble int

// The troubles of a keychain.
const (
	Usable Trouble = iota
	Locked
	Absent
)

// Settings are what the person ticked.
type Settings struct {
	// Quiet turns notifications off, Every tells of each renewal.
	Quiet, Every bool
	// Autostart starts the tray at login; Paused leaves tokens alone.
	Autostart, Paused bool
}

// Icon is the picture that says how things are.
func (s State) Icon() icon.State {
	switch {
	case s.Keychain != Usable:
		return icon.Locked
	case len(s.needy()) > 0 || s.Trouble != "":
		return icon.Attention
	case s.Settings.Paused:
		return icon.Paused
	case len(s.Working) > 0 || len(s.Waiting) > 0:
		return icon.Working
	default:
		return icon.Normal
	}
}

// needy are the logins that only a person can mend.
func (s State) needy() []sink.Profile {
	var needy []sink.Profile
	for _, p := range s.Profiles {
		if needs(s.condition(p).Word) {
			needy = append(needy, p)
		}
	}
	return needy
}

func needs(word string) bool {
	switch word {
	case "needs_login", "expired_for_good", "misconfigured", "foreign_host", "pending_save":
		return true
	}
	return false
}

// condition is keeper's, with a word of its own for a login that has expired
// and cannot renew itself.
func (s State) condition(p sink.Profile) keeper.Condition {
	c := keeper.ConditionOf(p, s.Now)
	if c.Word == "expired" && p.Kind != sink.KindOAuth {
		c.Word = "expired_for_good"
	}
	return c
}

// service finds a provider's entry; one that is not in the catalog any more is
// shown by its id.
func (s State) service(id string) Service {
	for _, v := range s.Services {
		if v.ID == id {
			return v
		}
	}
	return Service{ID: id, Name: id}
}

// used are the providers that have logins, by name, each with its logins in the
// order in which they are given.
func (s State) used() (services []Service, logins map[string][]sink.Profile) {
	logins = map[string][]sink.Profile{}
	for _, p := range s.Profiles {
		if logins[p.Provider] == nil {
			services = append(services, s.service(p.Provider))
		}
		logins[p.Provider] = append(logins[p.Provider], p)
	}
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.ID, b.ID))
	})
	return services, logins
}

// nameLimit is the longest name in a menu, characters.
const nameLimit = 48

// Name is how a login is called where its provider is known: by whose it is.
func Name(p sink.Profile) string {
	name := cmp.Or(p.Account.Email, strings.TrimPrefix(p.ID, p.Provider+":"), p.ID)
	if p.Agent != "" && p.Agent != sink.DefaultAgent {
		name += " (" + p.Agent + ")"
	}
	return plain.Line(name, nameLimit)
}
