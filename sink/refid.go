package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// refIDPrefix begins every id by which another program asks for a secret, and
// refIDLength digits of the profile's key follow.
const (
	refIDPrefix = "p/"
	refIDLength = 16
)

func refID(key string) string { return refIDPrefix + key[:refIDLength] }

// RefID is the id by which other programs ask for the login's secret, as the
// mirror has it. It tells nothing of the login, and stays when that is renewed or
// made anew.
func (p Profile) RefID() string { return refID(p.at.key) }

// ByRefID finds the login of any agent that the mirrors have for an id;
// ErrUnknownProfile if there is none.
func (s *Store) ByRefID(id string) (Profile, error) {
	var trouble error
	for _, agent := range s.Agents() {
		for p, err := range s.Profiles(agent) {
			if err != nil { // the others may have it
				trouble = errors.Join(trouble, err)
				break
			}
			if p.RefID() == id {
				return p, nil
			}
		}
	}
	return Profile{}, fmt.Errorf("%w (%w)", ErrUnknownProfile, errors.Join(trouble, errNotMirrored))
}

var errNotMirrored = errors.New("no profile file names it")

// IndexedByRefID is ByRefID by the keychain's index, for a login whose entry in
// the mirror was lost.
func (s *Store) IndexedByRefID(ctx context.Context, id string) (Ref, error) {
	digits, ok := strings.CutPrefix(id, refIDPrefix)
	if !ok || !validKey(digits, refIDLength) {
		return Ref{}, ErrUnknownProfile
	}
	root, err := s.lookupRoot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return Ref{}, ErrUnknownProfile
	}
	if err != nil {
		return Ref{}, err
	}
	pages, err := s.index(ctx, root.RootID)
	if err != nil {
		return Ref{}, err
	}
	for _, p := range pages {
		for _, e := range p.Entries {
			if strings.HasPrefix(e.Key, digits) {
				return Ref{e.Agent, e.ID}, nil
			}
		}
	}
	return Ref{}, ErrUnknownProfile
}
