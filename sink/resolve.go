package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keytray/keytray/route"
)

var (
	// ErrAmbiguous means that a name fits several logins.
	ErrAmbiguous = errors.New("several logins fit")
	// ErrNoChoice means that there are logins of a provider and none may be used.
	ErrNoChoice = errors.New("none of the logins may be used")
)

// Request says which login is wanted. With nothing but the agent it is the only
// one there is.
type Request struct {
	Agent string
	// Name is a profile's id or a provider, Profile an id and nothing else.
	Name, Profile string
	// Model is provider/model or model@profile, in place of a name.
	Model string
	// Session is the caller's own word for a conversation; a login may be pinned
	// to it.
	Session string
}

// Orphans reports whether there are logins of the provider that bear our
// reference and not our mark: another program dropped it. [Store.Restore] brings
// them back.
func (x Resolved) Orphans() bool {
	return slices.ContainsFunc(x.Choice.Others, func(c route.Candidate) bool { return c.Reason == route.Orphan })
}

// Resolved is the login that a request means, and why it is that one.
type Resolved struct {
	Profile Profile
	// Provider is the one that was asked for.
	Provider string
	// Choice has the others too, also where there is an error.
	Choice route.Choice
	// Warning is a file that could not be read and was left out.
	Warning error
}

// Resolve finds the login that a request means: the one that is named, the one
// that the session is pinned to, or the first of its provider in the order that
// is stored, in openclaw.json, or the default. It reads files only, writes
// nothing, and the same files have the same answer.
func (s *Store) Resolve(r Request) (Resolved, error) {
	m, err := s.readMirror(r.Agent)
	if err != nil {
		return Resolved{}, err
	}
	a := m.logins(r.Agent)
	q := route.Question{Now: s.clock().Wall}
	name := cmp.Or(r.Profile, r.Name)
	if r.Model != "" {
		if name, q.Model, err = a.ofModel(r.Model); err != nil {
			return Resolved{}, err
		}
	}
	if i, ok := a.at[name]; ok {
		c, _ := route.Name(a.logins, name, q)
		switch c.Reason {
		case route.Orphan:
			return Resolved{}, fmt.Errorf("%s: %w", name, ErrUnknownProfile)
		case route.AnotherProgram:
			return Resolved{Provider: a.logins[i].Provider, Choice: c}, fmt.Errorf("%s: %w: another program keeps it", name, ErrNoChoice)
		}
		return Resolved{Profile: a.profiles[name], Provider: a.logins[i].Provider, Choice: c}, nil
	}
	if r.Profile != "" {
		return Resolved{}, fmt.Errorf("%s: %w", r.Profile, ErrUnknownProfile)
	}
	if name == "" {
		return a.only(r.Agent, q)
	}
	q.Provider = name
	return s.choose(r, m, a, q)
}

// choose applies the rules to the logins of one provider.
func (s *Store) choose(r Request, m mirror, a agentLogins, q route.Question) (Resolved, error) {
	if !a.has(q.Provider) {
		return Resolved{}, fmt.Errorf("%s: %w", q.Provider, ErrUnknownProfile)
	}
	l := s.learnt(r.Agent, m, r.Session != "")
	q.Pin = l.cache.pin(r.Session, q.Provider)
	c, ok := route.Choose(a.logins, l.rules(q.Provider), q)
	x := Resolved{Profile: a.profiles[c.ID], Provider: q.Provider, Choice: c, Warning: l.warning}
	if !ok {
		return x, fmt.Errorf("%s: %w", q.Provider, ErrNoChoice)
	}
	return x, nil
}

// learnt is what stands in an agent's files beyond its logins.
type learnt struct {
	mirror  mirror
	config  route.Config
	cache   cache
	usage   map[string]route.Usage
	warning error
}

func (s *Store) learnt(agent string, m mirror, pins bool) learnt {
	l := learnt{mirror: m}
	var stateErr, configErr, cacheErr error
	l.mirror.state, stateErr = s.readState(agent)
	l.config, configErr = s.config()
	if pins || !s.Shared() {
		l.cache, cacheErr = s.readCache(agent)
	}
	l.usage = usage(m.top, l.mirror.state, l.cache.object)
	l.warning = errors.Join(stateErr, configErr, cacheErr)
	return l
}

func (l learnt) rules(provider string) route.Rules {
	return route.Rules{Order: l.mirror.order(provider), Config: l.config, Usage: l.usage}
}

