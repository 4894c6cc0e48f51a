// Package outlet keeps files of other programs current: each holds the access
// token of a login, in the form that its program reads, and is written anew after
// each renewal. It neither opens a keychain nor knows a format: a [Fetch] brings
// the newest text.
//
// # Newest only
//
// Whoever writes a file takes the outlet's lock first, fetches under it, and gives
// it back when the file is there. Generations of a login only grow, so a later
// writer never has an older token. The lock comes before all others, as fetching may
// renew the login; those of the file's own program are held for the writing alone.
//
// A file has the old text or the new one, whenever its writer dies.
package outlet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

var (
	// ErrUnknown means that no file of that path is kept current.
	ErrUnknown = errors.New("no such file is kept current")
	// ErrKept means that a file is kept current already.
	ErrKept = errors.New("it is kept current already")
	// ErrChanged means that a file is not what was written, so that it stays as it is.
	ErrChanged = errors.New("somebody changed it, and a token may be in it still")
	// ErrDamaged means that it cannot be read which file is kept current.
	ErrDamaged = errors.New("it is damaged, or a newer Keytray's")
)

// Outlet is a file that is kept current. It holds no secret.
type Outlet struct {
	V int `json:"v"`
	// Root is the state folder of the login.
	Root    string `json:"root"`
	Agent   string `json:"agent"`
	Profile string `json:"profile"`
	Format  string `json:"format"`
	// Path is absolute, and the folder in it is no link.
	Path string `json:"path"`
	// CrossVendor says that the person lets a plan's token go to another vendor's
	// program.
	CrossVendor bool `json:"allowCrossVendor,omitempty"`
}

// Login is the login whose token the file has.
func (o Outlet) Login() sink.Ref { return sink.Ref{Agent: o.Agent, ID: o.Profile} }

// Last is what came of the last attempts to write a file. It holds no secret.
type Last struct {
	// Generation is that of the token in the file; 0 if it has none of ours.
	Generation uint64    `json:"generation,omitempty"`
	At         time.Time `json:"at,omitzero"`
	// Mark tells what is ours in the file, Size and Changed how it looked then.
	client.Mark

	Size    int64     `json:"size,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	// Error is why the last attempt failed, at Failed, and empty if it did not; Next is
	// when it is tried again, after Failures in a row.
	Error    string    `json:"error,omitempty"`
	Failures int       `json:"failures,omitempty"`
	Failed   time.Time `json:"failed,omitzero"`
	Next     time.Time `json:"next,omitzero"`
	// SignedOut says that there is no such login, and nothing of it in the file.
	SignedOut bool `json:"signedOut,omitempty"`
}

// List is where outlets are kept: a file for each, and one for its Last. Place is
// the folder for locks.
type List struct{ Dir, Place string }

const (
	suffix     = ".outlet"
	lastSuffix = ".last"
	limit      = 1 << 20
)

// Empty reports whether there has never been an outlet. It costs next to nothing.
func (l List) Empty() bool {
	_, err := os.Lstat(l.Dir)
	return errors.Is(err, fs.ErrNotExist)
}

// All are the outlets for the logins of a state folder, by path. One that cannot
// be read is an error beside the others.
func (l List) All(root string) ([]Outlet, error) {
	paths, err := disk.Ending(l.Dir, suffix)
	if err != nil {
		return nil, fmt.Errorf("looking for files to keep current: %w", err)
	}
	var all []Outlet
	var errs []error
	for _, path := range paths {
		o, err := l.read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			errs = append(errs, fmt.Errorf("reading %s: %w", path, err))
		case o.Root == root, disk.SameFolder(o.Root, root):
			all = append(all, o)
		}
	}
	return all, errors.Join(errs...)
}

func (l List) read(path string) (Outlet, error) {
	b, err := disk.Read(path, limit)
	if err != nil {
		return Outlet{}, err
	}
	return parse(b)
}

func parse(b []byte) (Outlet, error) {
	var o Outlet
	if json.Unmarshal(b, &o) != nil || o.V != 1 || !filepath.IsAbs(o.Root) || !filepath.IsAbs(o.Path) ||
		o.Path != filepath.Clean(o.Path) || o.Profile == "" || o.Format == "" || sink.CheckAgent(o.Agent) != nil {
		return Outlet{}, ErrDamaged
	}
	return o, nil
}

// save writes down that the file is kept current, unless one of that path is.
func (l List) save(o Outlet) error {
	o.V = 1
	if _, err := os.Lstat(l.file(o, suffix)); err == nil {
		return fmt.Errorf("%s: %w", o.Path, ErrKept)
	}
	return l.put(o)
}

func (l List) put(o Outlet) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := disk.Replace(l.file(o, suffix), b); err != nil {
		return fmt.Errorf("keeping the list of files: %w", err)
	}
	return nil
}

// forget takes the outlet off the list.
func (l List) forget(o Outlet) error {
	if err := disk.Remove(l.file(o, lastSuffix), l.file(o, suffix)); err != nil {
		return fmt.Errorf("keeping the list of files: %w", err)
	}
	return nil
}

// Last is what came of the last attempts; the zero Last where that is not known.
func (l List) Last(o Outlet) Last {
	var last Last
	b, err := disk.Read(l.file(o, lastSuffix), limit)
	if err != nil || json.Unmarshal(b, &last) != nil {
		return Last{}
	}
	return last
}

func (l List) note(o Outlet, last Last) error {
	b, err := json.Marshal(last)
	if err == nil {
		err = disk.Replace(l.file(o, lastSuffix), b)
	}
	if err != nil {
		return fmt.Errorf("noting what became of %s: %w", o.Path, err)
	}
	return nil
}

// file is named for the path: a file has one outlet, whatever the state folder.
func (l List) file(o Outlet, suffix string) string {
	return filepath.Join(l.Dir, o.key()+suffix)
}

func (l List) lockFile(o Outlet) string {
	return filepath.Join(l.Place, "outlet-"+o.key()+".lock")
}

func (o Outlet) key() string {
	sum := sha256.Sum256([]byte(o.Path))
	return hex.EncodeToString(sum[:8])
}

// Due reports whether the file is to be written: the login has another generation
// than the token in it, or somebody changed it. It reads no more than names and
// times. P is the login as its profile file has it; known is false if that has it
// no more. A renewal since a failure ends the rest after it: the keychain opens again.
func (l List) Due(o Outlet, p sink.Profile, known bool, now time.Time) bool {
	last := l.Last(o)
	switch {
	case last.Error != "" && known && p.Minted.Wall.After(last.Failed):
		return true
	case now.Before(last.Next) && last.Next.Sub(now) <= longestRest:
		return false
	case last.Error != "":
		return true
	case !known:
		return !last.SignedOut
	default:
		return last.Generation != p.Generation || !last.looks(o.Path)
	}
}

// looks reports whether the file is as it was left.
func (last Last) looks(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Size() == last.Size && fi.ModTime().Equal(last.Changed)
}
