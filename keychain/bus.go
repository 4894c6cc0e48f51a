//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keychain

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// busVariable is where go-keyring finds the bus.
const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// busAddress returns the address of the session bus, or "" if there is none.
// The empty address and "autolaunch:" would make godbus run dbus-launch, which
// leaves a bus and its services behind.
func busAddress(given string) string {
	if given != "" && given != "autolaunch:" {
		return given
	}
	path := "/run/user/" + strconv.Itoa(os.Getuid()) + "/bus"
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		return ""
	}
	return "unix:path=" + path
}

// useAddress makes go-keyring use the bus that we look at.
func useAddress(address string) {
	if address != "" {
		_ = os.Setenv(busVariable, address) // fails only for a NUL in the address, which no bus has
	}
}

// connect opens a connection that nobody else has, and that ends with ctx:
// godbus itself waits without end for a bus that is stopped.
func (s *secretService) connect(ctx context.Context) (*dbus.Conn, error) {
	if s.address == "" {
		return nil, fmt.Errorf("%w: there is no session bus", ErrUnavailable)
	}
	external := dbus.AuthExternal(strconv.Itoa(os.Getuid()))
	c, err := dbus.Connect(s.address, dbus.WithContext(ctx), dbus.WithAuth(external))
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting to the session bus: %w: %w", ErrUnavailable, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the session bus does not answer", ErrUnavailable)
	}
	return c, nil
}
