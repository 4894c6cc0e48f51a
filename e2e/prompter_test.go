//go:build linux

package e2e

import (
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"
)

// prompter stands in for gcr-prompter: it is whom gnome-keyring asks to show a
// dialog. It counts, and declines.
type prompter struct{ asked atomic.Int32 }

// BeginPrompting is the first call of every dialog (gcr's private interface).
func (p *prompter) BeginPrompting(dbus.ObjectPath) *dbus.Error {
	p.asked.Add(1)
	return dbus.NewError("org.gnome.keyring.Prompter.Failed", []any{"nobody is here"})
}

// startPrompter takes the name of the desktop's prompter on that bus.
func startPrompter(t *testing.T, bus string) *prompter {
	t.Helper()
	c, err := dbus.Connect(bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &prompter{}
	if err := c.Export(p, "/org/gnome/keyring/Prompter", "org.gnome.keyring.internal.Prompter"); err != nil {
		t.Fatal(err)
	}
	got, err := c.RequestName("org.gnome.keyring.SystemPrompter", dbus.NameFlagDoNotQueue)
	if err != nil || got != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("taking the prompter's name: %v, %v", got, err)
	}
	return p
}
