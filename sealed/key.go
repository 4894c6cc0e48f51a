// Package sealed encrypts what leaves the keychain, with age: single items for a
// file of their own, and bundles of logins for another machine. It is given bytes
// and keys and gives bytes back; it reads no file, no clock and no keychain.
package sealed

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"

	"github.com/keytray/keytray/secret"
)

var (
	// ErrKey means that what was given is no key that can be used.
	ErrKey = errors.New("not a usable age identity")
	// ErrPassphrase means that a passphrase is missing or wrong.
	ErrPassphrase = errors.New("the passphrase of the identity is missing or wrong")
	// ErrRecipient means that somebody cannot be sealed for.
	ErrRecipient = errors.New("not a recipient")
)

// Key is an age identity that is ours: what it seals it can open, and nobody else
// can have sealed.
type Key struct {
	text      secret.Text
	identity  age.Identity
	recipient age.Recipient
	public    string
}

// NewKey makes a key.
func NewKey() (Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Key{}, fmt.Errorf("making an age identity: %w", err)
	}
	return keyOf(id)
}

// ParseKey reads an identity file with one native age key. One that is locked is
// opened with the passphrase first.
func ParseKey(file []byte, passphrase secret.Text) (Key, error) {
	ids, err := natives(file, passphrase)
	if err != nil {
		return Key{}, err
	}
	if len(ids) != 1 {
		return Key{}, fmt.Errorf("%w: there are %d in the file, and it must be one", ErrKey, len(ids))
	}
	return keyOf(ids[0])
}

func keyOf(id age.Identity) (Key, error) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return Key{secret.New(id.String()), id, id.Recipient(), id.Recipient().String()}, nil
	case *age.HybridIdentity:
		return Key{secret.New(id.String()), id, id.Recipient(), id.Recipient().String()}, nil
	}
	return Key{}, fmt.Errorf("%w: it is of a kind that cannot seal", ErrKey)
}

// Keys opens what others sealed for the key.
func (k Key) Keys() Keys { return Keys{k.identity} }

// Public is the recipient that others may seal for.
func (k Key) Public() string { return k.public }

// File is an identity file with the key, locked by the passphrase if there is one.
func (k Key) File(passphrase secret.Text) ([]byte, error) {
	text := "# public key: " + k.public + "\n" + k.text.Reveal() + "\n"
	if passphrase.Empty() {
		return []byte(text), nil
	}
	r, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, fmt.Errorf("locking the identity: %w", err)
	}
	return encrypt([]byte(text), true, r)
}

// Locked reports whether an identity file needs a passphrase.
func Locked(file []byte) bool { return isAge(file) }

// Box seals a value under a label. It opens under no other label, and only what
// the same key has sealed: that everybody may seal for an age recipient is not
// enough for what is trusted afterwards.
func (k Key) Box(label string, value []byte) ([]byte, error) {
	return encrypt(append(k.mac(label, value), value...), false, k.recipient)
}

// Unbox is the reverse of Box: ErrDamaged for anything else.
func (k Key) Unbox(label string, box []byte) ([]byte, error) {
	plain, err := decrypt(box, k.identity)
	if err != nil {
		return nil, err
	}
	if len(plain) < sha256.Size || !hmac.Equal(plain[:sha256.Size], k.mac(label, plain[sha256.Size:])) {
		return nil, fmt.Errorf("%w: it was sealed by another, or for another place", ErrDamaged)
	}
	return plain[sha256.Size:], nil
}

func (k Key) mac(label string, value []byte) []byte {
	key, err := hkdf.Key(sha256.New, []byte(k.text.Reveal()), nil, "keytray box", sha256.Size)
	if err != nil {
		panic("sealed: " + err.Error()) // only for a length that SHA-256 cannot give
	}
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%d %s ", len(label), label)
	m.Write(value)
	return m.Sum(nil)
}

// Keys are what a person opens sealed files with.
type Keys []age.Identity

// Identities reads what a person opens sealed files with: an age identity file,
// locked or not, or an SSH key.
func Identities(file []byte, passphrase secret.Text) (Keys, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(file), []byte("-----BEGIN ")) || isAge(file) {
		return natives(file, passphrase)
	}
	id, err := agessh.ParseIdentity(file)
	if err != nil { // its text may say what stands in the file
		return nil, fmt.Errorf("%w: an SSH key must be an ed25519 one without a passphrase", ErrKey)
	}
	return Keys{id}, nil
}

