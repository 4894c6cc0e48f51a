package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/keytray/keytray/provider"
)

// PortError says that another program holds the port a browser must come back
// to.
type PortError struct {
	Port int
	// Holder is that program's name and process id; empty if it cannot be known.
	Holder string
}

// Error implements error.
func (e *PortError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("port %d is held by another program", e.Port)
	}
	return fmt.Sprintf("port %d is held by %s", e.Port, e.Holder)
}

const (
	// ephemeralTries is how often a free port is looked for that is free on
	// IPv4 and IPv6.
	ephemeralTries = 8
	// unheardPort stands in the redirect URI where not even an ephemeral port
	// could be had; the address is then pasted.
	unheardPort = 53682
)

// listen binds the loopback addresses that redirect means, on the first of its
// ports that is free on all of them. It also returns the port for the redirect
// URI if there is an error.
func listen(ctx context.Context, r provider.Redirect) ([]net.Listener, int, error) {
	if len(r.Ports) == 0 {
		return listenAnywhere(ctx, r.Host)
	}
	var first error
	for _, port := range r.Ports {
		listeners, err := listenOn(ctx, r.Host, port)
		if err == nil {
			return listeners, port, nil
		}
		if first == nil {
			first = err
		}
	}
	if errors.Is(first, errAddrInUse) {
		first = &PortError{Port: r.Ports[0], Holder: holder(r.Ports[0])}
	}
	return nil, r.Ports[0], first
}

func listenAnywhere(ctx context.Context, host string) ([]net.Listener, int, error) {
	var err error
	for range ephemeralTries {
		var free, all []net.Listener
		if free, err = listenOn(ctx, firstAddress(host), 0); err != nil {
			break
		}
		port := free[0].Addr().(*net.TCPAddr).Port
		if host != "localhost" {
			return free, port, nil
		}
		closeAll(free)
		if all, err = listenOn(ctx, host, port); err == nil {
			return all, port, nil
		}
	}
	return nil, unheardPort, err
}

func firstAddress(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// listenOn binds host's addresses. For "localhost" those are 127.0.0.1 and, if
// this machine has it, ::1: a browser may try either, so a stranger must hold
// neither.
func listenOn(ctx context.Context, host string, port int) ([]net.Listener, error) {
	config := net.ListenConfig{Control: exclusive}
	config.SetMultipathTCP(false)
	var listeners []net.Listener
	for _, address := range addresses(host) {
		l, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err == nil {
			listeners = append(listeners, l)
			continue
		}
		if len(listeners) > 0 && !errors.Is(err, errAddrInUse) {
			continue // no IPv6 here
		}
		closeAll(listeners)
		return nil, err
	}
	return listeners, nil
}

func addresses(host string) []string {
	switch host {
	case "localhost":
		return []string{"127.0.0.1", "::1"}
	case "[::1]":
		return []string{"::1"}
	}
	return []string{"127.0.0.1"}
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}
