//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/cmd/tray/icon"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/sink"
)

// menus is how many menus are drawn, and how many clicks are made, by the test of
// drawing.
var menus = flag.Int("menus", 200, "menus and clicks of the test of drawing")

// host is a panel's side of the menu.
type host struct {
	t    *testing.T
	menu dbus.BusObject
}

// line is an item as the host is told of it.
type line struct {
	ID    int32
	Props map[string]dbus.Variant
	Below []dbus.Variant
}

func privateBus(t *testing.T) (address string) {
	t.Helper()
	s, err := session.Start(t.Context(), t.TempDir())
	if _, missing := errors.AsType[*session.MissingError](err); missing && os.Getenv("CI") != "true" {
		t.Skipf("no session to test with: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, entry := range s.Env() {
		if name, value, _ := strings.Cut(entry, "="); name == busName {
			return value
		}
	}
	t.Fatal("the session has no bus")
	return ""
}

func newHost(t *testing.T, address string) *host {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	name := fmt.Sprintf("org.kde.StatusNotifierItem-%d-1", os.Getpid())
	for there := false; !there; {
		if err := conn.BusObject().CallWithContext(t.Context(), "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&there); err != nil {
			t.Fatal(err)
		}
	}
	return &host{t, conn.Object(name, "/StatusNotifierItem/menu")}
}

// visible is the menu that a person would see: labels by id, in order.
func (h *host) visible() (all []string, clickable map[string]int32) {
	h.t.Helper()
	var revision uint32
	var root line
	call := h.menu.CallWithContext(h.t.Context(), "com.canonical.dbusmenu.GetLayout", 0, int32(0), int32(-1), []string{})
	if err := call.Store(&revision, &root); err != nil {
		h.t.Fatal(err)
	}
	clickable = map[string]int32{}
	var walk func(x line, path string)
	walk = func(x line, path string) {
		for _, v := range x.Below {
			var below line
			if err := dbus.Store([]any{v.Value()}, &below); err != nil {
				h.t.Fatal(err)
			}
			if shown, ok := below.Props["visible"]; ok && shown.Value() == false {
				continue
			}
			if kind, ok := below.Props["type"]; ok && kind.Value() == "separator" {
				all = append(all, path+"/-")
				continue
			}
			label := path + "/" + below.Props["label"].Value().(string)
			all = append(all, label)
			if below.Props["enabled"].Value() == true {
				clickable[label] = below.ID
			}
			walk(below, label)
		}
	}
	walk(root, "")
	return all, clickable
}

// expected is what visible should say of a menu.
func expected(items []view.Item, path string) (all []string, does map[string]view.Action) {
	does = map[string]view.Action{}
	for _, x := range items {
		if x.Hidden {
			continue
		}
		if x.Kind == view.Separator {
			all = append(all, path+"/-")
			continue
		}
		label := path + "/" + escaped(x.Label)
		all = append(all, label)
		if x.Kind != view.Submenu && !x.Disabled {
			does[label] = x.Does
		}
		below, more := expected(x.Items, label)
		all = append(all, below...)
		maps.Copy(does, more)
	}
	return all, does
}

// someState is a state with up to 4 providers of up to 5 logins each.
func someState(dice *rand.Rand) view.State {
	s := view.State{Now: time.Now(), Working: map[sink.Ref]bool{}}
	for i := range 4 {
		id := fmt.Sprintf("p_%d", i)
		s.Services = append(s.Services, view.Service{ID: id, Name: "P_" + id, Browser: dice.IntN(4) > 0, APIKey: dice.IntN(3) == 0})
		if dice.IntN(5) == 0 {
			s.Waiting = append(s.Waiting, view.Wait{Service: id})
		}
		for j := range dice.IntN(6) {
			p := sink.Profile{
				Ref: sink.Ref{Agent: "main", ID: fmt.Sprintf("%s:u%d", id, j)}, Provider: id, Kind: sink.KindOAuth, Generation: 1,
				State: []sink.State{sink.StateOK, sink.StateNeedsLogin, sink.StatePendingSave}[dice.IntN(3)],
			}
			p.Expires = s.Now.Add(time.Duration(dice.IntN(100)) * time.Hour)
			s.Profiles = append(s.Profiles, p)
			if dice.IntN(4) == 0 {
				s.Working[p.Ref] = true
			}
		}
	}
	s.Settings.Quiet = dice.IntN(2) == 0
	return s
}

// TestManyMenusAndClicks draws many menus over each other and clicks as often, as
// a panel does: the host sees each menu as it is meant, every
// click arrives at what was under it, and nothing piles up.
func TestManyMenusAndClicks(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds, and this is -short")
	}
	address := privateBus(t)
	t.Setenv(busName, address)
	clicks := make(chan view.Action, 1)
	s := &screen{clicked: func(a view.Action) { clicks <- a }}
	s.face(icon.Normal, "Keytray")
	up, gone := make(chan struct{}), make(chan struct{})
	go s.show(func() { close(up) }, func() { close(gone) })
	<-up
	h := newHost(t, address)
	words := view.In("en")
	dice := rand.New(rand.NewPCG(1, 2))
	s.draw(words.Menu(someState(dice)))
	h.settle()
	var items, routines, clicked int
	for i := range *menus {
		state := someState(dice)
		menu := words.Menu(state)
		s.face(state.Icon(), words.Tooltip(state))
		s.draw(menu)
		if i == *menus/2 {
			items, routines = s.root.size(), runtime.NumGoroutine()
		}
		want, does := expected(menu, "")
		if i%20 == 0 {
			if got, _ := h.visible(); !slices.Equal(got, want) {
				t.Fatalf("menu %d is shown as\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		if i%50 == 0 {
			clicked += h.click(50, dice, does, clicks)
		}
	}
	if clicked != *menus {
		t.Errorf("%d clicks arrived, want %d", clicked, *menus)
	}
	if got := s.root.size(); got > items+40 {
		t.Errorf("the menu grew from %d items to %d", items, got)
	}
	if got := runtime.NumGoroutine(); got > routines+50 {
		t.Errorf("%d goroutines became %d", routines, got)
	}
	t.Logf("%d items, %d goroutines", s.root.size(), runtime.NumGoroutine())
	s.close()
	<-gone
}

// settle waits until the library tells the whole menu: its first answer is a
// part of it.
func (h *host) settle() {
	h.t.Helper()
	for {
		if all, _ := h.visible(); slices.ContainsFunc(all, func(l string) bool { return strings.Count(l, "/") > 1 }) {
			return
		}
	}
}

// click clicks n times on any lines.
func (h *host) click(n int, dice *rand.Rand, does map[string]view.Action, clicks <-chan view.Action) (arrived int) {
	h.t.Helper()
	_, ids := h.visible()
	labels := sorted(keys(does))
	for range n {
		label := labels[dice.IntN(len(labels))]
		call := h.menu.CallWithContext(h.t.Context(), "com.canonical.dbusmenu.Event", 0, ids[label], "clicked", dbus.MakeVariant(0), uint32(0))
		if call.Err != nil {
			h.t.Fatal(call.Err)
		}
		select {
		case got := <-clicks:
			if got != does[label] {
				h.t.Fatalf("a click on %q does %+v, want %+v", label, got, does[label])
			}
			arrived++
		case <-time.After(5 * time.Second):
			h.t.Fatalf("a click on %q was lost", label)
		}
	}
	return arrived
}

func (l *list) size() int {
	n := len(l.slots)
	for _, x := range l.slots {
		n += x.below.size()
	}
	return n
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}
