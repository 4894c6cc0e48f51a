// Package keychaintest is a Secret Service of our own that lies in every way a
// keychain has been seen to lie. It is a D-Bus service like gnome-keyring, on a
// bus that the test brings (see package session): what is tested against it is
// the real client, go-keyring included.
//
// Like the real one it does one thing at a time, in the order of arrival. It
// works where godbus does; it keeps its items in memory, and is no keyring.
package keychaintest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// The objects of the Secret Service.
const (
	Name          = "org.freedesktop.secrets"
	servicePath   = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath     = servicePath + "/collection/login"
	aliasPath     = servicePath + "/aliases/default"
	sessionPath   = servicePath + "/session/s1"
	iface         = "org.freedesktop.Secret."
	unknownMethod = "org.freedesktop.DBus.Error.UnknownMethod"
)

// Service is a running Secret Service. Its methods may be called at any time.
type Service struct {
	conn     *dbus.Conn
	messages chan *dbus.Message
	end      chan struct{}
	done     sync.WaitGroup

	// mu guards what follows.
	mu     sync.Mutex
	items  map[dbus.ObjectPath]*Item
	next   int
	locked bool
	// aliasOnly hides the collection "login", noCollection both.
	aliasOnly, noCollection bool
	faults                  map[string]Fault
	person                  func(*Dialog)
	dialogs                 map[dbus.ObjectPath]*Dialog
	calls                   []string
	// known are the clients that had an answer, hasty what others asked for.
	known map[string]bool
	hasty []string
}

// Item is what the service holds.
type Item struct {
	Attributes map[string]string
	Value      []byte
	Modified   time.Time
	Locked     bool
}

// Fault is how the service fails in one method. The zero value is no fault.
type Fault struct {
	// Hold stops the whole service when the call arrives, until it is closed.
	Hold <-chan struct{}
	// Skip leaves out what the call should do.
	Skip bool
	// Then runs after that, before the answer.
	Then func()
	// Error is the name of the D-Bus error to answer with, or [NoReply].
	Error string
	// Answer is sent in place of the right results.
	Answer []any
}

// NoReply as [Fault].Error leaves a call without an answer for ever.
const NoReply = "-"

// Start takes the name of the Secret Service on the bus at address. It starts
// unlocked and empty, with the collection "login" as the default one.
func Start(address string) (*Service, error) {
	c, err := dbus.Connect(address)
	if err != nil {
		return nil, fmt.Errorf("starting the hostile keyring: %w", err)
	}
	reply, err := c.RequestName(Name, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = errors.New("another one is running")
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("starting the hostile keyring: %w", err)
	}
	s := &Service{
		conn:     c,
		messages: make(chan *dbus.Message, 4096),
		end:      make(chan struct{}),
		items:    map[dbus.ObjectPath]*Item{},
		faults:   map[string]Fault{},
		person:   (*Dialog).Accept,
		dialogs:  map[dbus.ObjectPath]*Dialog{},
		known:    map[string]bool{},
	}
	s.serve()
	return s, nil
}

// serve handles the messages one by one, where godbus's Export would handle
// each in a goroutine.
func (s *Service) serve() {
	s.conn.Eavesdrop(s.messages)
	s.done.Go(func() {
		var queue []*dbus.Message
		for {
			if len(queue) == 0 {
				select {
				case m := <-s.messages:
					queue = append(queue, m)
				case <-s.end:
					return
				}
			}
			m := queue[0]
			if m.Type == dbus.TypeMethodCall {
				answer := s.handle(m)
				queue = append(queue, s.arrived()...)
				s.meet(queue)
				answer()
			}
			queue = queue[1:]
		}
	})
}

// arrived takes what has come by now.
func (s *Service) arrived() []*dbus.Message {
	var come []*dbus.Message
	for {
		select {
		case m := <-s.messages:
			come = append(come, m)
		default:
			return come
		}
	}
}

// meet notes what a client has asked for before the first of the queue, the
// first that is from it, was answered.
func (s *Service) meet(queue []*dbus.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := newCall(queue[0]).sender
	if s.known[client] {
		return
	}
	s.known[client] = true
	for _, m := range queue {
		if c := newCall(m); c.sender == client && c.method != "Collections" {
			s.hasty = append(s.hasty, c.method)
		}
	}
}

