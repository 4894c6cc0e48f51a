// Package loan lends an access token to a program for as long as it runs, and
// takes it back afterwards: in a private home beside the program's real one, or on
// a descriptor. It runs the program, in front of the same terminal and with the
// same signals as if it had been started alone.
//
// It renews nothing and opens no keychain: whoever lends brings the token's text.
//
// # The private home
//
// A private home is a folder whose entries are links to those of the real home,
// but for the file with the login, which is the home's own and is there only while
// somebody runs. What the program makes new there is moved to the real home at the
// end and linked. Nothing is ever removed from the real home, and no link is
// followed when something is removed from a private one.
//
// The links stay: the program has written down where its files are. A login has
// one home, which all who run with it at a time share.
//
// Who runs holds a lock of its own in the home's folder for as long as it lives, of
// a name that is never used again and so may be removed. A home that has a lock
// which nobody holds, and none that somebody does, was left by a process that was
// killed: [Homes.Sweep] settles it.
package loan

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

var (
	// ErrLinks means that this system lets us make no links.
	ErrLinks = errors.New("the entries of the real home cannot be linked")
	// ErrOwn means that the program has signed in by itself meanwhile.
	ErrOwn = errors.New("the program has a login of its own now")

	errRecord = errors.New("the record of a private home is damaged, or a newer Keytray's")
)

// Homes is the folder of all private homes, and the one for locks.
type Homes struct{ Dir, Place string }

// Home is a private home that somebody runs in.
type Home struct {
	// Dir is what the program takes for its home.
	Dir string

	folder string // has Dir, the locks and the record
	homes  Homes
	record record
	mine   string // the lock that says that we live
	unlock func()
}

// record tells a later process what a home is. It holds no secret.
type record struct {
	V       int    `json:"v"`
	Program string `json:"program"`
	Real    string `json:"real"`
	// Since is when the first of those began who run now, or ran last.
	Since time.Time `json:"since"`
}

const (
	inner      = "home"
	owners     = "owners"
	recordName = "home.json"
	// busyWait is how long other processes are waited for that make, settle or write a
	// home.
	busyWait = 10 * time.Second
)

// Open makes ready the private home of a login, which key names, for a program
// that has its own logins in theirs.
func (h Homes) Open(ctx context.Context, key string, theirs client.Source) (*Home, error) {
	if err := disk.Prepare(filepath.Dir(h.Dir), filepath.Base(h.Dir)); err != nil {
		return nil, err
	}
	release, err := h.lock(ctx, "homes.lock")
	if err != nil {
		return nil, err
	}
	defer release()
	sum := sha256.Sum256([]byte(theirs.Program + "\x00" + theirs.Path + "\x00" + key))
	x := h.home(hex.EncodeToString(sum[:8]))
	if err := disk.Prepare(h.Dir, filepath.Base(x.folder), owners); err != nil {
		return nil, err
	}
	x.record = record{1, theirs.Program, filepath.Dir(theirs.Path), time.Now()}
	if err := x.enter(); err != nil {
		return nil, errors.Join(fmt.Errorf("making a private home: %w", err), x.leave())
	}
	return x, nil
}

func (h Homes) home(name string) *Home {
	folder := filepath.Join(h.Dir, name)
	return &Home{Dir: filepath.Join(folder, inner), folder: folder, homes: h}
}

// enter settles what a killed run left, says that we live here, and makes the
// links.
func (x *Home) enter() error {
	living, dead, err := x.census()
	if err != nil {
		return err
	}
	if living == 0 {
		if old, err := x.recorded(); err == nil && len(dead) > 0 {
			y := *x
			y.record = old
			if _, err := y.settle(dead); err != nil {
				return err
			}
		}
		b, err := json.Marshal(x.record)
		if err != nil {
			return err
		}
		if err := disk.Replace(filepath.Join(x.folder, recordName), b); err != nil {
			return err
		}
	}
	x.mine = filepath.Join(x.folder, owners, strings.ToLower(rand.Text()[:12]))
	if x.unlock, err = disk.TryLock(x.mine); err != nil {
		return err
	}
	return x.furnish()
}

// census counts those who run here, and finds what those left who were killed.
func (x *Home) census() (living int, dead []string, err error) {
	dir := filepath.Join(x.folder, owners)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		unlock, err := disk.TryLock(path)
		if err != nil {
			return 0, nil, err
		}
		if unlock == nil {
			living++
			continue
		}
		unlock()
		dead = append(dead, path)
	}
	return living, dead, nil
}

