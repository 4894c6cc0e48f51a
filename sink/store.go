// Package sink owns the state of all logins: who is signed in, with what, and
// what a crash left half done. It cannot see the network.
//
// Secrets lie in the keychain, behind [Secrets]; files hold metadata only. The
// keychain is the truth and auth-profiles.json a mirror of it.
//
// # Order of writes
//
// Intent, journal, keychain (read back), mirror, journal removed. On removal:
// journal, secrets deleted and verified, index page, mirror entry, journal
// removed. A crash between any two leaves a login with its newest refresh
// token, but for three windows that nobody can close: the answer lost on the
// wire (W1), a crash between the server's commit and the journal's fsync (W2),
// and a failed journal followed by a crash before the keychain write (W3).
//
// # Order of locks
//
// Profile, then those of the program that a login is imported from or that of the
// parcel it came in, then root, then mirror; the last two are held for short I/O
// only.
// Lock files are files of their own and are never deleted.
//
// # Under the lock
//
// A decision is made on what is read under the lock, never on what the caller
// saw before. Once a rotated token has arrived, nothing the caller does keeps
// it from the keychain.
package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/secret"
)

// Secrets is a keychain. Every method is bounded in time. Get and only Get
// answers fs.ErrNotExist for an item that is not there, and fs.ErrInvalid for
// one that is there but damaged; any other error means that nothing is known.
// Set and Delete return nil only after reading back. Barrier returns nil once
// no earlier write of this or another process can land any more.
type Secrets interface {
	Get(ctx context.Context, name string) ([]byte, error)
	Set(ctx context.Context, name string, value []byte) error
	Delete(ctx context.Context, name string) error
	Barrier(ctx context.Context) error
}

var (
	// ErrUnknownProfile means that no such login is known.
	ErrUnknownProfile = errors.New("no such login")
	// ErrStale is the fast read's answer that only the slow path can help:
	// the token lives too short, or something is under way.
	ErrStale = errors.New("the stored token is not fresh enough")
	// ErrAgentName is an agent name that cannot be used.
	ErrAgentName = errors.New("an agent's name has up to 64 of a-z, 0-9, _ and -")
)

// Store is a state root and its keychain. It is safe for concurrent use, also
// by several processes.
type Store struct {
	// Stuck, if set, is told each time that a renewed login could be written
	// neither to the journal nor to the keychain. Only this process has it then,
	// and keeps trying. Closing the channel that it returns ends that, and loses
	// the login. It is set before the store is used.
	Stuck func(ref Ref, err error) (abandon <-chan struct{})
	// Revoke, if set, tells the provider of a sign-out whose process died before
	// anybody can know that the provider heard of it. It is set before the store is
	// used.
	Revoke func(context.Context, Credential)
	// OpenClaw says that the root is that program's, which must not find a file
	// in it that it would take for its own. One that bears its marks counts as
	// such in any case. It is set before the store is used.
	OpenClaw bool
	// Left, if set, reads what a file still has of a login that is being moved
	// here from it: its secret, empty if there is none any more. An error means
	// that nobody can tell, and so does Left not set. It is set before the store
	// is used.
	Left func(from Origin, kind Kind) (secret.Text, error)

	// AgentDirs are the folders of those agents whose files are elsewhere than
	// within the root. They are set before the store is used.
	AgentDirs map[string]string
	// OAuthDir is where OpenClaw's oldest versions kept logins, if that is elsewhere
	// than in the root's credentials.
	OAuthDir string

	dir        string
	place      string
	secrets    Secrets
	disk       Disk
	locker     Locker
	clock      func() Moment
	semaphores semaphores
	dice       *dice
}

// Open returns the store of the state root dir, which need not exist yet.
// Place is the folder for locks and journals of a root that has never been
// used; a used one keeps the folder that the keychain remembers. Both are
// absolute. Open touches neither disk nor keychain.
func Open(dir, place string, secrets Secrets) *Store {
	return OpenOn(dir, place, secrets, Seams{RealDisk{}, RealLocker{}, Now, rand.Uint64()}) //nolint:gosec // pauses between polls, not secrets
}

// Seams are what a simulation puts in place of the machine.
type Seams struct {
	Disk   Disk
	Locker Locker
	Clock  func() Moment
	Seed   uint64
}

// OpenOn is Open on a simulated machine.
func OpenOn(dir, place string, secrets Secrets, m Seams) *Store {
	return &Store{dir: dir, place: place, secrets: secrets, disk: m.Disk, locker: m.Locker, clock: m.Clock, semaphores: newSemaphores(), dice: &dice{r: rand.New(rand.NewPCG(m.Seed, 0))}} //nolint:gosec // pauses between polls, not secrets
}

// Credentials is the folder in which OpenClaw's oldest versions kept logins.
func (s *Store) Credentials() string { return s.root().Credentials() }

