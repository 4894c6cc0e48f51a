//go:build !linux

package machine

// Of is the process of this machine that has the number now; machine, boot and
// start time are not known here.
func Of(pid int) Process { return Process{PID: pid} }

// Lives reports whether p certainly still runs. Without a start time nobody can
// say that of a bare number, so the lock alone decides.
func (p Process) Lives() bool { return false }

// Stopped reports whether the process is known to be stopped.
func (p Process) Stopped() bool { return false }
