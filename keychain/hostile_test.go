//go:build linux

package keychain_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/keychaintest"
)

// hostile puts our own Secret Service in place of the real one.
func hostile(t *testing.T) *keychaintest.Service {
	t.Helper()
	s := gnome(t)
	s.KillKeyring()
	h, err := keychaintest.Start(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.StartKeyring(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// asPerson is open for an act of a person.
func asPerson(tb testing.TB) *keychain.Keychain {
	tb.Helper()
	return keychain.Open(keychain.Options{Service: service(tb), Bus: desktop.Address(), Prompt: true})
}

// is checks an error, and that nothing of the service's text is in it.
func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
	// Callers decide on these two: no other error may look like one of them.
	for sentinel, ours := range map[error]error{fs.ErrNotExist: keychain.ErrNotFound, fs.ErrInvalid: keychain.ErrCorrupt} {
		if errors.Is(err, sentinel) != errors.Is(want, ours) {
			t.Errorf("error %v is %v: %v", err, sentinel, errors.Is(err, sentinel))
		}
	}
	if err != nil && strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %q has what the service sent", err)
	}
}

func mustSet(t *testing.T, k *keychain.Keychain, value string) {
	t.Helper()
	if err := k.Set(t.Context(), "item", []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, k *keychain.Keychain, want string) {
	t.Helper()
	got, err := k.Get(t.Context(), "item")
	if err != nil || string(got) != want {
		t.Errorf("Get() = %.80q, %v, want %q", got, err, want)
	}
}

// briefly is a context for a call that will not be answered.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestADismissedDialogIsNotAYes(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	h.SetPerson((*keychaintest.Dialog).Dismiss)
	k := asPerson(t)
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrDismissed)
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrDismissed)
	is(t, k.Delete(t.Context(), "item"), keychain.ErrDismissed)
	if n := h.Shown(); n != 1 {
		t.Errorf("%d dialogs for one act, want 1", n)
	}
	if n := len(h.Items()); n != 0 {
		t.Errorf("%d items stored", n)
	}
}

func TestAnAcceptedDialogLetsTheCallPass(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	k := asPerson(t)
	mustSet(t, k, "v")
	wantValue(t, k, "v")
	if n := h.Shown(); n != 1 {
		t.Errorf("%d dialogs, want 1", n)
	}
	h.SetLocked(true)
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	if n := h.Shown(); n != 1 {
		t.Errorf("a second dialog for the same act")
	}
}

func TestStraySignalsDoNotEndADialog(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	h.SetPerson(func(d *keychaintest.Dialog) {
		d.Stray()
		select {
		case <-time.After(50 * time.Millisecond):
		case <-d.Ended():
		}
		d.Stray()
		d.Accept()
	})
	k := asPerson(t)
	mustSet(t, k, "v")
	wantValue(t, k, "v")
}

func TestADialogOfWrongTypesIsUnavailable(t *testing.T) {
	for name, body := range map[string][]any{"none": nil, "text": {"yes", "no"}} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t)
			h.SetLocked(true)
			h.SetPerson(func(d *keychaintest.Dialog) { d.Signal("org.freedesktop.Secret.Prompt.Completed", body...) })
			is(t, asPerson(t).Set(t.Context(), "item", []byte("v")), keychain.ErrUnavailable)
		})
	}
}

func TestPromptsLeaveNothingBehind(t *testing.T) {
	h := hostile(t)
	act := func() {
		h.SetLocked(true)
		mustSet(t, asPerson(t), "v")
	}
	act()
	runtime.GC()
	before := runtime.NumGoroutine()
	for range 50 {
		act()
	}
	settle(t, "goroutines", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// settle waits for something that happens by itself soon.
func settle(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(5 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not in 5 s", what)
		}
	}
}

func TestAnUnansweredDialogIsTakenAway(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	h.SetPerson(func(*keychaintest.Dialog) {})
	k := asPerson(t)
	is(t, k.Set(briefly(t), "item", []byte("v")), keychain.ErrLocked)
	if n := h.Shown(); n != 1 {
		t.Errorf("%d dialogs shown, want 1", n)
	}
	settle(t, "the dialog goes", func() bool { return h.Open() == 0 })
	// An answer that comes late unlocks, and does not store.
	h.SetLocked(false)
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrNotFound)
}

