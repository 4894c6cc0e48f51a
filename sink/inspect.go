package sink

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/keytray/keytray/disk"
)

// Inspect returns what is wrong with the kind, owner and mode of the folders and
// files that the store keeps, and with the place for its locks: a [*disk.UnsafeError]
// for each. With fix it first takes away others' right to write what is ours,
// and tells where that helped.
func (s *Store) Inspect(fix bool) (wrong []error, mended []string) {
	for _, path := range s.paths() {
		err := disk.Check(path)
		if err != nil && fix && disk.Tighten(path) == nil && disk.Check(path) == nil {
			mended, err = append(mended, path), nil
		}
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	if place := s.knownPlace(); disk.Exists(place) {
		if err := disk.CheckLocal(place); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong, mended
}

// paths are the folders and files of the store, of which some may not be there.
func (s *Store) paths() []string {
	place := s.knownPlace()
	paths := []string{disk.Resolved(s.dir), filepath.Join(s.dir, "agents"), disk.Resolved(place), filepath.Join(s.dir, "providers")}
	for _, agent := range s.Agents() {
		dir := s.agentDir(agent)
		if _, elsewhere := s.AgentDirs[agent]; !elsewhere {
			paths = append(paths, filepath.Dir(dir))
		}
		paths = append(paths, dir, filepath.Join(dir, "auth-profiles.json"), filepath.Join(dir, "auth-state.json"))
	}
	for _, pattern := range []string{filepath.Join(s.dir, "providers", "*.json"), filepath.Join(place, "*")} {
		some, _ := filepath.Glob(pattern) // a bad pattern is a folder that has nothing of ours
		paths = append(paths, some...)
	}
	return paths
}

// Holder is a process that works on a login.
type Holder struct {
	PID int
	// Stopped says that it stands still, as after Ctrl-Z, and keeps others out.
	Stopped bool
}

// Holders are the processes that hold the lock of a login right now.
func (s *Store) Holders() []Holder {
	place := s.knownPlace()
	entries, _ := os.ReadDir(place) // a place without is new
	var holders []Holder
	for _, e := range entries {
		key, isLock := strings.CutSuffix(e.Name(), ".lock")
		if !isLock || !validKey(key, 64) {
			continue
		}
		path := filepath.Join(place, e.Name())
		p := s.locker.Body(path).Holder
		if p.PID == 0 || !s.locker.Lives(p) {
			continue // whoever held it last is gone
		}
		unlock, err := s.locker.TryLock(path)
		if unlock != nil {
			unlock()
			continue
		}
		if err == nil {
			holders = append(holders, Holder{p.PID, p.Stopped()})
		}
	}
	return holders
}

// Others are the ids of an agent's entries in auth-profiles.json that hold
// another program's secret.
func (s *Store) Others(agent string) []string {
	m, err := s.readMirror(agent)
	if err != nil {
		return nil
	}
	var ids []string
	for _, raw := range m.profiles {
		if e, ok := parseEntry(raw.Value); ok && e.foreign() {
			ids = append(ids, raw.Name)
		}
	}
	return ids
}
