//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keychain

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"
)

// secretService is the keychain of a Linux or BSD desktop: gnome-keyring,
// KWallet or KeePassXC, over D-Bus.
//
// go-keyring writes, deletes and reads. What it cannot do safely happens
// before, on a connection of our own: to see that somebody answers, which
// collection go-keyring will take, whether that is locked, and to raise and
// follow the unlock dialog. go-keyring itself would raise it unasked, take any
// signal for its end, and take a dismissal for success.
type secretService struct {
	service string
	address string
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
	defer v.conn.Close()
	items, err := v.search(name)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, ErrNotFound
	}
	if err := v.unlocked(items); err != nil {
		return nil, err
	}
	if len(items) > 1 {
		return v.secrets(items)
	}
	value, err := detachRead(ctx, func() (string, error) { return keyring.Get(s.service, name) })
	if err != nil {
		return nil, classify(err)
	}
	return []string{value}, nil
}

func (s *secretService) set(ctx context.Context, name, value string) error {
	v, err := s.visit(ctx)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	return classify(detachWrite(ctx, func() error { return keyring.Set(s.service, name, value) }))
}

// remove deletes through go-keyring only what cannot be another item than
// ours: it takes the first of what it finds.
func (s *secretService) remove(ctx context.Context, name string, mine func(string) bool) error {
	v, err := s.visit(ctx)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	items, err := v.search(name)
	if err != nil || len(items) == 0 {
		return err
	}
	if err := v.unlocked(items); err != nil {
		return err
	}
	values, err := v.secrets(items)
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
		if err := v.deleteItem(item); err != nil {
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
	v := visit{ctx: ctx, conn: c, service: s.service}
	locked, err := v.locate()
	if err != nil || locked {
		return err
	}
	_, err = v.search("barrier")
	return err
}

// visit is what one call does on a connection of its own.
type visit struct {
	ctx     context.Context
	conn    *dbus.Conn
	service string
	// collection is the path that go-keyring will take.
	collection dbus.ObjectPath
}

// lockedError says what is locked.
type lockedError struct{ path dbus.ObjectPath }

func (e *lockedError) Error() string { return ErrLocked.Error() }

func (e *lockedError) Is(target error) bool { return target == ErrLocked }

// visit connects and sees to it that the collection is there and not locked.
// The caller closes the connection.
func (s *secretService) visit(ctx context.Context) (*visit, error) {
	if s.address == "" {
		return nil, fmt.Errorf("%w: there is no session bus", ErrUnavailable)
	}
	// go-keyring's connection is made meanwhile: two in a row are half of the
	// time of a short command. It ends with the process, as it always does.
	go func() { _, _ = dbus.SessionBus() }()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	v := &visit{ctx: ctx, conn: c, service: s.service}
	locked, err := v.locate()
	if err == nil && locked {
		err = &lockedError{v.collection}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return v, nil
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

// locate finds the collection that go-keyring will take, with the same rule,
// and reports whether it is locked.
func (v *visit) locate() (locked bool, err error) {
	collections := v.start(secretsPath, getProperty, iface+"Service", "Collections")
	login := v.start(loginPath, getProperty, iface+"Collection", "Locked")
	alias := v.start(defaultPath, getProperty, iface+"Collection", "Locked")

	var paths []dbus.ObjectPath
	if err := property(collections, &paths); err != nil {
		return false, err
	}
	v.collection = defaultPath
	call := alias
	for _, p := range paths {
		if p == loginPath {
			v.collection, call = loginPath, login
		}
	}
	if err := property(call, &locked); err != nil {
		if e, ok := errors.AsType[dbus.Error](err); ok && v.collection == defaultPath {
			return false, fmt.Errorf("%w: it has no default collection (%s)", ErrUnavailable, e.Name)
		}
		return false, err
	}
	return locked, nil
}

// search returns the items with our two attributes, and those with more.
func (v *visit) search(name string) ([]dbus.ObjectPath, error) {
	var items []dbus.ObjectPath
	attributes := map[string]string{"username": name, "service": v.service}
	err := store1(v.start(v.collection, iface+"Collection.SearchItems", attributes), &items)
	return items, err
}

// unlocked sees to it that the items can be read: KeePassXC locks them one by
// one when it is set to confirm each access.
func (v *visit) unlocked(items []dbus.ObjectPath) error {
	calls := make([]*dbus.Call, len(items))
	for i, item := range items {
		calls[i] = v.start(item, getProperty, iface+"Item", "Locked")
	}
	for i, c := range calls {
		var locked bool
		if err := property(c, &locked); err != nil {
			return err
		}
		if locked {
			return &lockedError{items[i]}
		}
	}
	return nil
}

// secret is the Secret struct of the protocol.
type secret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

// secrets reads the items without go-keyring, which would take the first one.
func (v *visit) secrets(items []dbus.ObjectPath) ([]string, error) {
	var output dbus.Variant
	var session dbus.ObjectPath
	call := v.start(secretsPath, iface+"Service.OpenSession", "plain", dbus.MakeVariant(""))
	if err := store1(call, &output, &session); err != nil {
		return nil, err
	}
	if !session.IsValid() {
		return nil, errForeignTypes
	}
	calls := make([]*dbus.Call, len(items))
	for i, item := range items {
		calls[i] = v.start(item, iface+"Item.GetSecret", session)
	}
	values := make([]string, len(items))
	for i, c := range calls {
		var s secret
		if err := store1(c, &s); err != nil {
			return nil, err
		}
		values[i] = string(s.Value)
	}
	return values, nil
}

func (v *visit) deleteItem(item dbus.ObjectPath) error {
	var prompt dbus.ObjectPath
	err := store1(v.start(item, iface+"Item.Delete"), &prompt)
	switch {
	case v.ctx.Err() != nil:
		return &unfinishedError{cause: v.ctx.Err()}
	case err == nil && prompt != noPrompt:
		return fmt.Errorf("%w: deleting has to be confirmed", ErrLocked)
	}
	return err
}

// start begins a method call of the Secret Service, so that several can be
// under way at once.
func (v *visit) start(path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return v.conn.Object(secretsName, path).GoWithContext(v.ctx, method, 0, make(chan *dbus.Call, 1), args...)
}

var errForeignTypes = fmt.Errorf("%w: it answers with types that are not in the protocol", ErrUnavailable)

// store1 waits for a call and stores its results.
func store1(c *dbus.Call, into ...any) error {
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
	if err := store1(c, &v); err != nil {
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
