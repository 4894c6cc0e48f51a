package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const loginCollection = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")

// StartKeyring starts the keyring daemon, unlocked, after [Session.KillKeyring].
// The first start makes the login collection.
func (s *Session) StartKeyring(ctx context.Context) error { return s.startKeyring(ctx, "--unlock") }

// StartKeyringLocked is StartKeyring without the password.
func (s *Session) StartKeyringLocked(ctx context.Context) error { return s.startKeyring(ctx) }

func (s *Session) startKeyring(ctx context.Context, args ...string) error {
	args = append([]string{keyringName, "--foreground", "--components=secrets"}, args...)
	// The file capability of gnome-keyring-daemon (mlock) would take away the
	// signal that ends it with this process; without new privileges it stays.
	if setpriv, err := exec.LookPath("setpriv"); err == nil {
		args = append([]string{setpriv, "--no-new-privs", "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // our own words; it lives as long as the session
	cmd.Env = s.daemonEnv()
	cmd.Stdin = strings.NewReader(s.password) // no newline: it would count
	watch, err := s.watchName(ctx)
	if err != nil {
		return err
	}
	defer watch.Close()
	if s.keyring, err = s.nursery.start(cmd, filepath.Join(s.dir, "keyring.log")); err != nil {
		return err
	}
	if err := watch.wait(ctx, s.keyring); err != nil {
		return fmt.Errorf("waiting for %s: %w", keyringName, err)
	}
	return nil
}

// KillKeyring ends the keyring daemon with SIGKILL and waits for it.
func (s *Session) KillKeyring() { s.keyring.Kill() }

// RestartKeyring kills the keyring daemon and starts it again, unlocked.
func (s *Session) RestartKeyring(ctx context.Context) error {
	s.KillKeyring()
	return s.StartKeyring(ctx)
}

// nameWatch waits for the owner of the Secret Service's name.
type nameWatch struct {
	*dbus.Conn
	signals chan *dbus.Signal
}

func (s *Session) watchName(ctx context.Context) (*nameWatch, error) {
	c, err := dbus.Connect(s.address)
	if err != nil {
		return nil, err
	}
	w := &nameWatch{c, make(chan *dbus.Signal, 16)}
	c.Signal(w.signals)
	err = c.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secretsName))
	if err != nil {
		c.Close()
		return nil, err
	}
	return w, nil
}

func (w *nameWatch) wait(ctx context.Context, k *Program) error {
	for {
		select {
		case sig := <-w.signals:
			// A killed predecessor's signal may come first: its new owner is "".
			if sig.Name == "org.freedesktop.DBus.NameOwnerChanged" && len(sig.Body) == 3 && sig.Body[2] != "" {
				return nil
			}
		case <-k.done:
			return fmt.Errorf("it ended at once: %w", k.err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lock locks the login collection; nothing asks for it again by itself.
func (s *Session) Lock(ctx context.Context) error {
	c, err := dbus.Connect(s.address)
	if err != nil {
		return fmt.Errorf("locking the keyring: %w", err)
	}
	defer c.Close()
	service := c.Object(secretsName, "/org/freedesktop/secrets")
	// The daemon locks nothing for a client that it has no record of yet; once it
	// has answered this, it has one.
	err = service.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.freedesktop.Secret.Service", "Collections").Err
	if err == nil {
		err = service.CallWithContext(ctx, "org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{loginCollection}).Err
	}
	if err != nil {
		return fmt.Errorf("locking the keyring: %w", err)
	}
	return nil
}

// Unlock unlocks the login collection without a dialog, in the way that signing
// in does: over the daemon's control socket.
func (s *Session) Unlock(ctx context.Context) error {
	if err := s.control(ctx, s.password); err != nil {
		return fmt.Errorf("unlocking the keyring: %w", err)
	}
	return nil
}

// control sends a password: one zero byte that carries our credentials, then
// four big-endian words (length, 1 for unlock, length of the password) and the
// password. The answer is the length 8 and a result.
func (s *Session) control(ctx context.Context, password string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join(s.runtimeDir(), "keyring", "control"))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	n := uint32(len(password)) //nolint:gosec // a password of ours
	msg := binary.BigEndian.AppendUint32(nil, 12+n)
	msg = binary.BigEndian.AppendUint32(msg, 1)
	msg = binary.BigEndian.AppendUint32(msg, n)
	if _, err := c.Write([]byte{0}); err != nil {
		return err
	}
	if _, err := c.Write(append(msg, password...)); err != nil {
		return err
	}
	var answer [8]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if result := binary.BigEndian.Uint32(answer[4:]); result != 0 {
		return fmt.Errorf("the daemon answered %d", result)
	}
	return nil
}

// Stop stops a process of the session as a debugger would, Continue lets it go
// on; use them with [Session.KeyringPID] and [Session.BusPID].
func Stop(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }

// Continue undoes [Stop].
func Continue(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }
