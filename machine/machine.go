// Package machine tells processes of this machine apart, and how long it has been
// up, through sleep. It knows of the processes what the system tells everybody.
package machine

import "os"

// Process names a running program well enough to tell whether it still runs.
type Process struct {
	Host  string `json:"host,omitempty"`
	Boot  string `json:"boot,omitempty"`
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"`
}

// Self is the running process.
func Self() Process { return Of(os.Getpid()) }
