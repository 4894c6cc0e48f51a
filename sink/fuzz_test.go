package sink

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/machine"
	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/route"
	"github.com/keytray/keytray/secret"
)

const fuzzKey = "5991b1863350b037036bd552435858bf6508250c89a5b3ba63b077c4d34dcf70"

func fuzzGeneration(g uint64) generation {
	now := time.UnixMilli(1795400000000)
	return newGeneration(fuzzKey, g, "host", Credential{
		Kind: KindOAuth, Provider: "acme", Access: secret.New("at"), Refresh: secret.New("rt"), Life: Life{Moment{Wall: now, Boot: "b", Up: time.Hour}, now.Add(time.Hour)},
		Account: Account{"acct", "a@example.org", "plus"}, Pin: Pin{"i", "c", "t", "r"},
	})
}

// Whatever a keychain answers, a record that decodes is one that was encoded.
func FuzzSlotRecord(f *testing.F) {
	f.Add(fuzzGeneration(3).encodeSlot())
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeSlot(b, fuzzKey)
		if err != nil {
			return
		}
		y, err := decodeSlot(x.encodeSlot(), fuzzKey)
		if err != nil || y.g != x.g || !y.cred.Refresh.Equal(x.cred.Refresh) || !y.jk.Equal(x.jk) {
			t.Errorf("%q does not survive a round trip: %v", b, err)
		}
	})
}

func FuzzAccessRecord(f *testing.F) {
	f.Add(fuzzGeneration(3).encodeAccess())
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAccess(b, fuzzKey)
		if err == nil && a.token.Empty() {
			t.Errorf("%q decodes to no token", b)
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add(journal{Phase: phaseSending, G: 4, FP: "00", Attempt: 1, Process: machine.Process{PID: 1}}.encode())
	f.Add(journal{Phase: phaseReceived, G: 4, Box: []byte("x")}.encode())
	f.Add(journal{Phase: phaseLogout, Epoch: 2}.encode())
	f.Add(journal{Phase: phaseMoving, G: 1, File: "/f", Digest: "d", To: "age1"}.encode())
	f.Add(journal{Phase: phaseImporting, G: 1, Root: "/r", Ref: Ref{"main", "acme:a"}}.encode())
	prev := fuzzGeneration(3)
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := decodeJournal(b)
		if err != nil {
			return
		}
		if again, err := decodeJournal(j.encode()); err != nil || again.Phase != j.Phase || again.G != j.G || !bytes.Equal(again.Box, j.Box) {
			t.Errorf("%q does not survive a round trip: %v", b, err)
		}
		if _, err := unseal(prev, j.G, j.Box); err == nil {
			t.Errorf("%q opens with a key it was not made with", b)
		}
	})
}

