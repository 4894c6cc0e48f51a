package sink

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/secret"
)

// Kind says what a profile holds.
type Kind string

// The kinds of profile.
const (
	// KindOAuth is an access token with a refresh token behind it.
	KindOAuth Kind = "oauth"
	// KindToken is a bearer token that cannot be renewed, a setup-token for example.
	KindToken Kind = "token"
	// KindAPIKey is a key that does not expire.
	KindAPIKey Kind = "api_key"
)

// Credential is everything a login consists of.
type Credential struct {
	Kind     Kind
	Provider string
	// Access is the access token, or the secret itself for the static kinds.
	// In a credential read back it is empty when the keychain's copy, a mere
	// cache, is missing.
	Access secret.Text
	// Refresh is empty for the static kinds.
	Refresh secret.Text
	// Life is that of Access.
	Life
	Scope   string
	Account Account
	Pin     Pin
	// Lender is the machine whose login this is an access token of.
	Lender string
	// Parcel is the sealed file that the login came in, if it did.
	Parcel string
	// From is set while the login is being moved here: the file named may still
	// have it, and so it is not renewed.
	From Origin
}

// Account is who signed in. ID, not Email, is the identity.
type Account struct{ ID, Email, Plan string }

// Pin is where a login's refresh token may be sent: what its provider said on
// the day of the login, kept beside the token.
type Pin struct{ Issuer, Client, TokenEndpoint, RevocationEndpoint string }

// Fresh reports whether the access token is there and lives for at least
// margin after now. An unknown expiry counts as fresh.
func (c Credential) Fresh(now Moment, margin time.Duration) bool {
	return !c.Access.Empty() && c.Left(now) >= margin
}

// mayBecome reports whether d may take the place of c: two logins of one account, of
// which an id means something only together with who gave it. What another machine
// lends does not know that, and gives way to a login of the same account at the same
// provider; where that names no accounts, to any.
func (c Credential) mayBecome(d Credential) bool {
	if c.Lender != "" && d.Kind == KindOAuth {
		return c.Account.ID == d.Account.ID && c.Provider == d.Provider
	}
	return c.Account.ID == d.Account.ID && c.Pin.Issuer == d.Pin.Issuer
}

// generation is one generation of a profile, as a slot holds it. Its
// Credential's Access is the secret for static kinds and comes from the at
// item for OAuth.
type generation struct {
	g    uint64
	key  string
	host string
	jk   secret.Text // 32 random bytes; seals the journal of generation g+1
	cred Credential
}

// errCorrupt is a stored record that does not prove itself: wrong version,
// checksum, profile or shape.
var errCorrupt = errors.New("stored record is damaged or of another version")

const recordVersion = 1

