package machine

import (
	"time"

	"golang.org/x/sys/unix"
)

// Uptime reads the clock that goes on while the machine sleeps, and names the boot
// that it counts from; empty if that is not known.
func Uptime() (boot string, up time.Duration) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return "", 0
	}
	boot = oneLine("/proc/sys/kernel/random/boot_id")
	return boot[:min(len(boot), 8)], time.Duration(t.Nano())
}