// natives are the age keys of an identity file.
func natives(file []byte, passphrase secret.Text) (Keys, error) {
	if isAge(file) {
		if passphrase.Empty() {
			return nil, ErrPassphrase
		}
		id, err := age.NewScryptIdentity(passphrase.Reveal())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
		}
		plain, err := decrypt(file, id)
		if errors.Is(err, ErrNotForUs) {
			return nil, ErrPassphrase
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		file = plain
	}
	ids, err := age.ParseIdentities(bytes.NewReader(file))
	if err != nil { // its text is not shown: it may quote the file
		return nil, fmt.Errorf("%w: want a line AGE-SECRET-KEY-1…", ErrKey)
	}
	return ids, nil
}

// Address is whom something is sealed for. The zero value is nobody.
type Address struct {
	to    []age.Recipient
	names []string
}

// ParseAddress reads those to seal for, each age1… or an SSH key of ed25519.
func ParseAddress(of []string) (Address, error) {
	var a Address
	for _, s := range of {
		s = strings.TrimSpace(s)
		r, err := recipient(s)
		if err != nil {
			return Address{}, fmt.Errorf("%.60q: %w: want age1… or ssh-ed25519 …", s, ErrRecipient)
		}
		a.to, a.names = append(a.to, r), append(a.names, short(s))
	}
	return a, nil
}

// String names them for people.
func (a Address) String() string { return strings.Join(a.names, ", ") }

// short is enough of a recipient to know it again.
func short(s string) string {
	if words := strings.Fields(s); len(words) > 1 { // an SSH key, and whose it is
		tail := words[1][max(0, len(words[1])-8):]
		return strings.Join(append([]string{words[0], "…" + tail}, words[2:min(len(words), 3)]...), " ")
	}
	return s[:min(len(s), 16)] + "…"
}

func recipient(s string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(s, "age1pq1"):
		return age.ParseHybridRecipient(s)
	case strings.HasPrefix(s, "age1"):
		return age.ParseX25519Recipient(s)
	case strings.HasPrefix(s, "ssh-ed25519 "):
		return agessh.ParseRecipient(s)
	}
	return nil, ErrRecipient
}

var (
	// ErrDamaged means that something sealed was cut, changed or put in another's
	// place.
	ErrDamaged = errors.New("it is damaged")
	// ErrNotForUs means that none of the identities opens it.
	ErrNotForUs = errors.New("it is sealed for somebody else")
	// ErrNotSealed means that it is nothing sealed at all.
	ErrNotSealed = errors.New("it is not an age file")
)

// isAge reports whether b begins as an age file does, armored or not.
func isAge(b []byte) bool {
	b = bytes.TrimSpace(b)
	return bytes.HasPrefix(b, []byte("age-encryption.org/")) || bytes.HasPrefix(b, []byte(armor.Header))
}

func encrypt(plain []byte, armored bool, to ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	var end io.Closer = io.NopCloser(nil)
	var dst io.Writer = &out
	if armored {
		a := armor.NewWriter(&out)
		dst, end = a, a
	}
	w, err := age.Encrypt(dst, to...)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	_, err = w.Write(plain)
	if err = errors.Join(err, w.Close(), end.Close()); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return out.Bytes(), nil
}

// decrypt opens an age file. The texts of age's errors are dropped, as they may
// quote what is in the file.
func decrypt(b []byte, with ...age.Identity) ([]byte, error) {
	if !isAge(b) {
		return nil, ErrNotSealed
	}
	var src io.Reader = bytes.NewReader(b)
	if trimmed := bytes.TrimSpace(b); bytes.HasPrefix(trimmed, []byte(armor.Header)) {
		src = armor.NewReader(bytes.NewReader(trimmed))
	}
	r, err := age.Decrypt(src, with...)
	if _, foreign := errors.AsType[*age.NoIdentityMatchError](err); foreign {
		return nil, ErrNotForUs
	}
	if err != nil {
		return nil, ErrDamaged
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}
