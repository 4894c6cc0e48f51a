package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/route"
)

// The order says which login of a provider comes first, as a person put them.
// It is the member "order" of auth-profiles.json. OpenClaw from 2026.4.7 on
// keeps it in auth-state.json beside that file and lets what stands there win;
// so do we wherever there is such a file, and we never make one.

// ErrOtherProvider means that a login is not one of the provider in question.
var ErrOtherProvider = errors.New("not a login of this provider")

func (s *Store) statePath(agent string) string {
	return filepath.Join(s.agentDir(agent), "auth-state.json")
}

// readState reads auth-state.json, nil if there is none.
func (s *Store) readState(agent string) (object.JSON, error) {
	path := s.statePath(agent)
	b, err := s.disk.Read(path, mirrorLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &MirrorError{path, err}
	}
	o, err := object.Parse(b)
	if err != nil {
		return nil, &MirrorError{path, err}
	}
	return o, nil
}

// Order is the stored order of an agent's logins of a provider, nil if nobody
// stored one. It may name logins that are gone, and those of other programs.
func (s *Store) Order(agent, provider string) ([]string, error) {
	m, err := s.readMirror(agent)
	if err != nil && !errors.Is(err, ErrMirrorMissing) {
		return nil, err
	}
	if m.state, err = s.readState(agent); err != nil {
		return nil, err
	}
	return m.order(provider), nil
}

// OrderFile is the file in which an agent's order lies or would lie.
func (s *Store) OrderFile(agent string) string {
	if path := s.statePath(agent); disk.Exists(path) {
		return path
	}
	return s.mirrorPath(agent)
}

// SetOrder stores the order of an agent's logins of a provider; without ids the
// provider has none any more. It needs no keychain.
func (s *Store) SetOrder(ctx context.Context, agent, provider string, ids ...string) error {
	return s.editOrder(ctx, agent, provider, func(m *mirror) ([]string, error) {
		for _, id := range ids {
			e, ok := m.entry(id)
			if !ok {
				return nil, fmt.Errorf("%s: %w", id, ErrUnknownProfile)
			}
			if !route.SameProvider(e.Provider, provider) {
				return nil, fmt.Errorf("%s: %w", id, ErrOtherProvider)
			}
		}
		return ids, nil
	})
}

// PutFirst puts a login before all others of its provider, which keep their
// order. It needs no keychain.
func (s *Store) PutFirst(ctx context.Context, ref Ref) error {
	p, err := s.Profile(ref)
	if err != nil {
		return err
	}
	return s.editOrder(ctx, ref.Agent, p.Provider, func(m *mirror) ([]string, error) {
		rest := m.order(p.Provider)
		if rest == nil {
			c, _ := s.config() // without it the default order is as good
			rest = m.otherOrder(ref.Agent, p.Provider, c)
		}
		return append([]string{ref.ID}, rest...), nil
	})
}

// editOrder stores what f says under the mirror's lock.
func (s *Store) editOrder(ctx context.Context, agent, provider string, f func(*mirror) ([]string, error)) error {
	if err := CheckAgent(agent); err != nil {
		return err
	}
	if _, err := s.readMirror(agent); errors.Is(err, ErrMirrorMissing) {
		return fmt.Errorf("agent %s: %w", agent, ErrUnknownProfile)
	}
	return s.editMirror(ctx, s.knownPlace(), agent, func(m *mirror) error {
		if m.stateErr != nil {
			return m.stateErr
		}
		ids, err := f(m)
		if err == nil {
			m.setOrder(provider, ids)
		}
		return err
	})
}

// order is the stored order, nil if there is none.
func (m *mirror) order(provider string) []string {
	if ids := orderIn(m.state, provider); ids != nil {
		return ids
	}
	return orderIn(m.top, provider)
}

// otherOrder are the ids of a provider's logins as they are chosen without a
// stored order, those that other programs keep in the file last.
func (m *mirror) otherOrder(agent, provider string, c route.Config) (ids []string) {
	for _, x := range route.Rank(m.logins(agent).logins, route.Rules{Config: c}, route.Question{Provider: provider}) {
		switch x.Reason {
		case route.OtherProvider, route.OtherMode, route.NotInOrder, route.Missing:
		default:
			ids = append(ids, x.ID)
		}
	}
	return ids
}

// setOrder changes the stored order where it is read from.
func (m *mirror) setOrder(provider string, ids []string) {
	if m.state == nil {
		m.top = withOrder(m.top, provider, ids)
		return
	}
	m.state = withOrder(m.state, provider, ids)
	m.top = withOrder(m.top, provider, nil) // or it would be back once the other file is gone
}

// joinOrder puts a new login behind the others where an order is stored, since
// one that the order does not name is never chosen.
func (m *mirror) joinOrder(provider, id string) {
	if ids := m.order(provider); ids != nil && m.stateErr == nil && !slices.Contains(ids, id) {
		m.setOrder(provider, append(ids, id))
	}
}

// leaveOrder forgets a login that was signed out.
func (m *mirror) leaveOrder(provider, id string) {
	if ids := m.order(provider); m.stateErr == nil && slices.Contains(ids, id) {
		m.setOrder(provider, slices.DeleteFunc(ids, func(s string) bool { return s == id }))
	}
}

// orderIn reads the order of one provider as OpenClaw does: what is no list, or
// an empty one, says nothing.
func orderIn(o object.JSON, provider string) []string {
	raw, _ := o.Get("order")
	orders, err := object.Parse(raw)
	if err != nil {
		return nil
	}
	for _, m := range orders {
		if !route.SameProvider(m.Name, provider) {
			continue
		}
		if ids := orderedIDs(m.Value); ids != nil {
			return ids
		}
	}
	return nil
}

func orderedIDs(raw json.RawMessage) []string {
	var list []any
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var ids []string
	for _, v := range list {
		id, _ := v.(string)
		if id = strings.TrimSpace(id); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// withOrder replaces the order of one provider, however its name is spelt, and
// drops it if ids are none.
func withOrder(o object.JSON, provider string, ids []string) object.JSON {
	return o.Change("order", func(orders object.JSON) object.JSON {
		orders = slices.DeleteFunc(orders, func(m object.Member) bool { return route.SameProvider(m.Name, provider) })
		if len(ids) > 0 {
			orders = orders.Set(strings.ToLower(provider), mustJSON(distinct(ids)))
		}
		return orders
	})
}

func distinct(ids []string) []string {
	var d []string
	for _, id := range ids {
		if !slices.Contains(d, id) {
			d = append(d, id)
		}
	}
	return d
}
