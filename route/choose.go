package route

import (
	"slices"
	"time"
)

// Choice is the login to use, and what there is to say about all others.
type Choice struct {
	// Candidate is the one chosen; its Reason says what speaks against it all the
	// same.
	Candidate
	Why    Reason
	Others []Candidate
}

// Choose finds the login of a provider to use; ok is false if there is none. A
// pin decides whatever the order says, and also for a login that rests or needs
// its person: another account is never taken in its place. A pin to a login that
// is gone, or of another provider, decides nothing. A login that needs its
// person is chosen only if all do, so that the caller hears what would help.
func Choose(logins []Login, r Rules, q Question) (c Choice, ok bool) {
	s := newSearch(logins, r, q)
	ranked := s.rank()
	pin := slices.IndexFunc(logins, func(l Login) bool {
		return l.ID == q.Pin && SameProvider(l.Provider, q.Provider) && !slices.Contains([]Reason{AnotherProgram, Orphan, Empty}, l.Fault)
	})
	i, why, others := 0, s.why(), Later
	if pin >= 0 {
		i, why, others = slices.IndexFunc(ranked, func(c Candidate) bool { return c.ID == q.Pin }), Pinned, NotPinned
	}
	if i >= len(ranked) || (pin < 0 && ranked[i].class() == useless) {
		return Choice{Others: ranked}, false
	}
	c = Choice{Candidate: ranked[i], Why: why}
	c.Others = slices.Delete(ranked, i, i+1)
	c.passOver(others)
	return c, true
}

// Name is the choice of a person who named a login: nothing else is asked.
func Name(logins []Login, id string, q Question) (c Choice, ok bool) {
	for _, l := range logins {
		if l.ID == id {
			q.Provider, ok = l.Provider, true
		}
	}
	c.Why = Named
	for _, candidate := range Rank(logins, Rules{}, q) {
		if candidate.ID == id {
			c.Candidate = candidate
			continue
		}
		c.Others = append(c.Others, candidate)
	}
	c.passOver(NotNamed)
	return c, ok
}

// passOver gives a reason to those that nothing else speaks against.
func (c *Choice) passOver(why Reason) {
	for i := range c.Others {
		if c.Others[i].Reason == "" {
			c.Others[i].Reason = why
		}
	}
}

// why says whose order it is that the first login is the first in.
func (s *search) why() Reason {
	if len(s.stored()) == 1 {
		return Only
	}
	return s.source
}

// Sentence says in a person's words why the login was chosen.
func (c Choice) Sentence(now time.Time) string {
	s := map[Reason]string{
		Named:        "it was named",
		Pinned:       "the session is pinned to it",
		Only:         "it is the only login of the provider",
		FirstStored:  "it comes first in the stored order",
		FirstConfig:  "it comes first in auth.order of openclaw.json",
		FirstDefault: "it comes first in the default order: OAuth, tokens, API keys; of equals the one not used for longest",
	}[c.Why]
	if c.Reason != "" {
		s += "; it " + c.Candidate.Sentence(now)
	}
	return s
}

// Sentence says in a person's words what speaks against the login.
func (c Candidate) Sentence(now time.Time) string {
	if c.Reason == Resting {
		return "rests for another " + c.Until.Sub(now).Round(time.Second).String() + because(c.Cause)
	}
	return map[Reason]string{
		Later:          "comes later in the order",
		NotPinned:      "is not the one that the session is pinned to",
		NotNamed:       "is not the one that was named",
		Expired:        "has expired",
		NeedsLogin:     "needs a new sign-in",
		ForeignHost:    "belongs to another machine",
		Empty:          "holds no secret",
		AnotherProgram: "is kept by another program",
		Orphan:         "has no mark of ours in the profile file any more, and the keychain does not know it",
		Missing:        "is named by the order and does not exist",
		OtherMode:      "is of another kind than openclaw.json says",
		NotInOrder:     "is not in the order that was set",
		OtherProvider:  "is a login of another provider",
	}[c.Reason]
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return " after " + cause
}
