package oauth

import "syscall"

const errAddrInUse = syscall.Errno(10048) // WSAEADDRINUSE

// soExclusiveAddrUse is ~SO_REUSEADDR of winsock2.h.
const soExclusiveAddrUse = ^syscall.SO_REUSEADDR

// exclusive keeps other programs from binding the same port with SO_REUSEADDR,
// which on Windows would hand them our connections.
func exclusive(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(syscall.Handle(fd), syscall.SOL_SOCKET, soExclusiveAddrUse, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

func holder(int) string { return "" }
