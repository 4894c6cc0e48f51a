package keeper

import (
	"net"
	"net/netip"
	"net/url"

	"github.com/keytray/keytray/provider"
)

// online reports whether there is a way out of this machine: a network interface
// that runs, has an address that others can answer to, and is not the loopback.
// A machine that cannot be asked is taken to be online.
func online() bool {
	all, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range all {
		const up = net.FlagUp | net.FlagRunning
		if i.Flags&up != up || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return true
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				return true
			}
		}
	}
	return false
}

// onThisMachine reports whether a provider's token endpoint is reached without
// a network.
func onThisMachine(p provider.OAuth) bool {
	u, err := url.Parse(p.TokenEndpoint)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}
