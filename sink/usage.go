package sink

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/route"
)

// Report remembers how a request went that used a login: failure is empty for
// one that worked. Model, if not empty, is the only one that a limit concerns.
// It needs no keychain, and returns what is remembered now.
func (s *Store) Report(ctx context.Context, ref Ref, failure route.Failure, model string) (route.Usage, error) {
	p, err := s.Profile(ref)
	if err != nil {
		return route.Usage{}, err
	}
	r := report{p: p, failure: failure, model: route.ModelOf(model, p.Provider), s: s}
	if s.Shared() {
		err = s.editMirror(ctx, p.at.place, ref.Agent, r.inMirror)
	} else {
		err = s.editCache(ctx, ref.Agent, r.inCache)
	}
	return r.after, err
}

// report is one Report at work.
type report struct {
	s       *Store
	p       Profile
	failure route.Failure
	model   string
	after   route.Usage
}

func (r *report) inMirror(m *mirror) error {
	before := usage(m.top, m.state)[r.p.ID]
	switch {
	case m.stateErr != nil:
		return m.stateErr
	case m.state != nil:
		m.state = r.in(m.state, before)
	default:
		m.top = r.in(m.top, before)
	}
	return nil
}

// inCache also forgets logins that are gone.
func (r *report) inCache(c cache) object.JSON {
	o := c.object
	if m, err := r.s.readMirror(r.p.Agent); err == nil {
		o = o.Change("usageStats", func(stats object.JSON) object.JSON {
			known := m.logins(r.p.Agent).at
			return slices.DeleteFunc(stats, func(x object.Member) bool { _, ok := known[x.Name]; return !ok })
		})
	}
	return r.in(o, usage(c.object)[r.p.ID])
}

func (r *report) in(o object.JSON, before route.Usage) object.JSON {
	now := r.s.clock().Wall
	r.after = before.Worked(now)
	if r.failure != "" {
		r.after = before.Failed(r.failure, r.p.Provider, r.model, now)
	}
	o = o.Change("usageStats", func(stats object.JSON) object.JSON {
		raw, _ := stats.Get(r.p.ID)
		return stats.Set(r.p.ID, mergeUsage(raw, r.after))
	})
	if r.failure != "" {
		return o
	}
	return o.Change("lastGood", func(good object.JSON) object.JSON {
		return good.Set(strings.ToLower(r.p.Provider), mustJSON(r.p.ID))
	})
}

// restOf is the rest that a usage tells of, whatever the model.
func restOf(u route.Usage, now time.Time) Rest {
	until, cause := u.Rest("", now)
	if until.IsZero() {
		return Rest{}
	}
	return Rest{until, cause, u.DisabledUntil == until.UnixMilli()}
}

// usage reads usageStats, of which a later layer's entries win. Values of the
// wrong type count as absent, one by one.
func usage(layers ...object.JSON) map[string]route.Usage {
	all := map[string]route.Usage{}
	for _, layer := range layers {
		raw, _ := layer.Get("usageStats")
		stats, err := object.Parse(raw)
		if err != nil {
			continue
		}
		for _, m := range stats {
			var u route.Usage
			_ = json.Unmarshal(m.Value, &u) // what does fit has been taken over
			all[m.Name] = u
		}
	}
	return all
}

// mergeUsage writes u over an entry, keeping what only OpenClaw knows.
func mergeUsage(raw json.RawMessage, u route.Usage) json.RawMessage {
	old, err := object.Parse(raw)
	if err != nil {
		old = nil // not an object: nobody reads it
	}
	if u.BlockedUntil == 0 {
		old = old.Without("blockedModel", "blockedScope", "blockedSource")
	}
	old = slices.DeleteFunc(old, func(m object.Member) bool {
		return slices.ContainsFunc(usageNames(), func(name string) bool { return strings.EqualFold(m.Name, name) }) // as encoding/json reads them
	})
	next, err := object.Parse(mustJSON(u))
	if err != nil {
		panic("sink: encoding a usage: " + err.Error())
	}
	return append(next, old...).Encode()
}

// usageNames are the members of a usage that we write.
func usageNames() []string {
	return []string{
		"lastUsed", "cooldownUntil", "cooldownReason", "cooldownModel", "disabledUntil", "disabledReason",
		"blockedUntil", "blockedReason", "errorCount", "failureCounts", "lastFailureAt",
	}
}
