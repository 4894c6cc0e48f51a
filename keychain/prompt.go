//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keychain

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// unlock raises the dialog for what is locked, once, and then runs the call.
func (s *secretService) unlock(ctx context.Context, locked error, then func() error) error {
	e, ok := errors.AsType[*lockedError](locked)
	if !ok {
		return locked
	}
	// The connection outlives ctx, to take the dialog away when nobody answers.
	life, cancel := context.WithTimeout(context.WithoutCancel(ctx), personTimeout+2*callTimeout)
	defer cancel()
	c, err := s.connect(life)
	if err != nil {
		return err
	}
	defer c.Close()
	v := visit{conn: c}
	if _, err := v.greet(ctx); err != nil {
		return err
	}
	if err := v.ask(ctx, e.path); err != nil {
		return err
	}
	// KeePassXC unlocks an item for one connection only: this one.
	s.granted = c
	defer func() { s.granted = nil }()
	return then()
}

// ask raises the dialog for what is at path and follows it to its end.
func (v *visit) ask(ctx context.Context, path dbus.ObjectPath) error {
	c := v.conn
	signals := make(chan *dbus.Signal, 16)
	c.Signal(signals)
	completed := []dbus.MatchOption{dbus.WithMatchSender(secretsName), dbus.WithMatchInterface(iface + "Prompt")}
	owner := []dbus.MatchOption{dbus.WithMatchSender(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secretsName)}
	for _, m := range [][]dbus.MatchOption{completed, owner} {
		if err := c.AddMatchSignalContext(ctx, m...); err != nil {
			return classify(err)
		}
	}
	var unlocked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := results(v.start(ctx, secretsPath, iface+"Service.Unlock", []dbus.ObjectPath{path}), &unlocked, &prompt); err != nil {
		return err
	}
	if prompt == noPrompt {
		return nil
	}
	if !prompt.IsValid() {
		return errForeignTypes
	}
	if err := results(v.start(ctx, prompt, iface+"Prompt.Prompt", "")); err != nil {
		return err
	}
	return v.follow(ctx, prompt, signals)
}

// follow waits for the end of a dialog, and takes for it only what the service
// says of this very dialog.
func (v *visit) follow(ctx context.Context, prompt dbus.ObjectPath, signals <-chan *dbus.Signal) error {
	for {
		select {
		case <-ctx.Done():
			// No answer is awaited: the message is out before the connection closes.
			v.conn.Object(secretsName, prompt).Go(iface+"Prompt.Dismiss", dbus.FlagNoReplyExpected, nil)
			return fmt.Errorf("%w: nobody answered its dialog: %w", ErrLocked, ctx.Err())
		case sig, ok := <-signals:
			if !ok || sig.Name == busName+".NameOwnerChanged" {
				return fmt.Errorf("%w: it ended during its dialog", ErrUnavailable)
			}
			if sig.Path != prompt || sig.Name != iface+"Prompt.Completed" {
				continue
			}
			if len(sig.Body) == 0 {
				return errForeignTypes
			}
			dismissed, ok := sig.Body[0].(bool)
			if !ok {
				return errForeignTypes
			}
			if dismissed {
				return v.refused(ctx)
			}
			return nil
		}
	}
}

// refused tells a person's no from a dialog that could not be shown, which
// gnome-keyring reports in the same way.
func (v *visit) refused(ctx context.Context) error {
	const prompter = "org.gnome.keyring.SystemPrompter"
	bus := v.conn.BusObject()
	var service, gnome string
	_ = bus.CallWithContext(ctx, busName+".GetNameOwner", 0, secretsName).Store(&service)
	_ = bus.CallWithContext(ctx, busName+".GetNameOwner", 0, "org.gnome.keyring").Store(&gnome)
	if service != "" && service == gnome && !v.reachable(ctx, prompter) {
		return fmt.Errorf("%w: there is no program to ask for its password", ErrLocked)
	}
	return ErrDismissed
}

// reachable reports whether the bus has a name or can start its owner.
func (v *visit) reachable(ctx context.Context, name string) bool {
	var owned bool
	var startable []string
	bus := v.conn.BusObject()
	_ = bus.CallWithContext(ctx, busName+".NameHasOwner", 0, name).Store(&owned)
	_ = bus.CallWithContext(ctx, busName+".ListActivatableNames", 0).Store(&startable)
	for _, n := range startable {
		owned = owned || n == name
	}
	return owned
}
