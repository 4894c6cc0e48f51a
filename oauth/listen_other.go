//go:build !linux && !windows

package oauth

import "syscall"

const errAddrInUse = syscall.EADDRINUSE

// exclusive has nothing to do: sharing a port needs both sides' consent here.
func exclusive(_, _ string, _ syscall.RawConn) error { return nil }

func holder(int) string { return "" }