// Hasty returns what clients have asked for before anything of theirs was
// answered, other than the collections: each of that can find gnome-keyring
// without a record of the client, and then aborts it or fails.
func (s *Service) Hasty() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hasty)
}

// Close ends the service, held or not, and waits for it.
func (s *Service) Close() error {
	close(s.end)
	s.conn.Eavesdrop(nil) // the connection would close a channel that it still sends to
	err := s.conn.Close()
	s.done.Wait()
	return err
}

// Inject makes every further call of a method fail in this way: CreateItem,
// SearchItems, GetSecret, Delete, OpenSession, Unlock, Prompt, or the name of a
// property, Collections, Locked or Modified.
func (s *Service) Inject(method string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = f
}

// Heal ends all faults.
func (s *Service) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// SetLocked locks or unlocks the collection.
func (s *Service) SetLocked(locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked = locked
}

// SetCollections says whether there is a collection "login", and whether there
// is a default one at all.
func (s *Service) SetCollections(login, alias bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliasOnly, s.noCollection = !login, !login && !alias
}

// Plant puts an item in, as another program would.
func (s *Service) Plant(it Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(&it)
}

// Items returns copies of the items, in the order in which they were made.
func (s *Service) Items() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []Item
	for _, p := range slices.Sorted(maps.Keys(s.items)) {
		items = append(items, *s.items[p])
	}
	return items
}

// Calls returns the names of the methods and properties that were asked for
// since the last time.
func (s *Service) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *Service) add(it *Item) dbus.ObjectPath {
	s.next++
	if it.Modified.IsZero() {
		it.Modified = time.Now()
	}
	path := loginPath + dbus.ObjectPath(fmt.Sprintf("/i%06d", s.next))
	s.items[path] = it
	return path
}

// call is one method call that is being answered.
type call struct {
	*dbus.Message
	path           dbus.ObjectPath
	iface, member  string
	sender, method string
}

func newCall(m *dbus.Message) call {
	c := call{Message: m}
	c.path, _ = m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	c.iface, _ = m.Headers[dbus.FieldInterface].Value().(string)
	c.member, _ = m.Headers[dbus.FieldMember].Value().(string)
	c.sender, _ = m.Headers[dbus.FieldSender].Value().(string)
	c.method = c.member
	if name, ok := c.arg(1).(string); ok && c.iface == "org.freedesktop.DBus.Properties" {
		c.method = name
	}
	return c
}

func (c call) arg(i int) any {
	if i < len(c.Body) {
		return c.Body[i]
	}
	return nil
}

// dbusError is an answer that is an error.
type dbusError string

func (e dbusError) Error() string { return string(e) }

// handle does what a call asks for and returns its answer, still to be sent.
func (s *Service) handle(m *dbus.Message) (answer func()) {
	c := newCall(m)
	s.mu.Lock()
	s.calls = append(s.calls, c.method)
	f := s.faults[c.method]
	s.mu.Unlock()
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-s.end:
			return func() {}
		}
	}
	var body []any
	var err error
	if !f.Skip {
		body, err = s.do(c)
	} else {
		body = s.pretend(c)
	}
	if f.Then != nil {
		f.Then()
	}
	switch {
	case f.Error == NoReply:
		return func() {}
	case f.Error != "":
		err = dbusError(f.Error)
	case f.Answer != nil:
		body = f.Answer
	}
	return func() { s.reply(c, body, err) }
}

// pretend is the answer to a call that is not carried out.
func (*Service) pretend(c call) []any {
	switch c.method {
	case "CreateItem":
		return []any{loginPath + "/i0", dbus.ObjectPath("/")}
	case "Delete":
		return []any{dbus.ObjectPath("/")}
	}
	return nil
}

func (s *Service) reply(c call, body []any, err error) {
	if c.Flags&dbus.FlagNoReplyExpected != 0 {
		return
	}
	m := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(c.Serial()),
		dbus.FieldDestination: dbus.MakeVariant(c.sender),
	}}
	if err != nil {
		m.Type = dbus.TypeError
		m.Headers[dbus.FieldErrorName] = dbus.MakeVariant(err.Error())
		body = []any{"SECRET text that a service may send"}
	}
	if len(body) > 0 {
		m.Body = body
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	s.conn.Send(m, nil)
}

