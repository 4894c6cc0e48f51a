//go:build unix

package sink_test

import "syscall"

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

func setUmask(mask int) (restore func()) {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
