package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	// noFollow keeps the log from being written through a link.
	noFollow = syscall.O_NOFOLLOW
	canBegin = true
	// settle: see [screen].
	settle = 1200 * time.Millisecond
	// watcherName is the one whom panels and icons meet at.
	watcherName = "org.kde.StatusNotifierWatcher"
	busName     = "DBUS_SESSION_BUS_ADDRESS"
	// busRest lies between two looks for a bus that is not there, at first and
	// later; one that was lost is looked for until farewell: a session that has
	// ended has no use for us, and the next one starts its own tray.
	busRest, longestBusRest, farewell = time.Second, 15 * time.Second, 2 * time.Minute
)

// missingBus is the environment to start with where it names no session bus and
// systemd's is there. The icon's library would start a bus of its own otherwise.
func (p *program) missingBus() (environ []string, missing bool) {
	path := fmt.Sprintf("/run/user/%d/bus", os.Getuid())
	if _, err := os.Stat(path); err != nil || p.world.Getenv(busName) != "" {
		return nil, false
	}
	return append(slices.DeleteFunc(slices.Clone(p.world.Environ), func(entry string) bool {
		return strings.HasPrefix(entry, busName+"=")
	}), busName+"=unix:path="+path), true
}

// begin replaces this process by a new one, of the file as it is now.
func (p *program) begin(environ []string) error {
	path := p.world.Self
	if _, err := os.Stat(path); err != nil {
		path = p.workerPath()
	}
	return syscall.Exec(path, append([]string{p.name}, p.args...), environ) //nolint:gosec // ourselves
}

// hasScreen reports whether an icon has a bus to be shown on. Where no panel
// shows icons, it waits there for one.
func (p *program) hasScreen(ctx context.Context) bool {
	conn, err := p.bus(ctx)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// bus is a connection of our own.
func (p *program) bus(ctx context.Context) (*dbus.Conn, error) {
	address := p.world.Getenv(busName)
	if address == "" {
		return nil, dbus.ErrClosed
	}
	return dbus.Connect(address, dbus.WithContext(ctx))
}

// watchBus starts the tray anew where only that shows it: the session bus was
// lost, or was not there at first, and is there now; or a host of icons has come,
// which would show an older icon without some of its submenus (see [screen]).
// Neither the icon's library nor a host follows that. It waits until no work is
// under way, but not for ever for a bus that is back. A bus that was there and
// stays away ends the tray.
func (p *program) watchBus(ctx context.Context, t *tray, quit func()) {
	go func() { // ends with ctx
		conn, err := p.bus(ctx)
		hadBus := err == nil
		if hadBus && p.awaitHost(ctx, conn) {
			t.idle(ctx)
			if again, err := p.bus(ctx); err == nil {
				_ = again.Close()
				t.anew()
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		looking := ctx
		if hadBus {
			p.world.Log.Warn("the session bus is gone; the icon comes back with it")
			limited, stop := context.WithTimeout(ctx, farewell)
			defer stop()
			looking = limited
		}
		if !p.awaitBus(looking) {
			quit()
			return
		}
		patient, stop := context.WithTimeout(ctx, farewell)
		defer stop()
		t.idle(patient)
		if ctx.Err() == nil {
			t.anew()
		}
	}()
}

// awaitHost reports whether a host of icons has come; if not, the bus is gone or
// ctx has ended.
func (p *program) awaitHost(ctx context.Context, conn *dbus.Conn) bool {
	defer conn.Close()
	changes := make(chan *dbus.Signal, 8)
	conn.Signal(changes)
	err := conn.AddMatchSignal(dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName))
	if err != nil {
		p.world.Log.Debug("watching for a panel", "err", err)
	}
	for {
		select {
		case <-conn.Context().Done():
			return false
		case <-ctx.Done():
			return false
		case s := <-changes:
			if s == nil {
				return false
			}
			var name, before, now string
			if dbus.Store(s.Body, &name, &before, &now) == nil && now != "" {
				p.world.Log.Info("a panel has come; starting anew in it")
				return true
			}
		}
	}
}

func (p *program) awaitBus(ctx context.Context) bool {
	for rest := busRest; ; rest = min(2*rest, longestBusRest) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(rest):
		}
		if conn, err := p.bus(ctx); err == nil {
			_ = conn.Close()
			return true
		}
	}
}

// idle waits until no worker is under way, a sign-in that waits for its person
// included.
func (t *tray) idle(ctx context.Context) {
	for {
		free := make(chan bool, 1)
		select {
		case t.posts <- func() { free <- t.free() }:
		case <-ctx.Done():
			return
		}
		select {
		case ok := <-free:
			if ok {
				return
			}
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// systemLocale is for systems that keep it elsewhere than in the environment.
func systemLocale() string { return "" }
