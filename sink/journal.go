package sink

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/keytray/keytray/machine"
	"github.com/keytray/keytray/secret"
)

// phase is what a journal says is under way for its profile.
type phase string

const (
	// phaseSending: the refresh token of generation g-1 may have been spent.
	phaseSending phase = "sending"
	// phaseReceived: generation g lies in the box and may not be in a slot yet.
	phaseReceived phase = "received"
	// phaseLogout: the profile is being removed.
	phaseLogout phase = "logout"
	// phaseImporting: generation g is being moved here from another program's
	// file, and one of the two places is too many.
	phaseImporting phase = "importing"
	// phaseMoving: the login may be in a sealed file already, see [Store.HandOver].
	phaseMoving phase = "moving"
	// phaseMoved: it is there, and what is here goes.
	phaseMoved phase = "moved"
)

// journal is the one file that tells the next process what this one was doing
// when it died. A profile at rest has none.
type journal struct {
	V     int    `json:"v"`
	Phase phase  `json:"phase"`
	G     uint64 `json:"g,omitempty"`
	// FP is the fingerprint of the refresh token being spent, Attempt how many
	// times it has been sent (at a logout: to be revoked), Wall when it was first
	// (ms).
	FP      string `json:"fp,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Wall    int64  `json:"wall,omitempty"`
	Last    int64  `json:"last,omitempty"`
	// Process is the one at work.
	Process machine.Process `json:"process,omitzero"`
	Epoch   uint64          `json:"epoch,omitempty"`
	// Root and Ref name the profile that is being moved here, so that the journal
	// is found where no mirror tells of it yet; From is where it comes from.
	Root string `json:"root,omitempty"`
	Ref  Ref    `json:"ref,omitzero"`
	From Origin `json:"from,omitzero"`
	// File is where the login goes, Digest the checksum of that file, To who can
	// open it.
	File   string `json:"file,omitempty"`
	Digest string `json:"digest,omitempty"`
	To     string `json:"to,omitempty"`
	// Box is the sealed next generation.
	Box []byte `json:"box,omitempty"`
	Sum string `json:"sum"`
}

const (
	journalVersion = 1
	// journalSize is reserved on disk before a refresh token is spent, so that
	// the answer can be written on a full disk.
	journalSize = 64 << 10
)

func (j journal) encode() []byte {
	j.V = journalVersion
	j.Sum = ""
	j.Sum = checksum(mustJSON(j))
	return mustJSON(j)
}

// decodeJournal returns the journal that b holds, or errCorrupt.
func decodeJournal(b []byte) (journal, error) {
	var j journal
	if err := json.Unmarshal(b, &j); err != nil {
		return journal{}, errCorrupt
	}
	sum := j.Sum
	j.Sum = ""
	if j.V != journalVersion || sum != checksum(mustJSON(j)) {
		return journal{}, errCorrupt
	}
	switch j.Phase {
	case phaseLogout:
		return j, nil
	case phaseSending, phaseReceived, phaseImporting, phaseMoving, phaseMoved:
		if j.G > 0 {
			return j, nil
		}
	}
	return journal{}, errCorrupt
}

// seal encrypts generation next under the journal key of its predecessor. The
// key never leaves the keychain, so the file is worth nothing without it.
func seal(prev, next generation, withAccess bool) ([]byte, error) {
	aead, err := journalAEAD(prev.jk, prev.key, next.g)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, next.encodeReceived(withAccess), nil), nil //nolint:gosec // the AEAD makes its own random nonce
}

// unseal is the inverse of seal; errCorrupt if the box was not sealed for g
// under this generation's key.
func unseal(prev generation, g uint64, box []byte) (generation, error) {
	aead, err := journalAEAD(prev.jk, prev.key, g)
	if err != nil {
		return generation{}, err
	}
	plain, err := aead.Open(nil, nil, box, nil)
	if err != nil {
		return generation{}, errCorrupt
	}
	next, err := decodeReceived(plain, prev.key)
	if err != nil || next.g != g {
		return generation{}, errCorrupt
	}
	return next, nil
}

// journalAEAD binds the key to profile and generation, so that a box opens in
// no other place than the one it was made for.
func journalAEAD(jk secret.Text, key string, g uint64) (cipher.AEAD, error) {
	k, err := deriveKey(jk, "keytray journal "+key+" "+strconv.FormatUint(g, 10))
	if err != nil {
		return nil, fmt.Errorf("deriving the journal key: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("preparing the journal cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// journalFile is the journal of one profile on disk.
type journalFile struct {
	disk Disk
	path string
}

func (s *Store) journalFile(place, key string) journalFile {
	return journalFile{s.disk, filepath.Join(place, key+".journal")}
}

// next is the room reserved for the answer; bad is a journal that could not be
// used, set aside for a person to look at until the next commit.
func (f journalFile) next() string { return f.path + ".next" }
func (f journalFile) bad() string  { return f.path + ".bad" }

// read returns nil if there is no journal, and errCorrupt if there is one that
// makes no sense.
func (f journalFile) read() (*journal, error) {
	b, err := f.disk.Read(f.path, journalSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no journal is the ordinary state
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	j, err := decodeJournal(b)
	if err != nil {
		return nil, err
	}
	return &j, nil
}

// exists is what the fast read asks. A journal that cannot be read is one.
func (f journalFile) exists() bool {
	_, err := f.disk.Read(f.path, journalSize)
	return !errors.Is(err, fs.ErrNotExist)
}

// intend makes the intent durable, after reserving the room that the answer
// will need. When it fails nothing may be sent.
func (f journalFile) intend(j journal) error {
	if err := f.disk.Reserve(f.next(), journalSize); err != nil {
		return fmt.Errorf("reserving room for the journal: %w", err)
	}
	return f.write(j)
}

// receive makes the answer durable in the room reserved by intend.
func (f journalFile) receive(j journal) error {
	if err := f.disk.Fill(f.next(), f.path, j.encode()); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// write makes j durable by ordinary replacement.
func (f journalFile) write(j journal) error {
	if err := f.disk.Replace(f.path, j.encode()); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// remove ends what the journal recorded.
func (f journalFile) remove() error {
	if err := f.disk.Remove(f.path, f.next()); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	return nil
}

// clear is remove after a commit: what was set aside goes too.
func (f journalFile) clear() error {
	if err := f.disk.Remove(f.path, f.next(), f.bad()); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	return nil
}

// quarantine puts a journal that cannot be used out of the way.
func (f journalFile) quarantine() error {
	b, err := f.disk.Read(f.path, journalSize)
	if err == nil {
		err = f.disk.Replace(f.bad(), b)
	}
	if err == nil {
		err = f.disk.Remove(f.path)
	}
	if err != nil {
		return fmt.Errorf("setting a damaged journal aside: %w", err)
	}
	return nil
}

// Intent is a refresh that was sent and whose outcome is unknown.
type Intent struct {
	// Attempt counts the sends so far, from 1.
	Attempt int
	// First and Last are when the first and the last of them happened.
	First, Last time.Time
}
