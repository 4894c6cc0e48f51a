// Package vault is a keychain in files, for machines that have no other: a folder
// with one age file for each item. It keeps the promises of package keychain, and
// its errors are those.
//
// # What a caller may rely on
//
//   - A nil error of [Vault.Set] means that the value is on the disk, file and
//     folder, and was read back; of [Vault.Delete], that it is gone from there.
//   - There are no locks: a reader sees the old value or the new one, of two that
//     write one item at once the last one wins, and a process that is stopped or
//     killed keeps nobody out. Nothing here waits for a person.
//   - An item opens only under its own name and if the vault's own key sealed it.
//     One that was cut, changed, or swapped for another is ErrCorrupt. An older
//     copy of the same item opens: the generations in it tell the caller.
//   - With another key than the vault's nothing is said to be damaged, and nothing
//     is written: ErrUnavailable.
//
// # The fence
//
// A write lands with one rename, so nothing of a process that is gone can still be
// under way. One that stands still in the middle of a write is fenced off by the
// first [Vault.Barrier] a minute later, which takes its unfinished file away.
package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/sealed"
)

// Error is an error of this package that knows what helps. It is one of package
// keychain's.
type Error struct {
	Kind error
	Why  string
	Hint string
}

func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Why }
func (e *Error) Unwrap() error { return e.Kind }

const (
	// unfinished is how old a file must be to be taken for one that nobody goes on
	// with. A write takes milliseconds.
	unfinished = time.Minute
	// fileLimit is more than the file of the largest value.
	fileLimit = 2 * keychain.MaxValue
	// proof is the item by which a key is known to be the vault's. Its name is none
	// that a caller can use.
	proof = "Key"
)

// Vault is a folder of sealed items. It may be used from many goroutines, and by
// many processes.
type Vault struct {
	dir string
	key func() (sealed.Key, error)

	// turn serialises what follows.
	turn chan struct{}
	// proven is the key, once it has been found to be the vault's.
	proven *sealed.Key
}

// Open returns the vault in dir. Key is called when a key is needed for the first
// time, and again as long as it fails; its errors are those of the calls.
func Open(dir string, key func() (sealed.Key, error)) *Vault {
	return &Vault{dir: dir, key: key, turn: make(chan struct{}, 1)}
}

// Create makes the folder and writes down which key is the vault's. A vault that
// is there already is left as it is, if it is that key's. The caller sees to it that
// nobody else creates it at the same time.
func Create(dir string, key sealed.Key) error {
	v := Open(dir, func() (sealed.Key, error) { return key, nil })
	if err := disk.Prepare(dir); err != nil {
		return err
	}
	_, err := v.load()
	if !errors.Is(err, errNoVault) {
		return err
	}
	if Holds(dir, func(string) bool { return true }) {
		return &Error{keychain.ErrUnavailable, dir + " has items and not the proof of their key", "bring back " + v.path(proof)}
	}
	return v.replace(key, proof, nil)
}

var errNoVault = errors.New("there is no vault")

// Holds reports whether the vault in dir has an item of which match says yes. It
// needs no key.
func Holds(dir string, match func(name string) bool) bool {
	entries, _ := os.ReadDir(dir) // none is empty
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".age"); ok && match(name) {
			return true
		}
	}
	return false
}

// Check reports whether the vault can be opened.
func (v *Vault) Check() error {
	_, err := v.open()
	return err
}

// Get returns the value under name.
func (v *Vault) Get(_ context.Context, name string) ([]byte, error) {
	if err := keychain.CheckName(name); err != nil {
		return nil, err
	}
	key, err := v.open()
	if err == nil {
		var value []byte
		if value, err = v.read(key, name); err == nil {
			return value, nil
		}
	}
	return nil, keychain.About("reading", name, err)
}

// Set stores value under name, in place of what is there, and reads it back.
func (v *Vault) Set(_ context.Context, name string, value []byte) error {
	if err := keychain.CheckName(name); err != nil {
		return err
	}
	if len(value) > keychain.MaxValue {
		return keychain.About("storing", name, fmt.Errorf("%w: %d bytes of at most %d", keychain.ErrTooBig, len(value), keychain.MaxValue))
	}
	key, err := v.open()
	if err == nil {
		err = v.replace(key, name, value)
	}
	if err != nil {
		return keychain.About("storing", name, err)
	}
	return nil
}

// Delete removes what is under name; it is no error if there is nothing.
func (v *Vault) Delete(_ context.Context, name string) error {
	if err := keychain.CheckName(name); err != nil {
		return err
	}
	_, err := v.open()
	if err == nil {
		err = unavailable(disk.Remove(v.path(name)))
	}
	if err != nil {
		return keychain.About("deleting", name, err)
	}
	return nil
}

// Barrier returns nil when the folder answers and no earlier write, of this process
// or of one that died, can land any more. It needs no key.
func (v *Vault) Barrier(context.Context) error {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return fmt.Errorf("waiting for the keychain: %w", unavailable(err))
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".tmp" {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unfinished {
			_ = os.Remove(filepath.Join(v.dir, e.Name())) // rubbish, and encrypted at that
		}
	}
	return nil
}

// open returns the key, after it has proved to be the vault's.
func (v *Vault) open() (sealed.Key, error) {
	v.turn <- struct{}{} // held for two short reads
	defer func() { <-v.turn }()
	if v.proven != nil {
		return *v.proven, nil
	}
	key, err := v.load()
	if errors.Is(err, errNoVault) {
		return key, &Error{keychain.ErrUnavailable, "there are no encrypted files in " + v.dir, "bring the folder back; `keytray doctor` shows what was chosen"}
	}
	if err == nil {
		v.proven = &key
	}
	return key, err
}

func (v *Vault) load() (sealed.Key, error) {
	key, err := v.key()
	if err != nil {
		return key, err
	}
	b, err := disk.Read(v.path(proof), fileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return key, errNoVault
	}
	if err != nil {
		return key, unavailable(err)
	}
	if _, err := key.Unbox(proof, b); err != nil {
		return key, &Error{keychain.ErrUnavailable, "the identity is not the one that the files in " + v.dir + " were sealed with", "give the right one back to its place; `keytray doctor` names it"}
	}
	return key, nil
}

func (v *Vault) read(key sealed.Key, name string) ([]byte, error) {
	b, err := disk.Read(v.path(name), fileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keychain.ErrNotFound
	}
	if err != nil {
		return nil, unavailable(err)
	}
	value, err := key.Unbox(name, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", keychain.ErrCorrupt, err.Error())
	}
	return value, nil
}

// replace writes an item and reads it back.
func (v *Vault) replace(key sealed.Key, name string, value []byte) error {
	box, err := key.Box(name, value)
	if err != nil {
		return unavailable(err)
	}
	temp := filepath.Join(v.dir, "."+name+"."+rand.Text()+".tmp")
	if err := disk.ReplaceBy(temp, v.path(name), box); err != nil {
		return unavailable(err)
	}
	got, err := v.read(key, name)
	if err != nil || !bytes.Equal(got, value) {
		return fmt.Errorf("%w: another value was read back", keychain.ErrCorrupt)
	}
	return nil
}

func (v *Vault) path(name string) string { return filepath.Join(v.dir, name+".age") }

// unavailable makes one of our errors of one of the disk. It is not wrapped, as it
// may be fs.ErrNotExist, which here only a missing item is.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{keychain.ErrUnavailable, err.Error(), "see to the disk or the folder, then run the command again; nothing was lost"}
	if unsafe, ok := errors.AsType[*disk.UnsafeError](err); ok && unsafe.Hint != "" {
		e.Hint = unsafe.Hint
	}
	return e
}