func TestADialogAnsweredLateCounts(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	h.SetPerson(func(d *keychaintest.Dialog) {
		select {
		case <-time.After(300 * time.Millisecond):
			d.Accept()
		case <-d.Ended():
		}
	})
	mustSet(t, asPerson(t), "v")
}

func TestAServiceThatDiesDuringItsDialogIsUnavailable(t *testing.T) {
	s := gnome(t)
	s.KillKeyring()
	h, err := keychaintest.Start(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	h.SetLocked(true)
	gone := make(chan error, 1)
	h.SetPerson(func(*keychaintest.Dialog) { go func() { gone <- h.Close() }() })
	is(t, asPerson(t).Set(t.Context(), "item", []byte("v")), keychain.ErrUnavailable)
	if err := <-gone; err != nil {
		t.Error(err)
	}
	if err := s.StartKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAYesWithoutADeedIsNoticed(t *testing.T) {
	h := hostile(t)
	k := open(t)
	h.Inject("CreateItem", keychaintest.Fault{Skip: true})
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrCorrupt)
	h.Heal()
	mustSet(t, k, "old")
	h.Inject("CreateItem", keychaintest.Fault{Skip: true})
	is(t, k.Set(t.Context(), "item", []byte("new")), keychain.ErrCorrupt)
	wantValue(t, k, "old")
	h.Inject("Delete", keychaintest.Fault{Skip: true})
	is(t, k.Delete(t.Context(), "item"), keychain.ErrCorrupt)
}

func TestANoWithTheDeedIsAYes(t *testing.T) {
	h := hostile(t)
	k := open(t)
	fails := keychaintest.Fault{Error: "org.freedesktop.DBus.Error.Failed"}
	h.Inject("CreateItem", fails)
	mustSet(t, k, "v")
	h.Inject("Delete", fails)
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Errorf("Delete() = %v", err)
	}
}

func TestANoWithoutTheDeedIsUnavailable(t *testing.T) {
	h := hostile(t)
	k := open(t)
	mustSet(t, k, "old")
	fails := keychaintest.Fault{Skip: true, Error: "org.freedesktop.DBus.Error.Failed"}
	h.Inject("CreateItem", fails)
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrUnavailable)
	h.Inject("Delete", fails)
	is(t, k.Delete(t.Context(), "item"), keychain.ErrUnavailable)
	h.Inject("GetSecret", fails)
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrUnavailable)
}

