// Package route says which login is meant: the order of a provider's logins,
// what a session has pinned, which logins rest after a failure, and what
// Model@profile names. It decides on what it is given and reads no file, no
// clock and no keychain, so that the same question has the same answer.
//
// The rules are OpenClaw's; its own answers are the test. What they cannot know
// is added behind them: a login that needs its person comes after those that
// merely rest, and is chosen only where there is no other.
package route

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Type is what a login consists of.
type Type string

// The types, in the default order.
const (
	OAuth  Type = "oauth"
	Token  Type = "token"
	APIKey Type = "api_key"
)

func (t Type) rank() int {
	switch t {
	case OAuth:
		return 0
	case Token:
		return 1
	default:
		return 2
	}
}

// Login is what matters of a login here.
type Login struct {
	ID, Provider string
	Type         Type
	// Expires is the end of a token that cannot be renewed, zero if it has none.
	Expires time.Time
	// Ours is a login that this program keeps.
	Ours bool
	// Fault is set if the login is of no use whatever the order says.
	Fault Reason
}

// Rules are what people and earlier calls left behind.
type Rules struct {
	// Order is the stored order of the provider's logins, nil if there is none.
	Order  []string
	Config Config
	// Usage is by login.
	Usage map[string]Usage
}

// Question is what is asked.
type Question struct {
	Provider string
	// Model, if known, is the one that the token is for: some logins rest for
	// one model only.
	Model string
	// Pin is the login that the session prefers, if any.
	Pin string
	Now time.Time
}

// Reason is one word for why a login was chosen or passed over.
type Reason string

// Why a login was chosen.
const (
	Named        Reason = "named"
	Pinned       Reason = "pinned"
	Only         Reason = "only"
	FirstStored  Reason = "first_stored"
	FirstConfig  Reason = "first_configured"
	FirstDefault Reason = "first_default"
)

// Why a login was passed over.
const (
	Later          Reason = "later"
	Resting        Reason = "resting"
	Expired        Reason = "expired"
	NeedsLogin     Reason = "needs_login"
	ForeignHost    Reason = "foreign_host"
	Empty          Reason = "empty"
	AnotherProgram Reason = "another_program"
	Orphan         Reason = "orphan"
	Missing        Reason = "missing"
	OtherMode      Reason = "other_mode"
	NotInOrder     Reason = "not_in_order"
	OtherProvider  Reason = "other_provider"
	NotNamed       Reason = "not_named"
	NotPinned      Reason = "not_pinned"
)

// Candidate is a login, or an id that an order names, and what speaks against it.
type Candidate struct {
	ID string
	// Reason is empty for a login that can be used now.
	Reason Reason
	// Until is when a resting login may be used again, Cause what it rests for.
	Until time.Time
	Cause string

	// What the default order compares.
	typeRank int
	lastUsed int64
}

// The classes of candidates, in their order.
const (
	usable = iota
	resting
	needsPerson
	useless
)

func (c Candidate) class() int {
	switch c.Reason {
	case "":
		return usable
	case Resting:
		return resting
	case NeedsLogin, ForeignHost, Expired:
		return needsPerson
	default:
		return useless
	}
}

// Usable reports whether the login may be used, at once or after its rest.
func (c Candidate) Usable() bool { return c.class() <= resting }

// Rank sorts all there is to say about an agent's logins when one of a provider
// is wanted: first those that can be used, in the order of use, then those that
// rest, the soonest first, those that need a person, and the rest.
func Rank(logins []Login, r Rules, q Question) []Candidate {
	return newSearch(logins, r, q).rank()
}

func (s *search) rank() []Candidate {
	candidates := s.candidates()
	slices.SortStableFunc(candidates, s.compare)
	i := slices.IndexFunc(candidates, func(c Candidate) bool { return c.ID == s.q.Pin && c.Usable() })
	if i > 0 {
		pinned := candidates[i]
		copy(candidates[1:], candidates[:i])
		candidates[0] = pinned
	}
	return candidates
}

