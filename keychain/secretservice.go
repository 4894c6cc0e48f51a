//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keychain

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
)

// secretService is the keychain of a Linux or BSD desktop: gnome-keyring,
// KWallet or KeePassXC, over D-Bus.
//
// go-keyring writes and deletes. What it cannot do safely happens on a
// connection of our own: to see before that somebody answers, which collection
// go-keyring will take and whether that is locked; to raise and follow the
// unlock dialog, which go-keyring raises unasked, ends at any signal, and takes
// a dismissal of for success; and to read, where it takes the first of what a
// search finds, whoever wrote it.
type secretService struct {
	service string
	address string
	// granted is the connection that a person has just unlocked something for.
	granted *dbus.Conn
}

func newStore(opts Options) store {
	address := busAddress(opts.Bus)
	useAddress(address)
	return &secretService{service: opts.Service, address: address}
}

// limit is far above [MaxValue]: the protocol has no limit that matters.
func (*secretService) limit(string) int { return 1 << 20 }

func (s *secretService) lookup(ctx context.Context, name string) ([]string, error) {
	v, err := s.visit(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	items, err := v.search(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, ErrNotFound
	case len(items) > 1:
		if err := v.sortNewest(ctx, items); err != nil {
			return nil, err
		}
	}
	return v.secrets(ctx, items)
}

// set looks before it writes: "replace", which go-keyring asks for, makes
// gnome-keyring overwrite any item with our two attributes, whatever else it has.
func (s *secretService) set(ctx context.Context, name, value string) error {
	v, err := s.visit(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	items, err := v.search(ctx, name)
	if err != nil {
		return err
	}
	if len(items) > 0 {
		there, err := v.secrets(ctx, items)
		if err != nil {
			return err
		}
		if err := vacant(there); err != nil {
			return err
		}
	}
	return classify(detachWrite(ctx, func() error { return s.put(name, value) }))
}

// put writes through go-keyring. Its Set begins with opening a session, so that
// its connection has to be greeted as well, each time, for the daemon may be
// another one than the last time: looking for what nobody can have begins with
// the same call as [visit.greet], and opens no session.
func (s *secretService) put(name, value string) error {
	if _, err := keyring.Get(s.service, rand.Text()); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	return keyring.Set(s.service, name, value)
}

// remove deletes through go-keyring only what cannot be another item than
// ours: it takes the first of what it finds.
func (s *secretService) remove(ctx context.Context, name string, mine func(string) bool) error {
	v, err := s.visit(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	items, err := v.search(ctx, name)
	if err != nil || len(items) == 0 {
		return err
	}
	values, err := v.secrets(ctx, items)
	if err != nil {
		return err
	}
	if len(items) == 1 && mine(values[0]) {
		err := classify(detachWrite(ctx, func() error { return keyring.Delete(s.service, name) }))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	for i, item := range items {
		if !mine(values[i]) {
			continue
		}
		if err := v.deleteItem(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

func (s *secretService) answer(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	v := visit{conn: c, service: s.service}
	locked, err := v.locate(ctx)
	if err != nil || locked {
		return err
	}
	_, err = v.search(ctx, "barrier")
	return err
}

// visit is what one call does on a connection of its own.
type visit struct {
	conn *dbus.Conn
	// borrowed says that the connection is closed by another one.
	borrowed bool
	service  string
	// collection is the path that go-keyring will take.
	collection dbus.ObjectPath
	// session is being opened, to read secrets in; it ends with the connection.
	session *dbus.Call
}

// lockedError says what is locked: the collection, or one item.
type lockedError struct {
	path dbus.ObjectPath
	item bool
}

func (e *lockedError) Error() string {
	if e.item {
		return ErrLocked.Error() + ": it is set to confirm each access"
	}
	return ErrLocked.Error()
}

func (e *lockedError) Is(target error) bool { return target == ErrLocked }

// visit connects and sees to it that the collection is there and not locked.
// The caller closes the visit.
func (s *secretService) visit(ctx context.Context) (*visit, error) {
	if s.address == "" {
		return nil, fmt.Errorf("%w: there is no session bus", ErrUnavailable)
	}
	v := &visit{conn: s.granted, service: s.service, borrowed: s.granted != nil}
	if !v.borrowed {
		var err error
		if v.conn, err = s.connect(ctx); err != nil {
			return nil, err
		}
	}
	locked, err := v.locate(ctx)
	if err == nil && locked {
		err = &lockedError{path: v.collection}
	}
	if err != nil {
		v.close()
		return nil, err
	}
	v.session = v.start(ctx, secretsPath, iface+"Service.OpenSession", "plain", dbus.MakeVariant(""))
	return v, nil
}

func (v *visit) close() {
	if !v.borrowed {
		v.conn.Close()
	}
}

const (
	busName     = "org.freedesktop.DBus"
	secretsName = "org.freedesktop.secrets"
	secretsPath = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath   = secretsPath + "/collection/login"
	defaultPath = secretsPath + "/aliases/default"
	iface       = "org.freedesktop.Secret."
	getProperty = "org.freedesktop.DBus.Properties.Get"
	noPrompt    = dbus.ObjectPath("/")
)

// greet makes the service know the connection, and returns its collections.
//
// gnome-keyring makes its record of a client in an idle callback that the
// client's first call can overtake, and each call but this one needs that record:
// reading another property or opening a session without it aborts the daemon. So
// this is the first call of every connection, and the next one waits for its
// answer, which comes from the loop that makes the record before it does more.
// https://bugs.debian.org/1147303
func (v *visit) greet(ctx context.Context) ([]dbus.ObjectPath, error) {
	var paths []dbus.ObjectPath
	err := property(v.start(ctx, secretsPath, getProperty, iface+"Service", "Collections"), &paths)
	return paths, err
}

// locate finds the collection that go-keyring will take, with the same rule,
// and reports whether it is locked.
func (v *visit) locate(ctx context.Context) (locked bool, err error) {
	paths, err := v.greet(ctx)
	if err != nil {
		return false, err
	}
	v.collection = defaultPath
	if slices.Contains(paths, loginPath) {
		v.collection = loginPath
	}
	call := v.start(ctx, v.collection, getProperty, iface+"Collection", "Locked")
	if err := property(call, &locked); err != nil {
		if _, ok := errors.AsType[dbus.Error](call.Err); ok && v.collection == defaultPath {
			return false, fmt.Errorf("%w: it has no default collection", ErrUnavailable)
		}
		return false, err
	}
	return locked, nil
}

// search returns the items with our two attributes, and those with more.
func (v *visit) search(ctx context.Context, name string) ([]dbus.ObjectPath, error) {
	var items []dbus.ObjectPath
	attributes := map[string]string{"username": name, "service": v.service}
	err := results(v.start(ctx, v.collection, iface+"Collection.SearchItems", attributes), &items)
	return items, err
}

// sortNewest sorts items by the time of their last change, the newest first.
func (v *visit) sortNewest(ctx context.Context, items []dbus.ObjectPath) error {
	calls := v.each(ctx, items, getProperty, iface+"Item", "Modified")
	modified := make(map[dbus.ObjectPath]uint64, len(items))
	for i, c := range calls {
		var seconds uint64
		if err := property(c, &seconds); err != nil {
			return err
		}
		modified[items[i]] = seconds
	}
	slices.SortStableFunc(items, func(a, b dbus.ObjectPath) int { return cmp.Compare(modified[b], modified[a]) })
	return nil
}

// secrets reads the items. An item can be locked in a collection that is not:
// KeePassXC does that when it is set to confirm each access. Reading it raises
// no dialog, but says so.
func (v *visit) secrets(ctx context.Context, items []dbus.ObjectPath) ([]string, error) {
	var output dbus.Variant
	var session dbus.ObjectPath
	if err := results(v.session, &output, &session); err != nil {
		return nil, err
	}
	values := make([]string, len(items))
	for i, c := range v.each(ctx, items, iface+"Item.GetSecret", session) {
		value, err := secretValue(c)
		if errors.Is(err, ErrLocked) {
			return nil, &lockedError{items[i], true}
		}
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// secretValue waits for a Secret of the protocol: session, parameters, value, type
// of the value. It is not stored into a struct, because godbus copies bytes one by
// one there.
func secretValue(c *dbus.Call) (string, error) {
	var secret []any
	if err := results(c, &secret); err != nil {
		return "", err
	}
	if len(secret) != 4 {
		return "", errForeignTypes
	}
	value, ok := secret[2].([]byte)
	if !ok {
		return "", errForeignTypes
	}
	return string(value), nil
}

// each starts the same call for every item.
func (v *visit) each(ctx context.Context, items []dbus.ObjectPath, method string, args ...any) []*dbus.Call {
	calls := make([]*dbus.Call, len(items))
	for i, item := range items {
		calls[i] = v.start(ctx, item, method, args...)
	}
	return calls
}

func (v *visit) deleteItem(ctx context.Context, item dbus.ObjectPath) error {
	var prompt dbus.ObjectPath
	err := results(v.start(ctx, item, iface+"Item.Delete"), &prompt)
	switch {
	case ctx.Err() != nil:
		return &unfinishedError{cause: ctx.Err()}
	case err == nil && prompt != noPrompt:
		return fmt.Errorf("%w: deleting has to be confirmed", ErrLocked)
	}
	return err
}

// start begins a method call of the Secret Service, so that several can be
// under way at once.
func (v *visit) start(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return v.conn.Object(secretsName, path).GoWithContext(ctx, method, 0, make(chan *dbus.Call, 1), args...)
}

var errForeignTypes = fmt.Errorf("%w: it answers with types that are not in the protocol", ErrUnavailable)

// results waits for a call and stores what it returned.
func results(c *dbus.Call, into ...any) error {
	<-c.Done
	if c.Err != nil {
		return classify(c.Err)
	}
	if err := c.Store(into...); err != nil {
		return errForeignTypes
	}
	return nil
}

// property waits for the value of a property.
func property(c *dbus.Call, into any) error {
	var v dbus.Variant
	if err := results(c, &v); err != nil {
		return err
	}
	if err := v.Store(into); err != nil {
		return errForeignTypes
	}
	return nil
}

// classify makes one of our errors of one of theirs. It keeps the name of a
// D-Bus error and drops its text, which could hold anything.
func classify(err error) error {
	if err == nil || isOurs(err) {
		return err
	}
	if errors.Is(err, keyring.ErrNotFound) {
		return ErrNotFound
	}
	e, ok := errors.AsType[dbus.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !ok:
		return fmt.Errorf("%w: the connection or go-keyring's protocol failed", ErrUnavailable)
	case e.Name == iface+"Error.IsLocked":
		return ErrLocked
	}
	return fmt.Errorf("%w: %.100q", ErrUnavailable, e.Name)
}
