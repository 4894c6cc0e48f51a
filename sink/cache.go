package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
)

// The runtime cache is what was learnt while logins were used: which session is
// pinned to which login, which login rests after a failure, which worked last.
// It holds no secret and may be lost without harm.
//
// In Keytray's own root it is agents/<agent>/agent/auth.json. OpenClaw has had a
// file of that name and still reads, cleans or refuses it; so in its root the
// pins lie beside the locks, and the rest where that program keeps it: in
// auth-state.json if there is one, else in auth-profiles.json. A file that is
// not ours is left alone wherever it lies.

const (
	cacheLimit = 16 << 20
	cacheOwner = "keytray"
	// sessionLimit is the number of sessions whose pins are kept, the latest
	// ones; keyLimit is the length of their names in bytes.
	sessionLimit = 1000
	keyLimit     = 256
)

// ErrSessionKey is a session's name that cannot be used.
var ErrSessionKey = errors.New("a session's name has 1 to 256 bytes of UTF-8")

// cache is the file in memory.
type cache struct {
	path   string
	object object.JSON
}

// session is what is pinned in a session.
type session struct {
	// Pins is by provider.
	Pins map[string]string `json:"pins"`
	// At is when it was last changed, Unix milliseconds.
	At int64 `json:"at"`
}

// readCache reads an agent's cache, empty if there is none. Damage is no error
// in a file that only we write.
func (s *Store) readCache(agent string) (cache, error) {
	if !s.Shared() {
		path := filepath.Join(s.agentDir(agent), "auth.json")
		c, err := s.readCacheAt(path)
		if !errors.Is(err, errForeignCache) {
			return c, err
		}
	}
	name := "cache-" + checksum([]byte(disk.Resolved(s.agentDir(agent)))) + ".json"
	return s.readCacheAt(filepath.Join(s.knownPlace(), name))
}

// errForeignCache is a file where our cache would be.
var errForeignCache = errors.New("not a cache of ours")

func (s *Store) readCacheAt(path string) (cache, error) {
	b, err := s.disk.Read(path, cacheLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return cache{path: path}, nil
	}
	if err != nil {
		return cache{path: path}, err
	}
	o, err := object.Parse(b)
	owner, _ := o.Get("owner")
	if err != nil || string(owner) != string(mustJSON(cacheOwner)) {
		return cache{path: path}, fmt.Errorf("%s: %w", path, errForeignCache)
	}
	return cache{path, o}, nil
}

// Shared reports whether the root is also OpenClaw's.
func (s *Store) Shared() bool {
	return s.OpenClaw || openClawName(s.dir) || openClawName(disk.Resolved(s.dir)) ||
		disk.Exists(filepath.Join(s.dir, "openclaw.json")) || usesSQLite(s.dir, s.AgentDirs)
}

func openClawName(dir string) bool { return strings.HasPrefix(filepath.Base(dir), ".openclaw") }

func (c cache) sessions() map[string]session {
	raw, _ := c.object.Get("sessions")
	all := map[string]session{}
	if json.Unmarshal(raw, &all) != nil {
		return map[string]session{}
	}
	return all
}

func (c cache) pin(key, provider string) string {
	if key == "" {
		return ""
	}
	return c.sessions()[key].Pins[strings.ToLower(provider)]
}

// Pin makes a login the one that a session uses of its provider.
func (s *Store) Pin(ctx context.Context, p Profile, key string) error {
	return s.editSessions(ctx, p.Agent, key, func(all map[string]session) {
		x := all[key]
		if x.Pins == nil {
			x.Pins = map[string]string{}
		}
		x.Pins[strings.ToLower(p.Provider)] = p.ID
		x.At = millis(s.clock().Wall)
		all[key] = x
	})
}

// Unpin forgets what a session is pinned to.
func (s *Store) Unpin(ctx context.Context, agent, key string) error {
	return s.editSessions(ctx, agent, key, func(all map[string]session) { delete(all, key) })
}

// CheckSession reports whether a session may have that name.
func CheckSession(key string) error {
	if key == "" || len(key) > keyLimit || !utf8.ValidString(key) {
		return ErrSessionKey
	}
	return nil
}

func (s *Store) editSessions(ctx context.Context, agent, key string, f func(map[string]session)) error {
	if err := CheckSession(key); err != nil {
		return err
	}
	return s.editCache(ctx, agent, func(c cache) object.JSON {
		all := c.sessions()
		f(all)
		return c.object.Change("sessions", func(object.JSON) object.JSON { return latest(all) })
	})
}

// latest are the sessions to keep, the oldest first.
func latest(all map[string]session) (kept object.JSON) {
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[a].At, all[b].At), cmp.Compare(a, b))
	})
	for _, key := range keys[max(0, len(keys)-sessionLimit):] {
		kept = kept.Set(key, mustJSON(all[key]))
	}
	return kept
}

// editCache changes the cache under the lock of the agent's files.
func (s *Store) editCache(ctx context.Context, agent string, f func(cache) object.JSON) error {
	unlock, err := s.lockAgent(ctx, agent)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.readCache(agent)
	if err != nil {
		return err
	}
	next := f(c)
	if next.Equal(c.object) {
		return nil
	}
	if !next.Has("owner") {
		next = append(object.JSON{}.Set("version", mustJSON(1)).Set("owner", mustJSON(cacheOwner)), next...)
	}
	b, err := next.Indent()
	if err == nil {
		err = s.disk.Replace(c.path, b)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", c.path, err)
	}
	return nil
}

// lockAgent takes the lock of an agent's files without the keychain's help.
func (s *Store) lockAgent(ctx context.Context, agent string) (unlock func(), err error) {
	if err := CheckAgent(agent); err != nil {
		return nil, err
	}
	place := s.knownPlace()
	if err := s.disk.Prepare(place); err != nil {
		return nil, err
	}
	if err := s.prepareAgent(agent); err != nil {
		return nil, err
	}
	return s.lockMirror(ctx, place, agent)
}
