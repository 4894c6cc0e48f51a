package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/sink"
)

// profiles are the logins that the profile files of all agents tell of. A file
// that cannot be read tells of none.
func (v *visit) profiles() iter.Seq[sink.Profile] {
	return func(yield func(sink.Profile) bool) {
		for _, agent := range v.k.Store.Agents() {
			for p, err := range v.k.Store.Profiles(agent) {
				if err == nil && !yield(p) {
					return
				}
			}
		}
	}
}

// lookAtLogins compares the profile files with the keychain's index.
func lookAtLogins(ctx context.Context, v *visit) []finding {
	if v.closed != nil {
		return []finding{skipped("the keychain cannot be asked which there are")}
	}
	refs, err := v.k.Store.Indexed(ctx)
	if err != nil {
		return []finding{broken(err)}
	}
	known, unread := map[sink.Ref]sink.Profile{}, map[string]error{}
	for _, agent := range agentsOf(refs) {
		for p, err := range v.k.Store.Profiles(agent) {
			if err != nil {
				unread[agent] = err
				break
			}
			known[p.Ref] = p
		}
	}
	var found []finding
	for _, ref := range refs {
		p, ok := known[ref]
		wrong := unread[ref.Agent]
		if !ok && wrong == nil {
			wrong = sink.ErrUnknownProfile
		}
		found = append(found, v.examine(ctx, ref, p, wrong)...)
	}
	if found == nil {
		found = append(found, fine("%d, all as the keychain says", len(refs)))
	}
	return found
}

// agentsOf are the agents of refs, each once.
func agentsOf(refs []sink.Ref) (agents []string) {
	seen := map[string]bool{}
	for _, ref := range refs {
		if !seen[ref.Agent] {
			seen[ref.Agent] = true
			agents = append(agents, ref.Agent)
		}
	}
	return agents
}

// examine tells what is wrong with one login, and mends it. Wrong is why its
// profile could not be read.
func (v *visit) examine(ctx context.Context, ref sink.Ref, p sink.Profile, wrong error) []finding {
	login := fmt.Sprintf("%s of agent %s", ref.ID, ref.Agent)
	switch {
	case wrong != nil:
	case p.State == sink.StateForeignHost:
	case p.State == sink.StatePendingSave, v.fix && v.k.Store.Unfinished(p):
		return v.finish(ctx, p, login)
	default:
		return nil
	}
	if !v.fix {
		return []finding{failed(mendable, "%s: %s", complaint(wrong), login)}
	}
	found, err := v.mend(ctx, ref, wrong, login)
	switch {
	case errors.Is(err, sink.ErrImporting):
		_, hint := setup.Explain(err)
		found = append(found, failed(hint, "not moved: %s: %s", login, setup.OneLine(err)))
	case err != nil:
		found = append(found, broken(fmt.Errorf("%s: %w", login, err)))
	}
	return found
}

// complaint is one word for what is wrong with an entry.
func complaint(err error) string {
	switch {
	case err == nil:
		return "foreign"
	case errors.Is(err, sink.ErrMirrorMissing), errors.Is(err, sink.ErrUnknownProfile):
		return "missing"
	default:
		return "unreadable"
	}
}

// mend does what helps against wrong.
func (v *visit) mend(ctx context.Context, ref sink.Ref, wrong error, login string) (found []finding, err error) {
	store := v.k.Store
	if wrong == nil {
		if err := store.Adopt(ctx, ref); err != nil {
			return nil, err
		}
		return []finding{mended("adopted: %s", login)}, nil
	}
	// Another login of the file may have mended it already.
	if _, wrong = store.Profile(ref); complaint(wrong) == "unreadable" {
		aside, err := store.SetAside(ctx, ref.Agent)
		if err != nil {
			return nil, err
		}
		found = append(found, mended("set aside: %s", aside))
	}
	if err := store.Restore(ctx, ref); err != nil {
		return found, err
	}
	if _, err := store.Profile(ref); errors.Is(err, sink.ErrUnknownProfile) {
		return append(found, mended("cleared: %s", login)), nil // an index entry of a first login that never came to be
	}
	return append(found, mended("restored: %s", login)), nil
}

// finish lets a login that waits in its journal be saved.
func (v *visit) finish(ctx context.Context, p sink.Profile, login string) []finding {
	if !v.fix {
		return []finding{failed(mendable, "not saved in the keychain yet: %s", login)}
	}
	if err := v.k.Store.Restore(ctx, p.Ref); err != nil {
		return []finding{broken(fmt.Errorf("%s: %w", login, err))}
	}
	now, err := v.k.Store.Profile(p.Ref)
	switch {
	case err != nil:
		return []finding{broken(err)}
	case now.State == sink.StatePendingSave:
		return []finding{broken(fmt.Errorf("%s: %w", login, sink.ErrNotSaved))}
	case p.State == sink.StatePendingSave:
		return []finding{mended("saved: %s", login)}
	}
	return nil // what was under way is at its end, or waits for its server
}
