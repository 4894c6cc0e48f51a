package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/keytray/keytray/disk"
)

// rootRecord is the keychain's word on a state root: written at its first
// login, never overwritten.
type rootRecord struct {
	V      int    `json:"v"`
	RootID string `json:"root"`
	Place  string `json:"place"`
	Sum    string `json:"sum"`
}

func (r rootRecord) sum() string {
	r.Sum = ""
	return checksum(mustJSON(r))
}

// indexEntry is one profile in the index, from which the mirror can be rebuilt.
type indexEntry struct {
	Agent    string `json:"agent"`
	ID       string `json:"id"`
	Provider string `json:"provider"`
	Key      string `json:"key"`
}

type indexPage struct {
	V       int          `json:"v"`
	N       int          `json:"n"`
	Entries []indexEntry `json:"entries"`
	Sum     string       `json:"sum"`
}

func (p indexPage) sum() string {
	p.Sum = ""
	return checksum(mustJSON(p))
}

// pageLimit keeps a page one item, and so one atomic write, on every system.
const pageLimit = 2400

// lookupRoot asks the keychain who this state root is; fs.ErrNotExist before
// its first login.
func (s *Store) lookupRoot(ctx context.Context) (rootRecord, error) {
	b, err := s.secrets.Get(ctx, rootItem(disk.Resolved(s.dir)))
	if err != nil {
		return rootRecord{}, err
	}
	var r rootRecord
	if json.Unmarshal(b, &r) != nil || r.V != recordVersion || r.Sum != r.sum() || !validKey(r.RootID, 32) || !filepath.IsAbs(r.Place) {
		return rootRecord{}, fmt.Errorf("reading the keychain's record of %s: %w", s.dir, errCorrupt)
	}
	return r, nil
}

// ensureRoot is lookupRoot that gives a new root its name. A root that was
// moved is recognised by its mirror and keeps its name, and with it its logins.
func (s *Store) ensureRoot(ctx context.Context) (rootRecord, error) {
	return s.ensureRootAt(ctx, s.place)
}

// ensureRootAt is ensureRoot with another folder for the locks of a new root.
func (s *Store) ensureRootAt(ctx context.Context, place string) (rootRecord, error) {
	r, err := s.lookupRoot(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err := s.disk.Prepare(s.dir); err != nil {
		return rootRecord{}, err
	}
	unlock, err := s.lockRoot(ctx)
	if err != nil {
		return rootRecord{}, err
	}
	defer unlock()
	if r, err = s.lookupRoot(ctx); !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r = rootRecord{V: recordVersion, RootID: newRootID(), Place: place}
	if at, ok := s.mirroredRoot(); ok {
		r.RootID, r.Place = at.rootID, at.place
	}
	r.Sum = r.sum()
	if err := s.secrets.Set(ctx, rootItem(disk.Resolved(s.dir)), mustJSON(r)); err != nil {
		return rootRecord{}, fmt.Errorf("recording the state folder: %w", err)
	}
	return r, nil
}

// mirroredRoot is what the mirrors say of the root they lie in.
func (s *Store) mirroredRoot() (whereabouts, bool) {
	for _, agent := range s.Agents() {
		for p, err := range s.Profiles(agent) {
			if err == nil {
				return p.at, true
			}
		}
	}
	return whereabouts{}, false
}

func (s *Store) lockRoot(ctx context.Context) (func(), error) {
	return s.lock(ctx, filepath.Join(s.dir, "keytray.lock"), nil)
}

// index reads all pages.
func (s *Store) index(ctx context.Context, rootID string) ([]indexPage, error) {
	var pages []indexPage
	for n := 0; ; n++ {
		b, err := s.secrets.Get(ctx, indexItem(rootID, n))
		if errors.Is(err, fs.ErrNotExist) {
			return pages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the index of logins: %w", err)
		}
		var p indexPage
		if json.Unmarshal(b, &p) != nil || p.V != recordVersion || p.N != n || p.Sum != p.sum() {
			return nil, fmt.Errorf("reading page %d of the index of logins: %w", n, errCorrupt)
		}
		pages = append(pages, p)
	}
}

// lookupIndex finds a profile in the index.
func (s *Store) lookupIndex(ctx context.Context, rootID string, ref Ref) (indexEntry, bool, error) {
	pages, err := s.index(ctx, rootID)
	if err != nil {
		return indexEntry{}, false, err
	}
	for _, p := range pages {
		for _, e := range p.Entries {
			if e.Agent == ref.Agent && e.ID == ref.ID {
				return e, true, nil
			}
		}
	}
	return indexEntry{}, false, nil
}

// addIndex records a profile before its first slot is written.
func (s *Store) addIndex(ctx context.Context, rootID string, e indexEntry) error {
	unlock, err := s.lockRoot(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	pages, err := s.index(ctx, rootID)
	if err != nil {
		return err
	}
	for _, p := range pages {
		if slices.Contains(p.Entries, e) {
			return nil
		}
	}
	for _, p := range pages {
		p.Entries = append(slices.Clone(p.Entries), e)
		if b := p.encode(); len(b) <= pageLimit {
			return s.writePage(ctx, rootID, p.N, b)
		}
	}
	p := indexPage{V: recordVersion, N: len(pages), Entries: []indexEntry{e}}
	return s.writePage(ctx, rootID, p.N, p.encode())
}

// dropIndex takes a profile out, as the last keychain write of a logout.
func (s *Store) dropIndex(ctx context.Context, rootID, key string) error {
	unlock, err := s.lockRoot(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	pages, err := s.index(ctx, rootID)
	if err != nil {
		return err
	}
	for _, p := range pages {
		kept := slices.DeleteFunc(slices.Clone(p.Entries), func(e indexEntry) bool { return e.Key == key })
		if len(kept) == len(p.Entries) {
			continue
		}
		p.Entries = kept
		if err := s.writePage(ctx, rootID, p.N, p.encode()); err != nil {
			return err
		}
	}
	return nil
}

func (p indexPage) encode() []byte {
	p.Sum = p.sum()
	return mustJSON(p)
}

func (s *Store) writePage(ctx context.Context, rootID string, n int, b []byte) error {
	if err := s.secrets.Set(ctx, indexItem(rootID, n), b); err != nil {
		return fmt.Errorf("writing the index of logins: %w", err)
	}
	return nil
}