// A mirror that can be read and is written again says the same.
func FuzzMirror(f *testing.F) {
	f.Add([]byte(`{"version":1,"profiles":{"a":{"type":"token"}},"order":{}}`))
	f.Add([]byte(`{"profiles":{"a":7,"b":null},"x":"\u00e9"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMirror(b)
		if err != nil {
			return
		}
		for _, p := range m.profiles {
			if e, ok := parseEntry(p.Value); ok {
				_, _ = e.profile("main", p.Name)
			}
		}
		out, err := m.whole().Indent()
		if err != nil {
			t.Fatalf("%q cannot be written: %v", b, err)
		}
		again, err := parseMirror(out)
		if err != nil || len(again.profiles) != len(m.profiles) {
			t.Errorf("%q becomes %q: %v", b, out, err)
		}
	})
}

// Whatever others wrote as order, usage or sessions, reading it does no harm, and
// what we write over it is read back.
func FuzzRouting(f *testing.F) {
	f.Add([]byte(`{"version":1,"order":{"Acme":["acme:a"," "]},"usageStats":{"acme:a":{"lastUsed":1.5,"errorCount":"x","failureCounts":{"auth":-1}}}}`))
	f.Add([]byte(`{"owner":"keytray","sessions":{"s":{"pins":{"acme":"acme:a"},"at":1}},"order":[],"usageStats":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := object.Parse(b)
		if err != nil {
			return
		}
		m := mirror{top: o}
		m.setOrder("acme", []string{"acme:b", "acme:a"})
		if ids := m.order("ACME"); len(ids) != 2 || ids[0] != "acme:b" {
			t.Errorf("%q: the order is %q", b, ids)
		}
		u := usage(o)["acme:a"].Failed(route.RateLimit, "acme", "", time.UnixMilli(1795400000000))
		raw, _ := o.Get("usageStats")
		stats, _ := object.Parse(raw)
		raw, _ = stats.Get("acme:a")
		next := object.JSON{}.Set("usageStats", object.JSON{}.Set("acme:a", mergeUsage(raw, u)).Encode())
		if got := usage(next)["acme:a"]; !reflect.DeepEqual(got, u) {
			t.Errorf("%q: the usage is %+v, want %+v", b, got, u)
		}
		_ = cache{object: o}.pin("s", "acme")
		if _, err := m.whole().Indent(); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}

// Any damage to a record makes it invalid, never another valid one.
func TestDamagedRecordsAreNotValid(t *testing.T) {
	x := fuzzGeneration(7)
	next := fuzzGeneration(8)
	box, err := seal(x, next, true)
	if err != nil {
		t.Fatal(err)
	}
	j := journal{Phase: phaseReceived, G: 8, Box: box}.encode()
	for name, c := range map[string]struct {
		b     []byte
		valid func([]byte) bool
	}{
		"slot":    {x.encodeSlot(), func(b []byte) bool { _, err := decodeSlot(b, fuzzKey); return err == nil }},
		"access":  {x.encodeAccess(), func(b []byte) bool { _, err := decodeAccess(b, fuzzKey); return err == nil }},
		"journal": {j, func(b []byte) bool { _, err := decodeJournal(b); return err == nil }},
		"box":     {box, func(b []byte) bool { _, err := unseal(x, 8, b); return err == nil }},
	} {
		if !c.valid(c.b) {
			t.Errorf("%s: the record itself is not valid", name)
		}
		for i := range c.b {
			damaged := bytes.Clone(c.b)
			damaged[i] ^= 0x04
			if c.valid(damaged) && !bytes.EqualFold(damaged, c.b) {
				t.Errorf("%s: byte %d may be flipped: %s", name, i, damaged[max(0, i-10):min(len(damaged), i+10)])
			}
			if c.valid(c.b[:i]) {
				t.Errorf("%s: cut at byte %d it is valid", name, i)
			}
		}
	}
	other := strings.Replace(fuzzKey, "5", "6", 1)
	if _, err := decodeSlot(x.encodeSlot(), other); err == nil {
		t.Error("a slot of another profile is valid")
	}
	if _, err := unseal(x, 9, box); err == nil {
		t.Error("a box opens for another generation")
	}
}

func TestRecordsFitOneItem(t *testing.T) {
	x := fuzzGeneration(1 << 40)
	x.cred.Refresh = secret.New(strings.Repeat("r", 1200))
	x.cred.Pin = Pin{strings.Repeat("i", 60), strings.Repeat("c", 72), strings.Repeat("t", 80), strings.Repeat("r", 80)}
	x.cred.Scope = strings.Repeat("s", 120)
	if n := len(x.encodeSlot()); n > 2400 {
		t.Errorf("an ordinary slot has %d bytes, want at most 2400", n)
	}
	e := indexEntry{"main", strings.Repeat("a", 100), "openai-codex", fuzzKey}
	if n := len((indexPage{V: 1, Entries: []indexEntry{e}}).encode()); n > pageLimit {
		t.Errorf("an index page of one entry has %d bytes", n)
	}
}