func (s *Store) root() Root { return Root{Dir: s.dir, AgentDirs: s.AgentDirs, OAuthDir: s.OAuthDir} }

// Dir is the state root.
func (s *Store) Dir() string { return s.dir }

// longestName of an agent or a profile of OpenClaw. The patterns say nothing of
// it: to compile {0,63} takes 0.2 ms.
const longestName = 64

// CheckAgent reports whether an agent may have that name. Each command asks, so it
// does without a pattern.
func CheckAgent(name string) error {
	const rest = "_-"
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	if name == "" || len(name) > longestName || strings.Trim(name, first+rest) != "" || strings.ContainsAny(name[:1], rest) {
		return fmt.Errorf("%w: %q does not", ErrAgentName, name)
	}
	return nil
}

// Agents are the agents that have a folder, sorted.
func (s *Store) Agents() []string {
	names := slices.Collect(maps.Keys(s.AgentDirs))
	entries, _ := os.ReadDir(filepath.Join(s.dir, "agents")) // a root without is new
	for _, e := range entries {
		if e.IsDir() && CheckAgent(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Profiles are an agent's logins as the mirror tells them, in the order of the
// file. It never touches the keychain. An error ends the sequence:
// ErrMirrorMissing (within a *MirrorError) when there is no file.
func (s *Store) Profiles(agent string) iter.Seq2[Profile, error] {
	return func(yield func(Profile, error) bool) {
		m, err := s.readMirror(agent)
		if err != nil {
			yield(Profile{}, err)
			return
		}
		for _, e := range m.profiles {
			parsed, ok := parseEntry(e.Value)
			if !ok {
				continue
			}
			if p, ok := parsed.profile(agent, e.Name); ok && !yield(p, nil) {
				return
			}
		}
	}
}

// Profile is one login as the mirror tells it.
func (s *Store) Profile(ref Ref) (Profile, error) {
	m, err := s.readMirror(ref.Agent)
	if err != nil {
		return Profile{}, err
	}
	if e, ok := m.entry(ref.ID); ok {
		if p, ok := e.profile(ref.Agent, ref.ID); ok {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("%s: %w", ref.ID, ErrUnknownProfile)
}

// Foreign reports whether the entry of that id in auth-profiles.json holds
// another program's secret, so that it must not be taken over.
func (s *Store) Foreign(ref Ref) bool {
	m, err := s.readMirror(ref.Agent)
	if err != nil {
		return false
	}
	e, ok := m.entry(ref.ID)
	return ok && e.foreign()
}

// Token is the fast read: one keychain read, no lock, and never a refresh
// token. It answers ErrStale when p's access token does not live for margin
// more, when something is under way, or when the keychain has another
// generation than p says; the slow path is [Store.Update].
func (s *Store) Token(ctx context.Context, p Profile, margin time.Duration) (secret.Text, error) {
	if p.Generation == 0 || s.journalFile(p.at.place, p.at.key).exists() {
		return secret.Text{}, ErrStale
	}
	if p.Left(s.clock()) < margin {
		return secret.Text{}, ErrStale
	}
	if p.Kind != KindOAuth {
		return s.staticSecret(ctx, p)
	}
	return s.accessToken(ctx, p, margin)
}

func (s *Store) accessToken(ctx context.Context, p Profile, margin time.Duration) (secret.Text, error) {
	b, err := s.secrets.Get(ctx, accessItem(p.at.key, p.Generation))
	if absent(err) {
		return secret.Text{}, ErrStale
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the access token: %w", err)
	}
	a, err := decodeAccess(b, p.at.key)
	if err != nil || a.g != p.Generation {
		return secret.Text{}, ErrStale
	}
	if a.life.Left(s.clock()) < margin {
		return secret.Text{}, ErrStale
	}
	return a.token, nil
}

// Last is the access token of p's generation, whatever is under way, if it lives
// for another second: better than none for whoever cannot wait. It takes no lock
// and answers ErrStale if there is no such token.
func (s *Store) Last(ctx context.Context, p Profile) (secret.Text, error) {
	if p.Generation == 0 || p.Kind != KindOAuth {
		return secret.Text{}, ErrStale
	}
	return s.accessToken(ctx, p, time.Second)
}

func (s *Store) staticSecret(ctx context.Context, p Profile) (secret.Text, error) {
	b, err := s.secrets.Get(ctx, slotItem(p.at.key, p.Generation))
	if absent(err) {
		return secret.Text{}, ErrStale
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the secret: %w", err)
	}
	x, err := decodeSlot(b, p.at.key)
	if err != nil || x.g != p.Generation {
		return secret.Text{}, ErrStale
	}
	return x.cred.Access, nil
}

// absent reports whether an item is known to be missing or damaged, as opposed
// to a keychain that could not be asked.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid)
}
