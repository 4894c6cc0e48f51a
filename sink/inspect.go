package sink

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Inspect returns what is wrong with the kind, owner and mode of the folders and
// files that the store keeps, and with the place for its locks: an *UnsafeError
// for each. With fix it first takes away others' right to write what is ours,
// and tells where that helped.
func (s *Store) Inspect(fix bool) (wrong []error, mended []string) {
	for _, path := range s.paths() {
		err := inspect(path)
		if err != nil && fix && tighten(path) == nil && inspect(path) == nil {
			mended, err = append(mended, path), nil
		}
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	if place := s.knownPlace(); fileExists(place) {
		if err := checkLocal(place); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong, mended
}

// paths are the folders and files of the store, of which some may not be there.
func (s *Store) paths() []string {
	place := s.knownPlace()
	paths := []string{resolved(s.dir), filepath.Join(s.dir, "agents"), resolved(place), filepath.Join(s.dir, "providers")}
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

// inspect looks at one path; one that is not there is well.
func inspect(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.IsDir() {
		return checkOwner(path, fi)
	}
	return checkRegular(path, fi)
}

// tighten takes from others the right to write path, through a handle: what
// stands there under that name may change at any moment as long as they can.
func tighten(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Chmod(fi.Mode().Perm() &^ 0o022)
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
			holders = append(holders, Holder{p.PID, p.stopped()})
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
		if e, ok := parseEntry(raw.value); ok && e.foreign() {
			ids = append(ids, raw.name)
		}
	}
	return ids
}
