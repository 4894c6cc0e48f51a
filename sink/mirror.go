package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/object"
)

// The mirror is agents/<agent>/agent/auth-profiles.json in OpenClaw's format:
// what people and other programs may know of the logins. It holds no secret of
// ours, it is written last, and the keychain wins where they differ.

// mirrorLimit is the largest file that is read, bytes.
const mirrorLimit = 64 << 20

// ErrMirrorMissing means that an agent has no auth-profiles.json.
var ErrMirrorMissing = errors.New("auth-profiles.json is missing")

// MirrorError is a mirror that cannot be read or written. The login itself is
// safe in the keychain.
type MirrorError struct {
	Path string
	Err  error
}

func (e *MirrorError) Error() string { return "the profile file " + e.Path + ": " + e.Err.Error() }
func (e *MirrorError) Unwrap() error { return e.Err }

// secretRef is OpenClaw's reference to a secret that a program hands out.
type secretRef struct {
	Source   string `json:"source"`
	Provider string `json:"provider"`
	ID       string `json:"id"`
}

const refProvider = "keytray"

// entry is what we read of a profile's entry. Ours is nil in entries of others.
type entry struct {
	Type     string          `json:"type"`
	Provider string          `json:"provider"`
	TokenRef *secretRef      `json:"tokenRef"`
	KeyRef   *secretRef      `json:"keyRef"`
	Ours     *ours           `json:"keytray"`
	Token    json.RawMessage `json:"token"`
	Key      json.RawMessage `json:"key"`
	Access   json.RawMessage `json:"access"`
	Refresh  json.RawMessage `json:"refresh"`
	Email    string          `json:"email"`
}

