//go:build !linux

package sink

import "time"

// uptime is not known here; the wall clock decides alone.
func uptime() (boot string, up time.Duration) { return "", 0 }
