//go:build linux

package keychain_test

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha512"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/keytray/keytray/keychain"
)

const kwalletPassword = "kwallet"

const kwalletRC = `[Wallet]
Enabled=true
First Use=false
Default Wallet=kdewallet
Use One Wallet=true
Close When Idle=false
[org.freedesktop.secrets]
apiEnabled=true
`

// startKWallet starts kwalletd5 with its wallet open, in the way that signing
// in to a KDE desktop does: it is handed a key of 56 bytes over a pipe, and
// then its environment over a socket.
func startKWallet(t *testing.T) *screen {
	t.Helper()
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s := gnome(t)
	kwalletd := find(t, "libkf5wallet-bin", "kwalletd5")
	x := newScreen(t)
	instead(t)
	dir := t.TempDir()
	salt := bytes.Repeat([]byte("s"), 56)
	for name, text := range map[string][]byte{"config/kwalletrc": []byte(kwalletRC), "data/kwalletd/kdewallet.salt": salt} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := pbkdf2.Key(sha512.New, kwalletPassword, salt, 50000, 56)
	if err != nil {
		t.Fatal(err)
	}
	env := append(s.Env(), "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "DISPLAY="+x.display, "HOME="+dir, "NO_AT_BRIDGE=1",
		"XDG_CONFIG_HOME="+dir+"/config", "XDG_DATA_HOME="+dir+"/data", "XDG_CACHE_HOME="+dir+"/cache")
	// The first time makes the wallet, which is shown to others from the second on.
	first := signIn(t, kwalletd, env, key)
	settle(t, "the wallet", func() bool {
		file, err := os.Stat(filepath.Join(dir, "data", "kwalletd", "kdewallet.kwl"))
		return err == nil && file.Size() > 0 && walletOpen(t)
	})
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	settle(t, "the first one's end", func() bool { return defaultLocked(t) == "absent" })
	signIn(t, kwalletd, env, key)
	settle(t, "the wallet", func() bool { return defaultLocked(t) != "absent" })
	return x
}

func walletOpen(t *testing.T) bool {
	t.Helper()
	c := busConn(t)
	defer c.Close()
	var open bool
	err := c.Object("org.kde.kwalletd5", "/modules/kwalletd5").Call("org.kde.KWallet.isOpen", 0, "kdewallet").Store(&open)
	return err == nil && open
}

// signIn starts kwalletd as pam_kwallet does.
func signIn(t *testing.T, kwalletd string, env []string, key []byte) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	pipe, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	listener, err := socket.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(kwalletd, "--pam-login", "3", "4")
	cmd.Env = append(env, "PAM_KWALLET5_LOGIN=1")
	cmd.ExtraFiles = []*os.File{pipe, listener}
	launch(t, cmd)
	pipe.Close()
	listener.Close()
	if _, err := in.Write(key); err != nil {
		t.Fatal(err)
	}
	in.Close()
	environment, err := net.Dial("unix", filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	environment.Close()
	return cmd
}

func TestKWallet(t *testing.T) {
	x := startKWallet(t)
	// It says "locked" of an open wallet until a client asks once; then there is
	// no dialog to be seen.
	_, err := open(t).Get(t.Context(), "item")
	is(t, err, keychain.ErrLocked)
	_, err = asPerson(t).Get(t.Context(), "item")
	is(t, err, keychain.ErrNotFound)
	everyDay(t, open(t))
	mustSet(t, open(t), "v")

	bus := busConn(t)
	defer bus.Close()
	if err := bus.Object("org.kde.kwalletd5", "/modules/kwalletd5").Call("org.kde.KWallet.closeAllWallets", 0).Err; err != nil {
		t.Fatal(err)
	}
	settle(t, "the wallet closes", func() bool { return defaultLocked(t) == "locked" })
	for range 34 {
		_, err := open(t).Get(t.Context(), "item")
		is(t, err, keychain.ErrLocked)
		is(t, open(t).Set(t.Context(), "item", nil), keychain.ErrLocked)
		is(t, open(t).Delete(t.Context(), "item"), keychain.ErrLocked)
	}
	const dialog = "KDE Wallet Service"
	if n := len(x.windows(dialog)); n != 0 {
		t.Fatalf("%d dialogs in the background", n)
	}
	for _, answer := range []struct {
		name string
		keys []string
		want error
	}{
		{"dismissed", []string{"Escape"}, keychain.ErrDismissed},
		{"accepted", []string{"text:" + kwalletPassword, "Return"}, nil},
	} {
		person := asPerson(t)
		got := make(chan error, 1)
		go func() {
			_, err := person.Get(t.Context(), "item")
			got <- err
		}()
		x.answer(t, dialog, answer.keys...)
		if err := <-got; !errors.Is(err, answer.want) {
			t.Errorf("%s: Get() = %v, want %v", answer.name, err, answer.want)
		}
	}
}
