package openclaw

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

// Profile is a login under the name that OpenClaw has for it.
type Profile struct {
	Agent string `json:"agent"`
	// ID is the login's in Keytray, Name the profile's in OpenClaw.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Provider is what OpenClaw calls it.
	Provider string    `json:"provider"`
	Kind     sink.Kind `json:"kind"`
	// Ref is the id by which OpenClaw asks for the token.
	Ref string `json:"ref"`
	// Placed says that it stands in OpenClaw's order, and Before what else stood
	// there; nil is that none was stored.
	Placed bool     `json:"placed,omitempty"`
	Before []string `json:"before,omitempty"`
}

// Login is the login that the profile stands for.
func (p Profile) Login() sink.Ref { return sink.Ref{Agent: p.Agent, ID: p.ID} }

// Link is the connection of an OpenClaw to a state folder of Keytray's: what is
// needed to reload it and to end it. It is a file, and holds no secret.
type Link struct {
	V       int     `json:"v"`
	Program Program `json:"program"`
	// Dir is OpenClaw's state folder, Root Keytray's.
	Dir      string    `json:"dir"`
	Root     string    `json:"root"`
	Resolver string    `json:"resolver"`
	Profiles []Profile `json:"profiles"`

	folder string
}

const linkLimit = 1 << 20

// Links are the connections that folder holds. A file that is not understood is
// an error beside the others.
func Links(folder string) ([]Link, error) {
	paths, err := disk.Ending(folder, suffix)
	if err != nil {
		return nil, fmt.Errorf("looking for connections: %w", err)
	}
	var all []Link
	var errs []error
	for _, path := range paths {
		l, err := readLink(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading a connection: %w", err))
			continue
		}
		l.folder = folder
		all = append(all, l)
	}
	return all, errors.Join(errs...)
}

func readLink(path string) (Link, error) {
	b, err := disk.Read(path, linkLimit)
	if err != nil {
		return Link{}, err
	}
	return parseLink(b)
}

var errLink = errors.New("it is damaged, or a newer Keytray's")

func parseLink(b []byte) (Link, error) {
	var l Link
	if json.Unmarshal(b, &l) != nil || l.V != 1 || !filepath.IsAbs(l.Dir) || !filepath.IsAbs(l.Root) || !filepath.IsAbs(l.Program.Path) {
		return Link{}, errLink
	}
	for name := range l.Program.Vars {
		if !slices.Contains(variables, name) {
			return Link{}, errLink
		}
	}
	return l, nil
}

const suffix = ".link"

// NewLink is a connection that is not saved yet; old, if it is one of the same
// OpenClaw, lends its profiles.
func NewLink(folder string, p Program, dir, root, resolver string, old []Link) Link {
	l := Link{V: 1, Program: p, Dir: dir, Root: root, Resolver: resolver, folder: folder}
	for _, o := range old {
		if o.Dir == dir && o.Root == root {
			l.Profiles = o.Profiles
		}
	}
	return l
}

// Shared reports whether OpenClaw reads the profile file that Keytray writes.
func (l Link) Shared() bool { return disk.SameFolder(l.Dir, l.Root) }

// file is named for the OpenClaw: it has one Keytray.
func (l Link) file() string {
	sum := sha256.Sum256([]byte(l.Dir))
	return filepath.Join(l.folder, hex.EncodeToString(sum[:8])+suffix)
}

func (l Link) servedFile() string { return strings.TrimSuffix(l.file(), suffix) + ".served" }

// Save writes the connection.
func (l Link) Save() error {
	b, err := json.Marshal(l)
	if err == nil {
		err = disk.Replace(l.file(), b)
	}
	if err != nil {
		return fmt.Errorf("saving the connection: %w", err)
	}
	return nil
}

// Remove forgets the connection.
func (l Link) Remove() error {
	if err := disk.Remove(l.file(), l.servedFile()); err != nil {
		return fmt.Errorf("removing the connection: %w", err)
	}
	return nil
}

// Generations are those of a connection's logins, by their reference.
type Generations map[string]uint64

// Current are the generations that the profile files tell.
func (l Link) Current(store *sink.Store) Generations {
	now := Generations{}
	for _, x := range l.Profiles {
		if p, err := store.Profile(x.Login()); err == nil {
			now[x.Ref] = p.Generation
		}
	}
	return now
}

// Owed reports whether a login was renewed since OpenClaw's gateway was told the
// last time. So whoever renews one leaves a mark by that alone.
func (l Link) Owed(now Generations) bool {
	served := Generations{}
	b, err := disk.Read(l.servedFile(), linkLimit)
	if err != nil || json.Unmarshal(b, &served) != nil {
		served = nil // lost: once more does no harm
	}
	for ref, g := range now {
		if served[ref] != g {
			return true
		}
	}
	return false
}

// Serve notes what the gateway has been told.
func (l Link) Serve(now Generations) error {
	b, err := json.Marshal(now)
	if err == nil {
		err = disk.Replace(l.servedFile(), b)
	}
	if err != nil {
		return fmt.Errorf("noting a reload: %w", err)
	}
	return nil
}

// Named gives a login its name in OpenClaw: the one that it has, else a new one,
// since OpenClaw refuses to make a profile of another type into ours.
func (l *Link) Named(p sink.Profile, v Version) Profile {
	provider := v.Provider(p.Provider)
	for _, x := range l.Profiles {
		if x.Login() == p.Ref && x.Provider == provider {
			x.Kind, x.Ref = p.Kind, p.RefID()
			return x
		}
	}
	name := provider + ":keytray-" + slug(p.ID)
	if slices.ContainsFunc(l.Profiles, func(x Profile) bool { return x.Agent == p.Agent && x.Name == name }) {
		name += "-" + strings.TrimPrefix(p.RefID(), "p/")[:6]
	}
	return Profile{Agent: p.Agent, ID: p.ID, Name: name, Provider: provider, Kind: p.Kind, Ref: p.RefID()}
}

// slug is what is after the provider in a profile's id, in characters that
// OpenClaw reads in a model's name too: there is no @ among them.
func slug(id string) string {
	if _, rest, ok := strings.Cut(id, ":"); ok {
		id = rest
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, id), "-.")
}