func TestWrongTypesAreUnavailableAndNoPanic(t *testing.T) {
	wrong := []any{uint32(7)}
	variant := []any{dbus.MakeVariant("text")}
	for method, answer := range map[string][]any{
		"Collections": variant, "Locked": variant, "SearchItems": wrong, "OpenSession": wrong, "GetSecret": wrong,
		"CreateItem": wrong, "Unlock": wrong,
	} {
		t.Run(method, func(t *testing.T) {
			h := hostile(t)
			k := open(t)
			mustSet(t, k, "v")
			h.Inject(method, keychaintest.Fault{Answer: answer, Skip: true})
			_, got := k.Get(t.Context(), "item")
			set := k.Set(t.Context(), "item", []byte("w"))
			if method != "CreateItem" && method != "Unlock" {
				is(t, got, keychain.ErrUnavailable)
			}
			is(t, set, keychain.ErrUnavailable)
			h.Heal()
			if _, err := k.Get(t.Context(), "item"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestTypesThatGoWrongUnderGoKeyringAreNoPanic(t *testing.T) {
	h := hostile(t)
	k := open(t)
	lie := keychaintest.Fault{Answer: []any{dbus.MakeVariant("text")}}
	h.Inject("Collections", keychaintest.Fault{Then: func() { h.Inject("Collections", lie) }})
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrUnavailable)
	h.Heal()
	mustSet(t, k, "v")
}

func TestAnUnlockThatNamesAnotherCollectionIsUnavailable(t *testing.T) {
	h := hostile(t)
	k := open(t)
	h.Inject("Unlock", keychaintest.Fault{Answer: []any{[]dbus.ObjectPath{"/other"}, dbus.ObjectPath("/")}})
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrUnavailable)
}

func TestWithoutACollectionItIsUnavailable(t *testing.T) {
	h := hostile(t)
	k := open(t)
	h.SetCollections(false, false)
	err := k.Set(t.Context(), "item", []byte("v"))
	is(t, err, keychain.ErrUnavailable)
	if !strings.Contains(fmt.Sprint(err), "no default collection") {
		t.Errorf("error %v does not say what is missing", err)
	}
	h.SetCollections(false, true)
	mustSet(t, k, "v")
	wantValue(t, k, "v")
}

// keepsPlanted is the story of an item that another program has put in our way,
// with our attributes and one more.
func keepsPlanted(t *testing.T, k *keychain.Keychain, plant func(), planted func() string) {
	t.Helper()
	plant()
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrNotFound)
	is(t, k.Set(t.Context(), "item", []byte("v")), keychain.ErrCorrupt)
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Error(err)
	}
	if got := planted(); got != "PLANTED" {
		t.Errorf("the other program's item is %q", got)
	}
}

// findsOwn is the story of one that came after ours.
func findsOwn(t *testing.T, k *keychain.Keychain, plant func(), planted func() string) {
	t.Helper()
	mustSet(t, k, "v")
	plant()
	wantValue(t, k, "v")
	is(t, k.Set(t.Context(), "item", []byte("w")), keychain.ErrCorrupt)
	wantValue(t, k, "v")
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Error(err)
	}
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrNotFound)
	if got := planted(); got != "PLANTED" {
		t.Errorf("the other program's item is %q", got)
	}
}

func TestPlantedItemsAreNotOurs(t *testing.T) {
	for name, story := range map[string]func(*testing.T, *keychain.Keychain, func(), func() string){
		"before": keepsPlanted, "after": findsOwn,
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t)
			attributes := map[string]string{"username": "item", "service": service(t), "extra": "1"}
			plant := func() { h.Plant(keychaintest.Item{Attributes: attributes, Value: []byte("PLANTED")}) }
			story(t, open(t), plant, func() string {
				items := h.Items()
				if len(items) != 1 {
					return fmt.Sprintf("one of %d", len(items))
				}
				return string(items[0].Value)
			})
		})
	}
}

func TestOfTwoOfOursTheNewestCounts(t *testing.T) {
	h := hostile(t)
	k := open(t)
	mustSet(t, k, "old")
	old := h.Items()[0]
	mustSet(t, k, "new")
	old.Modified = old.Modified.Add(-time.Hour)
	old.Attributes = map[string]string{"username": "item", "service": service(t), "x": "copy"}
	h.Plant(old)
	wantValue(t, k, "new")
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Items()); n != 0 {
		t.Errorf("%d left of both", n)
	}
}

func TestADamagedItemIsCorrupt(t *testing.T) {
	h := hostile(t)
	k := open(t)
	mustSet(t, k, "v")
	it := h.Items()[0]
	for _, value := range []string{"kt1", "kt1t", string(it.Value[:len(it.Value)-1]), string(it.Value) + "x"} {
		it.Value = []byte(value)
		h.Plant(it)
		it.Modified = it.Modified.Add(time.Hour)
	}
	// The whole one still wins; without it there are but damaged ones.
	wantValue(t, k, "v")
	other := keychain.Open(keychain.Options{Service: service(t), Bus: desktop.Address()})
	moved := h.Items()[0]
	moved.Attributes = map[string]string{"username": "other", "service": service(t)}
	h.Plant(moved)
	_, err := other.Get(t.Context(), "other")
	is(t, err, keychain.ErrCorrupt)
}