// ours is the member that other programs may drop without harm.
type ours struct {
	V       int    `json:"v"`
	Root    string `json:"root"`
	Place   string `json:"place"`
	Key     string `json:"key"`
	G       uint64 `json:"generation"`
	Kind    Kind   `json:"kind"`
	Account string `json:"account,omitempty"`
	Plan    string `json:"plan,omitempty"`
	lifeRecord
	Lender string `json:"lender,omitempty"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	Until  int64  `json:"until,omitempty"`
	// FP is the fingerprint of the refresh token that State is bound to.
	FP string `json:"fp,omitempty"`
}

func (o *ours) valid() bool {
	return o != nil && o.V == 1 && o.G > 0 && validKey(o.Key, 64) && validKey(o.Root, 32) && filepath.IsAbs(o.Place)
}

// foreign reports whether the entry holds a secret that another program put
// there: such an entry is never overwritten.
func (e entry) foreign() bool {
	if e.Ours.valid() {
		return false
	}
	for _, raw := range []json.RawMessage{e.Token, e.Key, e.Access, e.Refresh} {
		if len(raw) > 0 && !bytes.Equal(raw, []byte("null")) && !bytes.Equal(raw, []byte(`""`)) {
			return true
		}
	}
	return false
}

// orphan reports whether the entry is one of ours whose member for us another
// program dropped.
func (e entry) orphan() bool {
	if e.Ours.valid() || e.foreign() {
		return false
	}
	for _, ref := range []*secretRef{e.TokenRef, e.KeyRef} {
		if ref != nil && ref.Source == "exec" && ref.Provider == refProvider {
			return true
		}
	}
	return false
}

// isOf reports whether the entry is that of the login with this key, also where
// its mark was dropped.
func (e entry) isOf(key string) bool {
	if e.Ours.valid() {
		return e.Ours.Key == key
	}
	ref := cmp.Or(e.TokenRef, e.KeyRef)
	return e.orphan() && ref.ID == refID(key)
}

// mirror is the file in memory, and where somebody edits it also the one beside
// it that may hold the order.
type mirror struct {
	top, profiles object.JSON
	// state is nil if there is no such file; stateErr says why it cannot be
	// read, which matters to the order only.
	state    object.JSON
	stateErr error
}

func (s *Store) mirrorPath(agent string) string {
	return filepath.Join(s.agentDir(agent), "auth-profiles.json")
}

// agentDir is the folder of an agent's files, which need not exist.
func (s *Store) agentDir(agent string) string {
	return s.root().AgentDir(agent)
}

// prepareAgent makes the folder of an agent's files.
func (s *Store) prepareAgent(agent string) error {
	if dir, elsewhere := s.AgentDirs[agent]; elsewhere {
		return s.disk.Prepare(dir)
	}
	return s.disk.Prepare(s.dir, "agents", agent, "agent")
}

// readMirror reads an agent's file; ErrMirrorMissing if there is none.
func (s *Store) readMirror(agent string) (mirror, error) {
	path := s.mirrorPath(agent)
	b, err := s.disk.Read(path, mirrorLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return mirror{}, &MirrorError{path, ErrMirrorMissing}
	}
	if err != nil {
		return mirror{}, &MirrorError{path, err}
	}
	m, err := parseMirror(b)
	if err != nil {
		return mirror{}, &MirrorError{path, err}
	}
	return m, nil
}

func parseMirror(b []byte) (mirror, error) {
	top, profiles, err := object.ParseNested(b, "profiles")
	return mirror{top: top, profiles: profiles}, err
}

// entry returns what the file says of a profile; ok is false if it says
// nothing that can be read.
func (m mirror) entry(id string) (e entry, ok bool) {
	raw, ok := m.profiles.Get(id)
	if !ok {
		return entry{}, false
	}
	return parseEntry(raw)
}

func parseEntry(raw json.RawMessage) (e entry, ok bool) {
	if json.Unmarshal(raw, &e) != nil {
		return entry{}, false
	}
	return e, true
}

// profile returns what an entry of ours says; ok is false for entries of others.
func (e entry) profile(agent, id string) (p Profile, ok bool) {
	o := e.Ours
	if !o.valid() || e.Provider == "" {
		return Profile{}, false
	}
	return Profile{
		Ref:      Ref{Agent: agent, ID: id},
		Provider: e.Provider, Kind: o.Kind,
		Account:    Account{ID: o.Account, Email: e.Email, Plan: o.Plan},
		Life:       o.life(),
		Lender:     o.Lender,
		Generation: o.G, State: o.State, Reason: o.Reason, Until: fromMillis(o.Until),
		at: whereabouts{o.Root, o.Place, o.Key},
	}, true
}

// put writes a profile's entry, keeping members that are not ours.
func (m *mirror) put(id string, at whereabouts, x generation, st standing) {
	raw, _ := m.profiles.Get(id)
	old, err := object.Parse(raw)
	if err != nil {
		old = nil // not an object: nothing in it can be kept
	}
	c := x.cred
	ref := mustJSON(secretRef{"exec", refProvider, refID(at.key)})
	e := old.Without("type", "provider", "token", "key", "access", "refresh", "tokenRef", "keyRef", "expires", "email", "accountId", "keytray")
	head := object.JSON{}.Set("type", mustJSON("token")).Set("provider", mustJSON(c.Provider)).Set("tokenRef", ref)
	if c.Kind == KindAPIKey {
		head = object.JSON{}.Set("type", mustJSON("api_key")).Set("provider", mustJSON(c.Provider)).Set("keyRef", ref)
	}
	if !c.Expires.IsZero() {
		head = head.Set("expires", mustJSON(millis(c.Expires)))
	}
	if c.Account.Email != "" {
		head = head.Set("email", mustJSON(c.Account.Email))
	}
	if c.Account.ID != "" {
		head = head.Set("accountId", mustJSON(c.Account.ID))
	}
	o := ours{
		V: 1, Root: at.rootID, Place: at.place, Key: at.key, G: x.g, Kind: c.Kind, Account: c.Account.ID, Plan: c.Account.Plan,
		lifeRecord: c.Life.record(), Lender: c.Lender, State: st.State, Reason: st.Reason, FP: st.fp, Until: millis(st.until),
	}
	e = append(head, e...)
	next := e.Set("keytray", mustJSON(o)).Encode()
	if !sameJSON(raw, next) {
		m.profiles = m.profiles.Set(id, next)
	}
}

// mark changes the standing of an entry of ours and nothing else.
func (m *mirror) mark(id string, e entry, st standing) error {
	raw, _ := m.profiles.Get(id)
	o, err := object.Parse(raw)
	if err != nil {
		return err
	}
	e.Ours.State, e.Ours.Reason, e.Ours.FP, e.Ours.Until = st.State, st.Reason, st.fp, millis(st.until)
	next := o.Set("keytray", mustJSON(e.Ours)).Encode()
	if !sameJSON(raw, next) {
		m.profiles = m.profiles.Set(id, next)
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// standing is the part of an entry that may change without a new generation.
type standing struct {
	State  State
	Reason string
	fp     string
	until  time.Time
}

// whole is the file's object.
func (m *mirror) whole() object.JSON {
	top := slices.Clone(m.top)
	if !top.Has("version") {
		top = append(object.JSON{}.Set("version", mustJSON(1)), top...)
	}
	return top.Set("profiles", m.profiles.Encode())
}

// editMirror changes an agent's file under its lock. Nothing is written when f
// changes nothing, or where the root has become one that may not be written; a
// file that cannot be understood is left as it is.
func (s *Store) editMirror(ctx context.Context, place, agent string, f func(*mirror) error) error {
	path := s.mirrorPath(agent)
	fail := func(err error) error {
		if _, ok := errors.AsType[*MirrorError](err); ok || err == nil {
			return err
		}
		return &MirrorError{path, err}
	}
	if err := s.prepareAgent(agent); err != nil {
		return fail(err)
	}
	unlock, err := s.lockMirror(ctx, place, agent)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	m, err := s.readMirror(agent)
	if err != nil && !errors.Is(err, ErrMirrorMissing) {
		return err
	}
	missing := err != nil
	m.state, m.stateErr = s.readState(agent)
	before := mirror{top: slices.Clone(m.top), profiles: slices.Clone(m.profiles), state: slices.Clone(m.state)}
	if err := f(&m); err != nil {
		return fail(err)
	}
	stateChanged := !m.state.Equal(before.state)
	changed := missing || !m.top.Equal(before.top) || !m.profiles.Equal(before.profiles)
	if !stateChanged && !changed {
		return nil
	}
	if err := s.CheckRoot(); err != nil {
		return fail(err)
	}
	if stateChanged {
		if err := s.writeObject(s.statePath(agent), m.state); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return s.writeObject(path, m.whole())
}

func (s *Store) writeObject(path string, o object.JSON) error {
	b, err := o.Indent()
	if err == nil {
		err = s.disk.Replace(path, b)
	}
	if err != nil {
		return &MirrorError{path, err}
	}
	return nil
}

func (s *Store) lockMirror(ctx context.Context, place, agent string) (unlock func(), err error) {
	return s.lock(ctx, mirrorLock(place, disk.Resolved(s.agentDir(agent))), nil)
}
