package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// ErrAmbiguous means that a name fits several logins.
var ErrAmbiguous = errors.New("several logins fit")

// Resolve finds the login that name means for an agent: a profile's id, or a
// provider, of which the first in the stored order is taken that needs no
// sign-in, or in the default order where none is stored. An empty name means
// the only login there is.
func (s *Store) Resolve(agent, name string) (Profile, error) {
	var all, fit []Profile
	for p, err := range s.Profiles(agent) {
		if err != nil {
			return Profile{}, err
		}
		if p.ID == name {
			return p, nil
		}
		all = append(all, p)
		if p.Provider == name || name == "" {
			fit = append(fit, p)
		}
	}
	if len(fit) == 0 {
		return Profile{}, fmt.Errorf("%s: %w", cmp.Or(name, "agent "+agent), ErrUnknownProfile)
	}
	if name == "" && len(fit) > 1 {
		return Profile{}, fmt.Errorf("%w: %s", ErrAmbiguous, ids(all))
	}
	if name != "" {
		return s.firstOf(agent, name, fit)
	}
	return fit[0], nil
}

// firstOf is the login of a provider to be used. A stored order is explicit:
// what it does not name is not chosen.
func (s *Store) firstOf(agent, provider string, fit []Profile) (Profile, error) {
	order, err := s.Order(agent, provider)
	if err != nil {
		return Profile{}, err
	}
	compare := byDefaultOrder
	if order != nil {
		fit = slices.DeleteFunc(fit, func(p Profile) bool { return !slices.Contains(order, p.ID) })
		compare = func(a, b Profile) int {
			return cmp.Or(cmp.Compare(broken(a), broken(b)), cmp.Compare(slices.Index(order, a.ID), slices.Index(order, b.ID)))
		}
	}
	if len(fit) == 0 {
		return Profile{}, fmt.Errorf("%s: %w in the order that was set", provider, ErrUnknownProfile)
	}
	slices.SortStableFunc(fit, compare)
	return fit[0], nil
}

func ids(profiles []Profile) string {
	var s []string
	for _, p := range profiles {
		s = append(s, p.ID)
	}
	return strings.Join(s, ", ")
}

// byDefaultOrder puts logins that need a person last, and else sorts as
// OpenClaw does: OAuth, tokens, API keys.
func byDefaultOrder(a, b Profile) int {
	return cmp.Or(
		cmp.Compare(broken(a), broken(b)),
		cmp.Compare(rank(a.Kind), rank(b.Kind)),
	)
}

func broken(p Profile) int {
	if p.State == StateNeedsLogin {
		return 1
	}
	return 0
}

func rank(k Kind) int {
	return slices.Index([]Kind{KindOAuth, KindToken, KindAPIKey}, k)
}

// Indexed are the logins that the keychain knows, of all agents: the truth that
// the mirrors repeat. A root that was never used has none.
func (s *Store) Indexed(ctx context.Context) ([]Ref, error) {
	root, err := s.lookupRoot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pages, err := s.index(ctx, root.RootID)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for _, p := range pages {
		for _, e := range p.Entries {
			refs = append(refs, Ref{e.Agent, e.ID})
		}
	}
	return refs, nil
}

// Restore writes a profile's entry in the mirror anew from the keychain.
func (s *Store) Restore(ctx context.Context, ref Ref) error {
	return s.Update(ctx, ref, func(*Tx) error { return nil })
}