func TestALockedItemIsLockedOnly(t *testing.T) {
	h := hostile(t)
	mustSet(t, open(t), "v")
	it := h.Items()[0]
	if err := open(t).Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	it.Locked = true
	h.Plant(it)
	_, err := open(t).Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	if n := h.Shown(); n != 0 {
		t.Errorf("%d dialogs in the background", n)
	}
	wantValue(t, asPerson(t), "v")
	if n := h.Shown(); n != 1 {
		t.Errorf("%d dialogs, want 1", n)
	}
}

func TestAClosedSharedConnectionIsSurvived(t *testing.T) {
	h := hostile(t)
	k := open(t)
	h.Inject("CreateItem", keychaintest.Fault{Then: func() {
		// What fyne.io/systray does on Quit.
		if c, err := dbus.SessionBus(); err == nil {
			c.Close()
		}
	}})
	mustSet(t, k, "v")
	h.Heal()
	mustSet(t, k, "w")
	wantValue(t, k, "w")
}

func TestWithoutABusNoneIsLaunched(t *testing.T) {
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		t.Skip("this user has a bus, which would rightly be used")
	}
	dir := t.TempDir()
	launched := filepath.Join(dir, "launched")
	script := "#!/bin/sh\ntouch " + launched + "\n"
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, bus := range []string{"", "autolaunch:"} {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus)
		k := keychain.Open(keychain.Options{Service: service(t), Bus: bus})
		began := time.Now()
		_, err := k.Get(t.Context(), "item")
		is(t, err, keychain.ErrUnavailable)
		is(t, k.Set(t.Context(), "item", nil), keychain.ErrUnavailable)
		is(t, k.Barrier(t.Context()), keychain.ErrUnavailable)
		if d := time.Since(began); d > 100*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	}
	if _, err := os.Stat(launched); err == nil {
		t.Error("dbus-launch was run")
	}
}

func TestATimedOutWriteWedgesUntilItReturns(t *testing.T) {
	h := hostile(t)
	k := open(t)
	mustSet(t, k, "old")
	hold := make(chan struct{})
	h.Inject("CreateItem", keychaintest.Fault{Hold: hold})
	err := k.Set(briefly(t), "item", []byte("new"))
	is(t, err, keychain.ErrWedged)
	is(t, err, context.DeadlineExceeded)
	_, err = k.Get(t.Context(), "item")
	is(t, err, keychain.ErrWedged)
	is(t, k.Set(t.Context(), "item", []byte("newer")), keychain.ErrWedged)
	is(t, k.Barrier(briefly(t)), keychain.ErrUnavailable)
	_, err = k.Get(t.Context(), "item")
	is(t, err, keychain.ErrWedged)
	h.Heal()
	close(hold)
	settle(t, "the old call returns", func() bool {
		_, err := k.Get(t.Context(), "item")
		return err == nil
	})
	wantValue(t, k, "new")
}

func TestTheBarrierEndsAWedge(t *testing.T) {
	h := hostile(t)
	k := open(t)
	h.Inject("CreateItem", keychaintest.Fault{Error: keychaintest.NoReply})
	is(t, k.Set(briefly(t), "item", []byte("v")), keychain.ErrWedged)
	if err := k.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Heal()
	wantValue(t, k, "v")
	mustSet(t, k, "w")
}

const deadVariable = "KEYTRAY_TEST_DEAD_CLIENT"

// deadClient is the main of a process that is killed during its write.
func deadClient(address string) int {
	k := keychain.Open(keychain.Options{Service: "dead", Bus: address})
	fmt.Fprintln(os.Stderr, k.Set(context.Background(), "item", []byte("late")))
	return 1
}

