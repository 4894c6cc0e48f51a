//go:build unix && !darwin

package notify

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
)

// known is a link with one bubble, number 7, shown with the fifth message.
func known() *link {
	u := &bubble{id: 7, since: 5, actions: map[string]string{"0": "login"}}
	return &link{server: ":1.2", bubbles: map[string]*bubble{"alice": u}}
}

func TestOldSignalsAreNotBelieved(t *testing.T) {
	t.Parallel()
	closed := func(seq dbus.Sequence) *dbus.Signal {
		return &dbus.Signal{Sender: ":1.2", Name: serverName + ".NotificationClosed", Body: []any{uint32(7), uint32(2)}, Sequence: seq}
	}
	l := known()
	l.hear(closed(4))
	if len(l.bubbles) != 1 {
		t.Error("what was said of the bubble before its present text ends it")
	}
	l.hear(closed(6))
	if len(l.bubbles) != 0 {
		t.Error("the bubble was closed and is still known")
	}
}

// FuzzSignal has messages of whoever is on the bus.
func FuzzSignal(f *testing.F) {
	for _, body := range [][]any{{uint32(7), uint32(2)}, {uint32(7), "0"}, {uint32(7)}, {"7", "0"}, {}, {uint32(0), "default"}} {
		for _, member := range []string{"ActionInvoked", "NotificationClosed", "ActivationToken"} {
			f.Add(encode(f, member, body))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := dbus.DecodeMessage(bytes.NewReader(data))
		if err != nil || m.Type != dbus.TypeSignal {
			return
		}
		iface, _ := m.Headers[dbus.FieldInterface].Value().(string)
		member, _ := m.Headers[dbus.FieldMember].Value().(string)
		l := known()
		l.bubbles["alice"].actions = map[string]string{} // nothing to send
		queue := make(chan heard, 1)
		l.heard = queue
		l.DeliverSignal(iface, member, &dbus.Signal{Sender: l.server, Name: iface + "." + member, Body: m.Body, Sequence: 9})
		if iface != serverName {
			if len(queue) != 0 {
				t.Errorf("%s.%s is heard", iface, member)
			}
			return
		}
		if cause, action := l.hear((<-queue).signal); action != "" {
			t.Errorf("hear() = %q, %q", cause, action)
		}
		if len(l.bubbles) == 0 && member != "NotificationClosed" {
			t.Errorf("%s ends a bubble", member)
		}
	})
}

func encode(f *testing.F, member string, body []any) []byte {
	f.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(serverPath),
		dbus.FieldInterface: dbus.MakeVariant(serverName),
		dbus.FieldMember:    dbus.MakeVariant(member),
	}}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		f.Fatal(err)
	}
	// A serial of 0 is not valid, and only a connection sets one.
	binary.LittleEndian.PutUint32(b.Bytes()[8:], 1)
	return b.Bytes()
}
