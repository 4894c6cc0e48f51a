//go:build linux

package keychain_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/keychaintest"
	"github.com/keytray/keytray/keychain/session"
)

// TestEachConnectionGreetsFirst: until the service has answered a client's first
// call, which is the one that needs no record of the client, it asks for nothing.
func TestEachConnectionGreetsFirst(t *testing.T) {
	for name, act := range map[string]func(k *keychain.Keychain) error{
		"Get":     func(k *keychain.Keychain) error { _, err := k.Get(t.Context(), "item"); return err },
		"Set":     func(k *keychain.Keychain) error { return k.Set(t.Context(), "item", []byte("w")) },
		"Delete":  func(k *keychain.Keychain) error { return k.Delete(t.Context(), "item") },
		"Barrier": func(k *keychain.Keychain) error { return k.Barrier(t.Context()) },
		"unlock": func(*keychain.Keychain) error {
			_, err := keychain.Open(keychain.Options{Service: "greeting", Bus: desktop.Address(), Prompt: true}).Get(t.Context(), "item")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t)
			k := keychain.Open(keychain.Options{Service: "greeting", Bus: desktop.Address()})
			if name != "Set" {
				mustSet(t, k, "v")
			}
			h.SetLocked(name == "unlock")
			// Whoever does not wait for the answer has sent more by then.
			h.Inject("Collections", keychaintest.Fault{Then: func() { <-time.After(30 * time.Millisecond) }})
			if err := act(k); err != nil {
				t.Error(err)
			}
			if hasty := h.Hasty(); len(hasty) != 0 {
				t.Errorf("asked for %v before an answer to the first call", hasty)
			}
		})
	}
}

var (
	crowdTime  = flag.Duration("keychain.crowd", 5*time.Second, "how long a crowd of clients runs")
	crowdUnfit = flag.Bool("keychain.crowd.unfit", false, "let clients that do not greet do the same, and see them take it down")
)

const (
	servicePath     = dbus.ObjectPath("/org/freedesktop/secrets")
	loginCollection = servicePath + "/collection/login"
)

// called begins a call of the real service.
func called(c *dbus.Conn, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return c.Object("org.freedesktop.secrets", path).Go(method, 0, make(chan *dbus.Call, 1), args...)
}

func collections(c *dbus.Conn) *dbus.Call {
	return called(c, servicePath, "org.freedesktop.DBus.Properties.Get", "org.freedesktop.Secret.Service", "Collections")
}

func locked(c *dbus.Conn) *dbus.Call {
	return called(c, loginCollection, "org.freedesktop.DBus.Properties.Get", "org.freedesktop.Secret.Collection", "Locked")
}

func openSession(c *dbus.Conn) *dbus.Call {
	return called(c, servicePath, "org.freedesktop.Secret.Service.OpenSession", "plain", dbus.MakeVariant(""))
}

// TestACrowdAtTheRealKeyring has many short-lived clients at a gnome-keyring
// whose main thread is slowed down, so that what is rare is not. None of ours
// takes it down. With -keychain.crowd.unfit it shows that others do.
func TestACrowdAtTheRealKeyring(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	gnome(t)
	mustSet(t, open(t), "v")
	died, reads := crowd(t, func() { wantValue(t, open(t), "v") })
	t.Logf("%d reads", reads)
	if died != "" {
		t.Errorf("the daemon died:\n%s", died)
	}
	if !*crowdUnfit {
		return
	}
	for name, act := range map[string]func(c *dbus.Conn){
		"a property first": func(c *dbus.Conn) { <-locked(c).Done },
		"a session first":  func(c *dbus.Conn) { <-openSession(c).Done },
		"without waiting": func(c *dbus.Conn) {
			first, second := collections(c), locked(c)
			<-first.Done
			<-second.Done
		},
	} {
		t.Run(name, func(t *testing.T) {
			died, clients := crowd(t, func() {
				if c, err := dbus.Connect(desktop.Address()); err == nil {
					act(c)
					c.Close()
				}
			})
			t.Logf("%d clients", clients)
			if died == "" {
				t.Error("the daemon did not die: is the greeting still needed?")
			}
		})
	}
}

// crowd lets eight at once act until the time is over or the daemon dies, and
// returns the last words of that one.
func crowd(t *testing.T, act func()) (died string, acted int64) {
	t.Helper()
	faster := slowKeyring(t)
	end := time.Now().Add(*crowdTime)
	var n atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for time.Now().Before(end) && desktop.KeyringEnd() == "" {
				act()
				n.Add(1)
			}
		})
	}
	all.Wait()
	faster()
	if died = desktop.KeyringEnd(); died != "" {
		if err := desktop.StartKeyring(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return died, n.Load()
}

// slowKeyring makes the daemon's main thread slow wherever it waits for another
// one of its own, until the function it returns is called.
func slowKeyring(t *testing.T) (undo func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed (Debian: apt-get install strace)")
	}
	pid := strconv.Itoa(desktop.KeyringPID())
	cmd := exec.Command("strace", "-qq", "-o", "/dev/null", "-e", "trace=futex",
		"-e", "inject=futex:delay_enter=300:delay_exit=300", "-p", pid)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with strace
		_ = cmd.Wait()
		close(ended)
	}()
	settle(t, "strace", func() bool {
		select {
		case <-ended:
			t.Skip("strace may not attach to the daemon (see kernel.yama.ptrace_scope)")
		default:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%s/status", pid))
		return err == nil && !bytes.Contains(status, []byte("\nTracerPid:\t0\n"))
	})
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	}
}

// TestAClientThatVanishesDoesNoHarm: what a client has asked for is done before
// the daemon learns that it is gone, even if all of that reaches it at once.
func TestAClientThatVanishesDoesNoHarm(t *testing.T) {
	s := gnome(t)
	for range 20 {
		c := busConn(t)
		<-collections(c).Done
		if err := session.Stop(s.KeyringPID()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			locked(c)
			openSession(c)
		}
		c.Close()
		if err := session.Continue(s.KeyringPID()); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t).Barrier(t.Context()); err != nil || s.KeyringEnd() != "" {
		t.Errorf("Barrier() = %v\n%s", err, s.KeyringEnd())
	}
}