// do carries a call out.
func (s *Service) do(c call) ([]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.iface == "org.freedesktop.DBus.Properties" && c.member == "Get":
		return s.property(c)
	case c.path == servicePath:
		return s.onService(c)
	case c.path == loginPath && !s.aliasOnly, c.path == aliasPath && !s.noCollection:
		return s.onCollection(c)
	case c.path == sessionPath:
		return nil, nil
	case s.items[c.path] != nil:
		return s.onItem(c)
	case s.dialogs[c.path] != nil:
		return s.onPrompt(c)
	}
	return nil, dbusError("org.freedesktop.Secret.Error.NoSuchObject")
}

func (s *Service) property(c call) ([]any, error) {
	var value any
	it := s.items[c.path]
	switch {
	case c.method == "Collections" && c.path == servicePath:
		paths := []dbus.ObjectPath{}
		if !s.aliasOnly {
			paths = append(paths, loginPath)
		}
		value = paths
	case c.method == "Locked" && (c.path == loginPath && !s.aliasOnly || c.path == aliasPath && !s.noCollection):
		value = s.locked
	case c.method == "Locked" && it != nil:
		value = s.locked || it.Locked
	case c.method == "Modified" && it != nil:
		value = uint64(it.Modified.Unix()) //nolint:gosec // a time of this century
	default:
		return nil, dbusError("org.freedesktop.DBus.Error.UnknownObject")
	}
	return []any{dbus.MakeVariant(value)}, nil
}

func (s *Service) onService(c call) ([]any, error) {
	switch c.member {
	case "OpenSession":
		return []any{dbus.MakeVariant(""), sessionPath}, nil
	case "Unlock":
		paths, _ := c.arg(0).([]dbus.ObjectPath)
		if s.anyLocked(paths) {
			return []any{[]dbus.ObjectPath{}, s.newDialog(paths)}, nil
		}
		return []any{paths, dbus.ObjectPath("/")}, nil
	}
	return nil, dbusError(unknownMethod)
}

func (s *Service) anyLocked(paths []dbus.ObjectPath) bool {
	return s.locked || slices.ContainsFunc(paths, func(p dbus.ObjectPath) bool {
		return s.items[p] != nil && s.items[p].Locked
	})
}

func (s *Service) onCollection(c call) ([]any, error) {
	switch c.member {
	case "SearchItems":
		want, _ := c.arg(0).(map[string]string)
		return []any{s.search(want)}, nil
	case "CreateItem":
		if s.locked {
			return nil, dbusError(iface + "Error.IsLocked")
		}
		return []any{s.create(c), dbus.ObjectPath("/")}, nil
	}
	return nil, dbusError(unknownMethod)
}

// search returns the items that have at least the attributes, in the order in
// which they were made: a planted one comes first.
func (s *Service) search(want map[string]string) []dbus.ObjectPath {
	found := []dbus.ObjectPath{}
	for _, p := range slices.Sorted(maps.Keys(s.items)) {
		if contains(s.items[p].Attributes, want) {
			found = append(found, p)
		}
	}
	return found
}

func contains(has, want map[string]string) bool {
	for k, v := range want {
		if has[k] != v {
			return false
		}
	}
	return true
}

// create makes an item, in place of one with the very same attributes.
func (s *Service) create(c call) dbus.ObjectPath {
	properties, _ := c.arg(0).(map[string]dbus.Variant)
	attributes, _ := properties[iface+"Item.Attributes"].Value().(map[string]string)
	var value []byte
	if secret, ok := c.arg(1).([]any); ok && len(secret) == 4 {
		value, _ = secret[2].([]byte)
	}
	for p, it := range s.items {
		if maps.Equal(it.Attributes, attributes) {
			it.Value, it.Modified = value, time.Now()
			return p
		}
	}
	return s.add(&Item{Attributes: attributes, Value: value})
}

func (s *Service) onItem(c call) ([]any, error) {
	it := s.items[c.path]
	switch {
	case c.member == "Delete":
		delete(s.items, c.path)
		return []any{dbus.ObjectPath("/")}, nil
	case c.member == "GetSecret" && (s.locked || it.Locked):
		return nil, dbusError(iface + "Error.IsLocked")
	case c.member == "GetSecret":
		return []any{struct {
			Session           dbus.ObjectPath
			Parameters, Value []byte
			ContentType       string
		}{sessionPath, []byte{}, it.Value, "text/plain"}}, nil
	}
	return nil, dbusError(unknownMethod)
}
