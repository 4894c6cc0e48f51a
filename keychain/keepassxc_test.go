//go:build linux

package keychain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/keychaintest"
)

const keepassPassword = "keepass"

// keePassXC is a running KeePassXC with one database, as the Secret Service.
type keePassXC struct {
	dir string
	env []string
	x   *screen
}

// The group that KeePassXC shows to other programs is named in the database
// itself, which its command line can set only by importing XML.
const keepassXML = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<KeePassFile><Meta><Generator>keytray</Generator><DatabaseName>login</DatabaseName>
<CustomData><Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{00010203-0405-0607-0809-0a0b0c0d0e0f}</Value></Item></CustomData></Meta>
<Root><Group><UUID>AAECAwQFBgcICQoLDA0ODw==</UUID><Name>Root</Name></Group></Root></KeePassFile>
`

const keepassINI = `[General]
ConfigVersion=2
UpdateCheckMessageShown=true
[GUI]
CheckForUpdates=false
ShowTrayIcon=false
[FdoSecrets]
Enabled=true
ShowNotification=false
ConfirmAccessItem=CONFIRM
ConfirmDeleteItem=false
UnlockBeforeSearch=true
[Security]
LockDatabaseIdle=false
`

func startKeePassXC(t *testing.T, confirm string) *keePassXC {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s := gnome(t)
	find(t, "keepassxc", "keepassxc")
	find(t, "keepassxc", "keepassxc-cli")
	x := newScreen(t)
	instead(t)
	dir := t.TempDir()
	k := &keePassXC{dir: dir, x: x, env: append(s.Env(), "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "DISPLAY="+x.display,
		"HOME="+dir, "XDG_CONFIG_HOME="+dir+"/config", "XDG_CACHE_HOME="+dir+"/cache", "NO_AT_BRIDGE=1")}
	for _, d := range []string{"config/keepassxc", "cache/keepassxc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"db.xml": keepassXML, "config/keepassxc/keepassxc.ini": strings.Replace(keepassINI, "CONFIRM", confirm, 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	twice := keepassPassword + "\n" + keepassPassword + "\n"
	k.run(t, twice, "keepassxc-cli", "import", "-q", "-p", "-t", "100", dir+"/db.xml", dir+"/vault.kdbx")
	cmd := k.command(keepassPassword+"\n", "keepassxc", "--pw-stdin", dir+"/vault.kdbx")
	launch(t, cmd)
	waitForService(t)
	return k
}

func (k *keePassXC) command(stdin, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdin = k.env, strings.NewReader(stdin)
	return cmd
}

func (k *keePassXC) run(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	cmd := k.command(stdin, name, args...)
	if name == "keepassxc-cli" {
		cmd.Env = append(cmd.Env, "QT_QPA_PLATFORM=offscreen")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// instead makes room for another Secret Service, until the test ends.
func instead(t *testing.T) {
	t.Helper()
	desktop.KillKeyring()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := desktop.StartKeyring(ctx); err != nil {
			t.Error(err)
		}
	})
}

// waitForService waits until the service has an unlocked default collection.
func waitForService(t *testing.T) {
	t.Helper()
	settle(t, "the Secret Service", func() bool { return defaultLocked(t) == "unlocked" })
}

// defaultLocked says how the default collection is.
func defaultLocked(t *testing.T) string {
	t.Helper()
	c := busConn(t)
	defer c.Close()
	var locked bool
	alias := c.Object("org.freedesktop.secrets", dbus.ObjectPath("/org/freedesktop/secrets/aliases/default"))
	if alias.StoreProperty("org.freedesktop.Secret.Collection.Locked", &locked) != nil {
		return "absent"
	}
	if locked {
		return "locked"
	}
	return "unlocked"
}

// everyDay is what a Secret Service has to do for us every day.
func everyDay(t *testing.T, k *keychain.Keychain) {
	t.Helper()
	for name, value := range keychaintest.Values() {
		if err := k.Set(t.Context(), "item", value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := k.Get(t.Context(), "item"); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: Get() = %.80q, %v", name, got, err)
		}
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Error(err)
	}
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	_, err := k.Get(t.Context(), "item")
	is(t, err, keychain.ErrNotFound)
}

func (k *keePassXC) lock(t *testing.T) {
	t.Helper()
	k.run(t, "", "keepassxc", "--lock")
	settle(t, "the database locks", func() bool { return defaultLocked(t) == "locked" })
}

const keepassDialog = "^Unlock Database"

func TestKeePassXC(t *testing.T) {
	k := startKeePassXC(t, "false")
	everyDay(t, open(t))
	mustSet(t, open(t), "v")
	k.lock(t)
	for range 34 {
		_, err := open(t).Get(t.Context(), "item")
		is(t, err, keychain.ErrLocked)
		is(t, open(t).Set(t.Context(), "item", nil), keychain.ErrLocked)
		is(t, open(t).Delete(t.Context(), "item"), keychain.ErrLocked)
	}
	if err := open(t).Barrier(t.Context()); err != nil {
		t.Errorf("Barrier() = %v", err)
	}
	if n := len(k.x.windows(keepassDialog)); n != 0 {
		t.Fatalf("%d dialogs in the background", n)
	}
	got := make(chan error, 1)
	act := func(k *keychain.Keychain) {
		go func() {
			_, err := k.Get(t.Context(), "item")
			got <- err
		}()
	}
	person := asPerson(t)
	act(person)
	k.x.answer(t, keepassDialog, "Escape")
	is(t, <-got, keychain.ErrDismissed)
	_, err := person.Get(t.Context(), "item")
	is(t, err, keychain.ErrDismissed)

	person = asPerson(t)
	act(person)
	k.x.answer(t, keepassDialog, "text:"+keepassPassword, "Return")
	if err := <-got; err != nil {
		t.Errorf("after unlocking: %v", err)
	}
	wantValue(t, person, "v")
}

// TestKeePassXCThatConfirmsEachAccess has a database that is open and items
// that are not.
func TestKeePassXCThatConfirmsEachAccess(t *testing.T) {
	k := startKeePassXC(t, "true")
	const dialog = "Access Request"
	is(t, open(t).Set(t.Context(), "item", []byte("v")), keychain.ErrLocked) // it cannot be read back
	_, err := open(t).Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	if n := len(k.x.windows(dialog)); n != 0 {
		t.Fatalf("%d dialogs in the background", n)
	}
	for key, want := range map[string]error{"Escape": keychain.ErrDismissed, "Return": nil} {
		person := asPerson(t)
		got := make(chan error, 1)
		go func() {
			value, err := person.Get(t.Context(), "item")
			if err == nil && string(value) != "v" {
				err = fmt.Errorf("value %q", value)
			}
			got <- err
		}()
		k.x.answer(t, dialog, key)
		if err := <-got; !errors.Is(err, want) {
			t.Errorf("%s: Get() = %v, want %v", key, err, want)
		}
	}
}
