//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// idle is how long BenchmarkTrayIdle measures; ten minutes say more than the
// half minute of make bench.
var idle = flag.Duration("tray.idle", 30*time.Second, "how long the idle tray is measured")

// peer is another program with an icon, to be measured in the same time.
var peer = flag.String("tray.peer", "", "program with an icon, whose `path` is absolute, to measure beside the tray")

// BenchmarkTrayIdle is what the tray costs a person with 50 logins, and a panel,
// who leaves it alone; and, in the same time, a program with an icon that does
// nothing, and a peer's. A switch is a thread of it that went to sleep and has to be woken. A
// turn is one look at the profile files, by its loop or its keeper's.
func BenchmarkTrayIdle(b *testing.B) {
	need(b, "Xvfb", "xdotool", "xfce4-panel")
	d := newDesktop(b, newRig(b))
	d.srv.life(23 * time.Hour)
	for i := range 50 {
		d.login(fmt.Sprintf("person%02d", i))
	}
	d.panel()
	tr := d.keytrayTray()
	d.iconAt()
	d.settle(tr)
	others := map[string]*tray{"bare-": d.startTray(trayapp(b))}
	if *peer != "" {
		// Nobody waits for its menu, which need not be one that this package reads.
		others["peer-"] = &tray{launched: d.launch(*peer)}
	}
	for _, other := range others {
		d.settle(other)
	}
	for b.Loop() {
		turns := d.countTurns()
		before, beforeOf, began := usageOf(b, tr.PID()), map[string]usage{}, time.Now()
		for name, other := range others {
			beforeOf[name] = usageOf(b, other.PID())
		}
		pass(b, *idle)
		took := time.Since(began)
		reportIdle(b, "", before, usageOf(b, tr.PID()), took)
		for name, other := range others {
			reportIdle(b, name, beforeOf[name], usageOf(b, other.PID()), took)
		}
		b.ReportMetric(float64(turns())/took.Minutes(), "turns/min")
	}
	b.ReportMetric(0, "ns/op") // it would be the time that was asked for
	b.Logf("%v: %s", *idle, memoryOf(b, tr.PID()))
}

// settle waits until a program has done what it does at its start.
func (d *desktop) settle(tr *tray) {
	d.t.Helper()
	last, since := usageOf(d.t, tr.PID()), time.Now()
	eventuallyWithin(d.t, 2*time.Minute, "a program that rests", func() bool {
		if now := usageOf(d.t, tr.PID()); now.cpu != last.cpu || len(children(tr.PID())) > 0 {
			last, since = now, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
}

// children are the processes that a process has started and that live.
func children(pid int) (found []string) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		if b, _ := os.ReadFile(list); len(b) > 0 {
			found = append(found, string(b))
		}
	}
	return found
}

func reportIdle(b *testing.B, name string, before, after usage, took time.Duration) {
	b.Helper()
	used := after.since(before)
	b.ReportMetric(float64(after.memory)/(1<<20), name+"MiB-rss")
	b.ReportMetric(100*used.cpu.Seconds()/took.Seconds(), name+"cpu-%")
	b.ReportMetric(float64(used.waits)/took.Minutes(), name+"switches/min")
}

// memoryOf says what a process's memory is made of.
func memoryOf(tb testing.TB, pid int) string {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		tb.Fatal(err)
	}
	var parts []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] != "0" {
			parts = append(parts, f[0]+f[1])
		}
	}
	return strings.Join(parts, " ")
}

// countTurns begins to count how often somebody looks at the profile file. Looks
// less than a second apart are one turn.
func (r *rig) countTurns() (turns func() int) {
	r.t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, r.mirror(""), unix.IN_OPEN); err != nil {
		r.t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	var n int
	var counted sync.WaitGroup
	counted.Go(func() {
		var last time.Time
		for buf := make([]byte, 4096); ; {
			if _, err := events.Read(buf); err != nil {
				return // closed
			}
			if time.Since(last) > time.Second {
				n++
			}
			last = time.Now()
		}
	})
	return func() int {
		events.Close()
		counted.Wait()
		return n
	}
}
