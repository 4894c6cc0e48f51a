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
// provider, of which the first in the default order is taken. An empty name
// means the only login there is.
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
	slices.SortStableFunc(fit, byDefaultOrder)
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