// furnish makes the links that are missing, and takes away those that lead nowhere.
func (x *Home) furnish() error {
	if err := disk.Prepare(x.folder, inner); err != nil {
		return err
	}
	mine, err := os.ReadDir(x.Dir)
	if err != nil {
		return err
	}
	for _, e := range mine {
		path := filepath.Join(x.Dir, e.Name())
		if _, err := os.Stat(path); e.Type()&fs.ModeSymlink != 0 && errors.Is(err, fs.ErrNotExist) {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	entries, err := os.ReadDir(x.record.Real)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the program has never run
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if x.own(e.Name()) {
			continue
		}
		err := link(filepath.Join(x.record.Real, e.Name()), filepath.Join(x.Dir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %w", ErrLinks, err)
		}
	}
	return nil
}

// loginName is the file with the login.
const loginName = "auth.json"

// login is the file with the login in the private home.
func (x *Home) login() client.Source {
	return client.Source{Program: x.record.Program, Path: filepath.Join(x.Dir, loginName)}
}

// own reports whether an entry is of a login, and so neither linked nor moved to
// the real home: the file, its locks, and what its writers leave.
func (x *Home) own(name string) bool {
	return slices.Contains([]string{loginName, "auth.lock", "auth.json.lock", "codex_auth.age"}, name) ||
		strings.HasPrefix(name, ".auth-") || strings.HasPrefix(name, ".auth.json.")
}

// Write puts what text brings in place of the file with the login, unless that is
// there or the program has signed in by itself: ErrOwn. Text is asked under a lock,
// so that of two who write the later one has the newer token.
func (x *Home) Write(ctx context.Context, text func() ([]byte, error)) error {
	release, err := x.homes.lock(ctx, "home-"+filepath.Base(x.folder)+".lock")
	if err != nil {
		return err
	}
	defer release()
	b, err := text()
	if err != nil {
		return err
	}
	if own, err := x.login().Owned(); err == nil && own {
		return ErrOwn
	}
	return disk.Replace(x.login().Path, b)
}

// Close ends our stay. The last one takes back what was lent and gives the real
// home what is new. Aside are the files that it has under another name, because
// both have changed.
func (x *Home) Close(ctx context.Context) (aside []string, err error) {
	release, err := x.homes.lock(ctx, "homes.lock")
	if err != nil { // the next one finds us dead
		x.unlock()
		return nil, err
	}
	defer release()
	if err := x.leave(); err != nil {
		return nil, err
	}
	living, dead, err := x.census()
	if err != nil || living > 0 {
		return nil, err
	}
	if now, err := x.recorded(); err == nil {
		x.record = now // of the first of those who ran at a time
	}
	return x.settle(dead)
}

// leave says that we are here no more.
func (x *Home) leave() error {
	if x.unlock == nil {
		return nil
	}
	x.unlock()
	x.unlock = nil
	return os.Remove(x.mine)
}

// settle makes a home that nobody runs in one of links alone. What the dead left
// goes last: should we be killed too, somebody else begins anew.
func (x *Home) settle(dead []string) (aside []string, err error) {
	own, err := x.login().Owned()
	if err != nil || !own {
		err = x.discard() // first of all
	}
	m := mover{since: x.record.Since, mark: strings.ToLower(rand.Text()[:6]), skip: x.own}
	e := m.give(x.Dir, x.record.Real)
	if own {
		m.since = time.Time{} // a login that is there stays, whatever its age
		e = errors.Join(e, m.entry(x.login().Path, filepath.Join(x.record.Real, loginName)))
	}
	if e != nil {
		return m.aside, errors.Join(err, fmt.Errorf("moving what is new from %s to %s: %w", x.Dir, x.record.Real, e))
	}
	if _, err := os.Stat(x.record.Real); errors.Is(err, fs.ErrNotExist) {
		return m.aside, os.RemoveAll(x.folder)
	}
	if err := errors.Join(err, x.furnish()); err != nil {
		return m.aside, err
	}
	return m.aside, bury(dead)
}

// bury removes what those left who were killed.
func bury(dead []string) error {
	if len(dead) == 0 {
		return nil
	}
	return disk.Remove(dead...)
}

// discard removes the file with the login and what is with it.
func (x *Home) discard() error {
	entries, err := os.ReadDir(x.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var paths []string
	for _, e := range entries {
		if x.own(e.Name()) {
			paths = append(paths, filepath.Join(x.Dir, e.Name()))
		}
	}
	if err != nil || len(paths) == 0 {
		return err
	}
	return disk.Remove(paths...)
}

// Sweep settles the homes whose last owners were killed, and returns how many.
func (h Homes) Sweep(ctx context.Context) (n int, err error) {
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("looking for private homes: %w", err)
	}
	release, err := h.lock(ctx, "homes.lock")
	if err != nil {
		return 0, err
	}
	defer release()
	var errs []error
	for _, e := range entries {
		swept, err := h.home(e.Name()).sweep()
		errs = append(errs, err)
		if swept {
			n++
		}
	}
	return n, errors.Join(errs...)
}

// sweep settles a home that a killed process left.
func (x *Home) sweep() (swept bool, err error) {
	if fi, err := os.Lstat(x.folder); err != nil || !fi.IsDir() {
		return false, nil //nolint:nilerr // it is none
	}
	living, dead, err := x.census()
	if err != nil || living > 0 {
		return false, err
	}
	if _, err := os.Lstat(x.login().Path); len(dead) == 0 && err != nil {
		return false, nil //nolint:nilerr // there is nothing to settle
	}
	if x.record, err = x.recorded(); err != nil {
		return true, errors.Join(x.discard(), bury(dead))
	}
	_, err = x.settle(dead)
	return true, err
}

func (x *Home) recorded() (record, error) {
	b, err := disk.Read(filepath.Join(x.folder, recordName), 1<<16)
	if err != nil {
		return record{}, err
	}
	return parseRecord(b)
}

func parseRecord(b []byte) (record, error) {
	var r record
	if json.Unmarshal(b, &r) != nil || r.V != 1 || !filepath.IsAbs(r.Real) || r.Program == "" {
		return record{}, errRecord
	}
	return r, nil
}

// lock takes a lock for short I/O. A home is made before anybody lives in it, so
// that those who make and those who settle homes are kept apart.
func (h Homes) lock(ctx context.Context, name string) (release func(), err error) {
	if err := disk.Prepare(h.Place); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, busyWait, sink.ErrBusy)
	defer cancel()
	if release, err = disk.Lock(ctx, filepath.Join(h.Place, name)); err != nil {
		return nil, fmt.Errorf("private homes: %w", err)
	}
	return release, nil
}