// slotRecord is the keychain's form of a generation.
type slotRecord struct {
	V        int    `json:"v"`
	G        uint64 `json:"g"`
	Key      string `json:"key"`
	Host     string `json:"host,omitempty"`
	Kind     Kind   `json:"kind"`
	Provider string `json:"provider"`
	Issuer   string `json:"issuer,omitempty"`
	Client   string `json:"client,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Revoke   string `json:"revoke,omitempty"`
	Account  string `json:"account,omitempty"`
	Email    string `json:"email,omitempty"`
	Plan     string `json:"plan,omitempty"`
	Scope    string `json:"scope,omitempty"`
	lifeRecord
	Refresh string `json:"refresh,omitempty"`
	Secret  string `json:"secret,omitempty"`
	Lender  string `json:"lender,omitempty"`
	Parcel  string `json:"parcel,omitempty"`
	From    Origin `json:"from,omitzero"`
	JK      []byte `json:"jk"`
	Sum     string `json:"sum"`
}

// accessRecord is the keychain's form of a generation's access token.
type accessRecord struct {
	V      int    `json:"v"`
	G      uint64 `json:"g"`
	Key    string `json:"key"`
	Access string `json:"access"`
	lifeRecord
	Sum string `json:"sum"`
}

// receivedRecord is the clear text of a journal that holds an answer.
type receivedRecord struct {
	Slot   slotRecord    `json:"slot"`
	Access *accessRecord `json:"access,omitempty"`
}

// newGeneration gives c the generation g and a fresh journal key.
func newGeneration(key string, g uint64, host string, c Credential) generation {
	jk := make([]byte, 32)
	_, _ = rand.Read(jk) // never fails: crypto/rand crashes the program instead
	return generation{g: g, key: key, host: host, jk: secret.New(string(jk)), cred: c}
}

// fingerprint names a refresh token without giving it away: 64 bits of an HMAC
// under the generation's own random key.
func (x generation) fingerprint() string {
	m := hmac.New(sha256.New, []byte(x.jk.Reveal()))
	m.Write([]byte(x.cred.Refresh.Reveal()))
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// deriveKey makes a 256-bit key for one purpose out of a journal key.
func deriveKey(jk secret.Text, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(jk.Reveal()), nil, purpose, 32)
}

func (x generation) slotRecord() slotRecord {
	c := x.cred
	r := slotRecord{
		V: recordVersion, G: x.g, Key: x.key, Host: x.host, Kind: c.Kind, Provider: c.Provider,
		Issuer: c.Pin.Issuer, Client: c.Pin.Client, Endpoint: c.Pin.TokenEndpoint, Revoke: c.Pin.RevocationEndpoint,
		Account: c.Account.ID, Email: c.Account.Email, Plan: c.Account.Plan, Scope: c.Scope,
		lifeRecord: c.Life.record(),
		Refresh:    c.Refresh.Reveal(), Lender: c.Lender, Parcel: c.Parcel, From: c.From, JK: []byte(x.jk.Reveal()),
	}
	if c.Kind != KindOAuth {
		r.Secret = c.Access.Reveal()
	}
	r.Sum = r.sum()
	return r
}

func (x generation) accessRecord() accessRecord {
	r := accessRecord{
		V: recordVersion, G: x.g, Key: x.key, Access: x.cred.Access.Reveal(),
		lifeRecord: x.cred.Life.record(),
	}
	r.Sum = r.sum()
	return r
}

func (x generation) encodeSlot() []byte   { return mustJSON(x.slotRecord()) }
func (x generation) encodeAccess() []byte { return mustJSON(x.accessRecord()) }

// encodeReceived is what the journal seals: the slot and, if withAccess, the
// access token.
func (x generation) encodeReceived(withAccess bool) []byte {
	r := receivedRecord{Slot: x.slotRecord()}
	if withAccess && !x.cred.Access.Empty() {
		a := x.accessRecord()
		r.Access = &a
	}
	return mustJSON(r)
}

// decodeSlot returns the generation of profile key that b holds, or errCorrupt.
func decodeSlot(b []byte, key string) (generation, error) {
	var r slotRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return generation{}, errCorrupt // its text may quote the value
	}
	return r.generation(key)
}

func (r slotRecord) generation(key string) (generation, error) {
	if r.V != recordVersion || r.Key != key || r.Sum != r.sum() || len(r.JK) != 32 || r.G == 0 {
		return generation{}, errCorrupt
	}
	c := Credential{
		Kind: r.Kind, Provider: r.Provider, Access: secret.New(r.Secret), Refresh: secret.New(r.Refresh),
		Life: r.life(), Scope: r.Scope,
		Account: Account{ID: r.Account, Email: r.Email, Plan: r.Plan},
		Pin:     Pin{Issuer: r.Issuer, Client: r.Client, TokenEndpoint: r.Endpoint, RevocationEndpoint: r.Revoke},
		Lender:  r.Lender, Parcel: r.Parcel, From: r.From,
	}
	return generation{g: r.G, key: key, host: r.Host, jk: secret.New(string(r.JK)), cred: c}, nil
}

// access is an access token as read back from its item.
type access struct {
	g     uint64
	token secret.Text
	life  Life
}

// decodeAccess returns the access token of profile key that b holds, or
// errCorrupt.
func decodeAccess(b []byte, key string) (access, error) {
	var r accessRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return access{}, errCorrupt // its text may quote the value
	}
	return r.access(key)
}

func (r accessRecord) access(key string) (access, error) {
	if r.V != recordVersion || r.Key != key || r.Sum != r.sum() || r.Access == "" {
		return access{}, errCorrupt
	}
	return access{r.G, secret.New(r.Access), r.life()}, nil
}

// decodeReceived is the inverse of encodeReceived.
func decodeReceived(b []byte, key string) (generation, error) {
	var r receivedRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return generation{}, errCorrupt
	}
	x, err := r.Slot.generation(key)
	if err != nil || r.Access == nil {
		return x, err
	}
	a, err := r.Access.access(key)
	if err != nil || a.g != x.g {
		return generation{}, errCorrupt
	}
	x.cred.Access = a.token
	return x, nil
}

// clientRecord is the keychain's form of a client's own secret or key.
type clientRecord struct {
	V   int    `json:"v"`
	Key string `json:"key"`
	Sum string `json:"sum"`
}

func encodeClient(key secret.Text) []byte {
	r := clientRecord{V: recordVersion, Key: key.Reveal()}
	r.Sum = checksum(mustJSON(r))
	return mustJSON(r)
}

func decodeClient(b []byte) (secret.Text, error) {
	var r clientRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return secret.Text{}, errCorrupt
	}
	sum := r.Sum
	r.Sum = ""
	if r.V != recordVersion || r.Key == "" || sum != checksum(mustJSON(r)) {
		return secret.Text{}, errCorrupt
	}
	return secret.New(r.Key), nil
}

func (r slotRecord) sum() string {
	r.Sum = ""
	return checksum(mustJSON(r))
}

func (r accessRecord) sum() string {
	r.Sum = ""
	return checksum(mustJSON(r))
}

// checksum is 128 bits of SHA-256: enough to tell damage and mixed records.
func checksum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:16])
}

// mustJSON encodes one of our own flat records, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sink: encoding %T: %v", v, err))
	}
	return b
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
