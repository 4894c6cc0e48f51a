//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// usage is what a process has cost so far.
type usage struct {
	memory, peak int64 // resident, in bytes
	cpu          time.Duration
	waits        int64 // how often a thread has gone to sleep: each is a wake-up later
}

// usageOf reads what a process has cost: see proc(5). Threads that have ended
// do not count.
func usageOf(tb testing.TB, pid int) (u usage) {
	tb.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		return string(b)
	}
	number := func(status, name string) (n int64) {
		_, rest, _ := strings.Cut(status, "\n"+name+":")
		if _, err := fmt.Sscan(rest, &n); err != nil {
			tb.Fatalf("no %s in %s: %v", name, dir, err)
		}
		return n
	}
	status := read(dir + "/status")
	u.memory, u.peak = number(status, "VmRSS")<<10, number(status, "VmHWM")<<10
	threads, _ := filepath.Glob(dir + "/task/*/status")
	for _, thread := range threads {
		u.waits += number(read(thread), "voluntary_ctxt_switches")
	}
	// Its name, in brackets, may have blanks; user and system time are in
	// hundredths of a second.
	_, rest, _ := strings.Cut(read(dir+"/stat"), ") ")
	var user, system int64
	if fields := strings.Fields(rest); len(fields) > 12 {
		fmt.Sscan(fields[11], &user)
		fmt.Sscan(fields[12], &system)
	}
	u.cpu = time.Duration(user+system) * (time.Second / 100)
	return u
}

// since is what has been used since then.
func (u usage) since(then usage) usage {
	return usage{memory: u.memory - then.memory, peak: u.peak - then.peak, cpu: u.cpu - then.cpu, waits: u.waits - then.waits}
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB, at most %.1f MB, %v of CPU, %d wake-ups", float64(u.memory)/1e6, float64(u.peak)/1e6, u.cpu, u.waits)
}

// TestUsageIsSeen has this process take memory, compute and wait.
func TestUsageIsSeen(t *testing.T) {
	before := usageOf(t, os.Getpid())
	block := make([]byte, 64<<20)
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
		for i := range block {
			block[i]++
		}
	}
	pass(t, 10*time.Millisecond)
	after := usageOf(t, os.Getpid())
	used := after.since(before)
	if used.memory < 32<<20 || used.cpu < 30*time.Millisecond || used.waits < 1 || after.peak < after.memory {
		t.Errorf("used %v, want at least 32 MB, 30ms and a wait", used)
	}
}
