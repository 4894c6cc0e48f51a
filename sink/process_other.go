//go:build !linux

package sink

import "os"

// self describes the running process; machine, boot and start time are not
// known here.
func self() Process { return Process{PID: os.Getpid()} }

// lives reports whether p certainly still runs. Without a start time nobody can
// say that of a bare number, so the lock alone decides.
func (p Process) lives() bool { return false }

// stopped reports whether the process is known to be stopped.
func (p Process) stopped() bool { return false }
