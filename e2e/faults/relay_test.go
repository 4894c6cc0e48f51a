//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"
)

// relay stands between keytray and the session bus. Daemons and prompters speak
// to the bus itself.
type relay struct {
	address string
	target  string

	// gone makes the bus one that is not there.
	gone atomic.Bool

	mu   sync.Mutex // guards hook
	hook func(c busCall) verdict
}

// busCall is a method call on its way to the bus.
type busCall struct {
	method string // CreateItem, SearchItems, …
	item   string // the name of the keychain item, where the call has one
}

// is reports whether it is that method on an item with that ending.
func (c busCall) is(method, ending string) bool {
	return c.method == method && strings.HasSuffix(c.item, ending)
}

// verdict is what happens to a call. Its zero value lets it pass.
type verdict struct {
	// drop keeps it from the bus, and no answer comes.
	drop bool
	// pretend keeps it from the bus and answers that an item was made.
	pretend bool
	// answer sees the bus's answer before keytray does, and returns false to
	// keep it.
	answer func() bool
	// fail turns the bus's answer into an error.
	fail bool
}

func startRelay(tb testing.TB, address string) *relay {
	tb.Helper()
	target, ok := strings.CutPrefix(address, "unix:path=")
	if !ok {
		tb.Fatalf("the bus is at %q, want a path", address)
	}
	target, _, _ = strings.Cut(target, ",")
	target, err := dbus.UnescapeBusAddressValue(target)
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kt-") //nolint:usetesting // a socket's path holds 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	r := &relay{address: "unix:path=" + path, target: target}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(c) })
		}
	})
	tb.Cleanup(func() {
		l.Close()
		os.RemoveAll(dir)
	})
	return r
}

// on sets the hook; nil takes it away. Without a bus there is nothing to meet.
func (r *relay) on(hook func(c busCall) verdict) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
}

func (r *relay) judge(c busCall) verdict {
	r.mu.Lock()
	hook := r.hook
	r.mu.Unlock()
	if hook == nil {
		return verdict{}
	}
	return hook(c)
}

// serve relays one connection until either side ends it.
func (r *relay) serve(client net.Conn) {
	defer client.Close()
	if r.gone.Load() {
		return
	}
	bus, err := net.Dial("unix", r.target)
	if err != nil {
		return
	}
	defer bus.Close()
	l := &link{relay: r, client: client, bus: bus, judged: map[uint32]verdict{}}
	var both sync.WaitGroup
	both.Go(func() {
		l.up()
		bus.Close()
	})
	both.Go(func() {
		l.down()
		client.Close()
	})
	both.Wait()
}

// link is one connection.
type link struct {
	relay       *relay
	client, bus net.Conn

	mu     sync.Mutex // guards what follows, and writes to client
	judged map[uint32]verdict
}

// up carries what keytray says: lines until BEGIN, then messages.
func (l *link) up() {
	in := bufio.NewReader(l.client)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		if _, err := l.bus.Write(line); err != nil {
			return
		}
		if string(line) == "BEGIN\r\n" {
			break
		}
	}
	for {
		raw, m, err := readMessage(in)
		if err != nil {
			return
		}
		v := l.relay.judge(callOf(m))
		if v.pretend {
			l.reply(m, dbus.TypeMethodReply, dbus.ObjectPath("/org/freedesktop/secrets/collection/login/1"), dbus.ObjectPath("/"))
		}
		if l.relay.gone.Load() {
			return
		}
		if v.drop || v.pretend {
			continue
		}
		l.mu.Lock()
		l.judged[m.Serial()] = v
		l.mu.Unlock()
		if _, err := l.bus.Write(raw); err != nil {
			return
		}
	}
}

// down carries what the bus says. Its lines begin with a capital, its messages
// with an l: it is little-endian, as all machines are that this runs on.
func (l *link) down() {
	in := bufio.NewReader(l.bus)
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		if first[0] != 'l' {
			line, err := in.ReadBytes('\n')
			if err != nil || !l.write(line) {
				return
			}
			continue
		}
		raw, m, err := readMessage(in)
		if err != nil {
			return
		}
		serial, isReply := m.Headers[dbus.FieldReplySerial].Value().(uint32)
		l.mu.Lock()
		v := l.judged[serial]
		l.mu.Unlock()
		if isReply && v.answer != nil && !v.answer() {
			continue
		}
		if isReply && v.fail {
			m.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.NoReply")
			delete(m.Headers, dbus.FieldSignature)
			m.Type, m.Body = dbus.TypeError, nil
			raw = encode(m)
		}
		if !l.write(raw) {
			return
		}
	}
}

func (l *link) write(b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.client.Write(b)
	return err == nil
}

// reply answers in the place of the bus.
func (l *link) reply(call *dbus.Message, kind dbus.Type, body ...any) {
	l.write(encode(&dbus.Message{
		Type: kind,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body...)),
		},
		Body: body,
	}))
}

// encode gives a message a serial number where it has none.
func encode(m *dbus.Message) []byte {
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		panic(err)
	}
	raw := b.Bytes()
	if m.Serial() == 0 {
		binary.LittleEndian.PutUint32(raw[8:], 1<<30)
	}
	return raw
}

// readMessage reads one message, whose length its first 16 bytes tell.
func readMessage(in *bufio.Reader) ([]byte, *dbus.Message, error) {
	head, err := in.Peek(16)
	if err != nil {
		return nil, nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'B' {
		order = binary.BigEndian
	}
	fields := (order.Uint32(head[12:]) + 7) &^ 7
	raw := make([]byte, 16+fields+order.Uint32(head[4:]))
	if _, err := io.ReadFull(in, raw); err != nil {
		return nil, nil, err
	}
	m, err := dbus.DecodeMessage(bytes.NewReader(raw))
	return raw, m, err
}

// callOf says which call a message is.
func callOf(m *dbus.Message) busCall {
	var c busCall
	if m.Type != dbus.TypeMethodCall {
		return c
	}
	c.method, _ = m.Headers[dbus.FieldMember].Value().(string)
	if len(m.Body) == 0 {
		return c
	}
	switch body := m.Body[0].(type) {
	case map[string]string: // SearchItems
		c.item = body["username"]
	case map[string]dbus.Variant: // CreateItem
		attributes, _ := body["org.freedesktop.Secret.Item.Attributes"].Value().(map[string]string)
		c.item = attributes["username"]
	}
	return c
}