// InOrder are an agent's logins by provider, and those of one provider in the
// order in which they would be used now; those that would not be used come last.
// Like [Store.Profiles] it reads files only. ErrMirrorMissing (within a
// *MirrorError) when there is no file.
func (s *Store) InOrder(agent string) ([]Profile, error) {
	m, err := s.readMirror(agent)
	if err != nil {
		return nil, err
	}
	a := m.logins(agent)
	l := s.learnt(agent, m, false)
	byProvider := map[string][]route.Login{}
	for _, login := range a.logins {
		provider := strings.ToLower(login.Provider)
		byProvider[provider] = append(byProvider[provider], login)
	}
	var all []Profile
	for _, provider := range slices.Sorted(maps.Keys(byProvider)) {
		q := route.Question{Provider: provider, Now: s.clock().Wall}
		for _, c := range route.Rank(byProvider[provider], l.rules(provider), q) {
			if p, ok := a.profiles[c.ID]; ok {
				p.Rest = restOf(l.usage[c.ID], q.Now)
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// agentLogins are an agent's logins, those that other programs keep included.
type agentLogins struct {
	logins   []route.Login
	at       map[string]int
	profiles map[string]Profile // ours
}

func (m mirror) logins(agent string) agentLogins {
	a := agentLogins{at: map[string]int{}, profiles: map[string]Profile{}}
	for _, raw := range m.profiles {
		e, ok := parseEntry(raw.Value)
		if !ok || e.Provider == "" {
			continue
		}
		l := route.Login{ID: raw.Name, Provider: e.Provider, Type: route.Type(e.Type), Fault: route.AnotherProgram}
		if e.orphan() {
			l.Fault = route.Orphan
		}
		if p, ok := e.profile(agent, raw.Name); ok {
			l = p.login()
			a.profiles[p.ID] = p
		}
		a.at[l.ID] = len(a.logins)
		a.logins = append(a.logins, l)
	}
	return a
}

func (p Profile) login() route.Login {
	l := route.Login{ID: p.ID, Provider: p.Provider, Type: route.Type(p.Kind), Ours: true, Expires: p.Expires}
	switch p.State {
	case StateNeedsLogin, StateMoved:
		l.Fault = route.NeedsLogin
	case StateForeignHost:
		l.Fault = route.ForeignHost
	}
	return l
}

// has reports whether one of ours is of the provider.
func (a agentLogins) has(provider string) bool {
	for _, p := range a.profiles {
		if route.SameProvider(p.Provider, provider) {
			return true
		}
	}
	return false
}

// ofModel is the login or provider that model@profile or provider/model names,
// and the model's name without either. The profile decides: a gateway's models
// are called by other providers' names.
func (a agentLogins) ofModel(ref string) (name, model string, err error) {
	model, id := route.SplitModel(ref)
	if id == "" {
		provider, model, err := route.ModelProvider(model)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", ref, err)
		}
		return provider, model, nil
	}
	i, ok := a.at[id]
	if !ok {
		return "", "", fmt.Errorf("%s: %w", id, ErrUnknownProfile)
	}
	return id, route.ModelOf(model, a.logins[i].Provider), nil
}

// only is the answer to no question at all.
func (a agentLogins) only(agent string, q route.Question) (Resolved, error) {
	var ids []string
	for _, l := range a.logins {
		if l.Ours {
			ids = append(ids, l.ID)
		}
	}
	switch len(ids) {
	case 0:
		return Resolved{}, fmt.Errorf("agent %s: %w", agent, ErrUnknownProfile)
	case 1:
		c, _ := route.Name(a.logins, ids[0], q)
		c.Why = route.Only
		return Resolved{Profile: a.profiles[ids[0]], Provider: a.profiles[ids[0]].Provider, Choice: c}, nil
	}
	shown := strings.Join(ids[:min(len(ids), 8)], ", ")
	if len(ids) > 8 {
		shown += fmt.Sprintf(" and %d more", len(ids)-8)
	}
	return Resolved{}, fmt.Errorf("%w: %s", ErrAmbiguous, shown)
}

// configLimit is the largest openclaw.json that is read, bytes.
const configLimit = 4 << 20

// config is what the root's openclaw.json says; nothing if there is none. It is
// OpenClaw's file: a link will do, and an error is a reason to go on without.
func (s *Store) config() (route.Config, error) { return readConfig(s.dir) }

func readConfig(dir string) (route.Config, error) {
	path := filepath.Join(dir, "openclaw.json")
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return route.Config{}, nil
	}
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > configLimit {
		return route.Config{}, cmp.Or(err, fmt.Errorf("%s is not a file of ordinary size", path))
	}
	f, err := os.Open(path)
	if err != nil {
		return route.Config{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, configLimit))
	if err != nil {
		return route.Config{}, err
	}
	c, err := route.ParseConfig(b)
	if err != nil {
		return route.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
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
