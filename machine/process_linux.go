package machine

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Of is the process of this machine that has the number now.
func Of(pid int) Process {
	return Process{Host: hostID(), Boot: oneLine("/proc/sys/kernel/random/boot_id"), PID: pid, Start: startTime(pid)}
}

// hostID names this machine; empty when it has no id (a container).
func hostID() string { return oneLine("/etc/machine-id") }

// Lives reports whether p is a process of this machine and boot that still
// runs. The start time tells it from a later one with the same number.
func (p Process) Lives() bool {
	me := Self()
	if p.PID == 0 || p.Host != me.Host || p.Boot != me.Boot {
		return false
	}
	return p.Start != 0 && startTime(p.PID) == p.Start
}

// Stopped reports whether the process is stopped by a signal or a debugger.
func (p Process) Stopped() bool {
	f := statFields(p.PID)
	return len(f) > 0 && (f[0] == "T" || f[0] == "t")
}

// startTime is field 22 of /proc/PID/stat, in clock ticks since boot; 0 if
// there is no such process.
func startTime(pid int) uint64 {
	f := statFields(pid)
	if len(f) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(f[19], 10, 64)
	return n
}

// statFields are the fields of /proc/PID/stat from the third on: the second, a
// name in parentheses, may hold anything.
func statFields(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	_, rest, ok := bytes.Cut(b, []byte(") "))
	if i := bytes.LastIndex(b, []byte(") ")); ok && i >= 0 {
		rest = b[i+2:]
	}
	return strings.Fields(string(rest))
}

func oneLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
