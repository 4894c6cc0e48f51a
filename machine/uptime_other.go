//go:build !linux

package machine

import "time"

// Uptime is not known here; the wall clock decides alone.
func Uptime() (boot string, up time.Duration) { return "", 0 }