// search is one Rank at work.
type search struct {
	logins []Login
	rules  Rules
	q      Question
	byID   map[string]Login
	// base are the ids to choose from; explicit if a person gave their order,
	// which is source.
	base     []string
	explicit bool
	source   Reason
	modes    map[string]ConfigProfile
}

func newSearch(logins []Login, r Rules, q Question) *search {
	s := &search{logins: logins, rules: r, q: q, byID: map[string]Login{}, modes: map[string]ConfigProfile{}, source: FirstDefault}
	for _, l := range logins {
		s.byID[l.ID] = l
	}
	var configured []string
	for _, p := range r.Config.Profiles {
		s.modes[p.ID] = p
		if SameProvider(p.Provider, q.Provider) {
			configured = append(configured, p.ID)
		}
	}
	order, ok := r.Config.order(q.Provider)
	switch {
	case r.Order != nil:
		s.base, s.explicit, s.source = r.Order, len(r.Order) > 0, FirstStored
	case ok:
		s.base, s.explicit, s.source = order, len(order) > 0, FirstConfig
	case len(configured) > 0:
		s.base = configured
	default:
		s.base = s.stored()
		return s
	}
	if len(s.base) > 0 && len(configured) > 0 && !slices.ContainsFunc(s.base, s.exists) {
		s.base = s.stored() // what was configured has other ids by now
	}
	return s
}

func (s *search) exists(id string) bool { _, ok := s.byID[id]; return ok }

// stored are all logins of the provider.
func (s *search) stored() []string {
	var ids []string
	for _, l := range s.logins {
		if SameProvider(l.Provider, s.q.Provider) {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

// candidates are the base, each once, and all other logins.
func (s *search) candidates() []Candidate {
	var all []Candidate
	seen := map[string]bool{}
	for _, id := range s.base {
		if !seen[id] {
			seen[id] = true
			all = append(all, s.judge(id))
		}
	}
	for _, l := range s.logins {
		switch {
		case seen[l.ID]:
		case SameProvider(l.Provider, s.q.Provider):
			all = append(all, Candidate{ID: l.ID, Reason: NotInOrder})
		default:
			all = append(all, Candidate{ID: l.ID, Reason: OtherProvider})
		}
	}
	return all
}

// judge says what speaks against a login of the base.
func (s *search) judge(id string) Candidate {
	l, ok := s.byID[id]
	mode, configured := s.modes[id]
	switch {
	case !ok:
		return Candidate{ID: id, Reason: Missing}
	case !SameProvider(l.Provider, s.q.Provider), configured && !SameProvider(mode.Provider, s.q.Provider):
		return Candidate{ID: id, Reason: OtherProvider}
	case configured && !mode.fits(l):
		return Candidate{ID: id, Reason: OtherMode}
	case l.Fault != "":
		return Candidate{ID: id, Reason: l.Fault, typeRank: l.Type.rank()}
	case l.Type == Token && !l.Expires.IsZero() && !s.q.Now.Before(l.Expires):
		return Candidate{ID: id, Reason: Expired, Until: l.Expires, typeRank: l.Type.rank()}
	}
	u := s.rules.Usage[id]
	c := Candidate{ID: id, typeRank: l.Type.rank(), lastUsed: u.LastUsed}
	if until, cause := u.Rest(s.q.Model, s.q.Now); !until.IsZero() && !steady(l.Provider) {
		c.Reason, c.Until, c.Cause = Resting, until, cause
	}
	return c
}

// compare is the order of use. Nobody's order, the default one, is by type and
// then takes the login that was used least recently.
func (s *search) compare(a, b Candidate) int {
	if c := cmp.Compare(a.class(), b.class()); c != 0 || a.class() == useless {
		return c
	}
	if a.Reason == Resting {
		return a.Until.Compare(b.Until)
	}
	if s.explicit {
		return 0
	}
	return cmp.Or(cmp.Compare(a.typeRank, b.typeRank), cmp.Compare(a.lastUsed, b.lastUsed))
}

// SameProvider compares two names of providers as people spell them.
func SameProvider(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}
