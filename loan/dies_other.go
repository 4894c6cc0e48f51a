//go:build unix && !linux

package loan

import "syscall"

// dieWithUs has no such way here: a program whose keytray was killed goes on, with
// the token that it has read.
func dieWithUs() *syscall.SysProcAttr { return nil }