// TestTheBarrierWaitsForTheWriteOfADeadClient kills a client whose write is
// stuck in the service.
func TestTheBarrierWaitsForTheWriteOfADeadClient(t *testing.T) {
	h := hostile(t)
	hold := make(chan struct{})
	h.Inject("CreateItem", keychaintest.Fault{Hold: hold})
	client := exec.Command(os.Args[0])
	client.Env = append(os.Environ(), deadVariable+"="+desktop.Address())
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	settle(t, "the write arrives", func() bool { return strings.Contains(strings.Join(h.Calls(), " "), "CreateItem") })
	if err := client.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = client.Wait()
	k := keychain.Open(keychain.Options{Service: "dead", Bus: desktop.Address()})
	is(t, k.Barrier(briefly(t)), keychain.ErrUnavailable)
	close(hold)
	if err := k.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValue(t, k, "late")
}

func TestASlowServiceIsWaitedFor(t *testing.T) {
	h := hostile(t)
	k := open(t)
	hold := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { close(hold) })
	h.Inject("CreateItem", keychaintest.Fault{Hold: hold})
	mustSet(t, k, "v")
}

func TestEveryCallEndsByItself(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	h := hostile(t)
	h.Inject("SearchItems", keychaintest.Fault{Hold: make(chan struct{})})
	began := time.Now()
	ended := make(chan error)
	go func() { _, err := open(t).Get(t.Context(), "item"); ended <- err }()
	go func() { ended <- open(t).Set(t.Context(), "item", nil) }()
	go func() { ended <- open(t).Delete(t.Context(), "item") }()
	go func() { ended <- open(t).Barrier(t.Context()) }()
	for range 4 {
		is(t, <-ended, keychain.ErrUnavailable)
	}
	if d := time.Since(began); d < 4*time.Second || d > 7*time.Second {
		t.Errorf("they ended after %v, want 5 s", d)
	}
}

func TestInTheBackgroundNothingIsAskedOfALockedKeychain(t *testing.T) {
	h := hostile(t)
	h.SetLocked(true)
	h.Calls()
	k := open(t)
	for range 100 {
		_, err := k.Get(t.Context(), "item")
		is(t, err, keychain.ErrLocked)
		is(t, k.Set(t.Context(), "item", nil), keychain.ErrLocked)
		is(t, k.Delete(t.Context(), "item"), keychain.ErrLocked)
	}
	for _, c := range h.Calls() {
		if c != "Collections" && c != "Locked" {
			t.Fatalf("%s was called on a locked keychain", c)
		}
	}
	if n := h.Shown(); n != 0 {
		t.Errorf("%d dialogs", n)
	}
}

func TestManyGoroutines(t *testing.T) {
	hostile(t)
	k := open(t)
	errs := make(chan error)
	for i := range 50 {
		go func() {
			name, value := fmt.Sprintf("item%d", i%10), []byte(strings.Repeat("x", i))
			errs <- errors.Join(k.Set(t.Context(), name, value), func() error {
				_, err := k.Get(t.Context(), name)
				return err
			}())
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestTheRealKeyringKeepsPlantedItemsApart(t *testing.T) {
	gnome(t)
	if _, err := exec.LookPath("secret-tool"); err != nil {
		t.Skip("secret-tool is not installed (Debian: apt-get install libsecret-tools)")
	}
	for name, story := range map[string]func(*testing.T, *keychain.Keychain, func(), func() string){
		"before": keepsPlanted, "after": findsOwn,
	} {
		t.Run(name, func(t *testing.T) {
			tool := func(stdin string, args ...string) string {
				cmd := exec.Command("secret-tool", append(args, "username", "item", "service", service(t), "extra", "1")...)
				cmd.Env = append(os.Environ(), desktop.Env()...)
				cmd.Stdin = strings.NewReader(stdin)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("secret-tool %v: %v", args, err)
				}
				return string(out)
			}
			plant := func() { tool("PLANTED", "store", "--label=x") }
			defer tool("", "clear")
			story(t, open(t), plant, func() string { return tool("", "lookup") })
		})
	}
}
