package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// section is a part of RESULTS.md and the commands that give its numbers, run at the
// root of the tree.
type section struct {
	title    string
	says     string // what is measured
	commands [][]string
	// short are its lines in the summary, table is the rest.
	short func(r results) []string
	table func(b *bench) string
}

// goBench is go test with one benchmark.
func goBench(pkg, name, times string, more ...string) []string {
	return append([]string{"go", "test", pkg, "-run", "^$", "-bench", name, "-benchtime", times, "-timeout", "30m"}, more...)
}

func sections(idle time.Duration) []section {
	return []section{
		{
			title: "Token",
			says: "A process each, in turn, that hands out a valid token of 4,000 bytes; medians. `tenlines` is the least Go program that reads one item with " +
				"go-keyring, `hello` a Go program that does nothing, which no Go program can be faster than. `oidc-token` asks an agent that stays in memory " +
				"with the tokens, so it opens no keychain; `gh` reads a file. All programs were copied into place, as an installer does.",
			commands: [][]string{goBench("./cmd/keytray", "Token$", "60x")},
			short:    tokenShort,
			table:    func(b *bench) string { return programs(b.results, "Token") },
		},
		{
			title:    "Token, first call",
			says:     "The same for programs that nobody called for a long time: they and the libraries that nobody else uses are read from the disk.",
			commands: [][]string{goBench("./cmd/keytray", "TokenFirst$", "15x")},
			table:    func(b *bench) string { return programs(b.results, "TokenFirst") },
		},
		{
			title:    "Token, 200 callers at once",
			says:     "How many processes are answered in a second, of 200 that start at once; all wait for the same keyring daemon.",
			commands: [][]string{goBench("./cmd/keytray", "TokenCrowd$", "3x")},
			table: func(b *bench) string {
				t := table{head: []string{"program", "answers in a second"}}
				for _, name := range []string{"keytray", "tenlines", "secret-tool"} {
					t.row("`"+name+"`", number(b.results, "TokenCrowd/"+name, "answers/s", "%.0f"))
				}
				return t.String()
			},
		},
		{
			title: "Refresh",
			says: "From a token that has expired to the new one in hand, everything saved, without the time of the server: real keyring, real disk, real " +
				"HTTP on this machine, tokens of real size, in one process.",
			commands: [][]string{goBench("./e2e/faults", "Refresh$", "30x"), goBench("./e2e/faults", "RefreshSyscalls$", "1x")},
			short:    refreshShort,
			table:    refreshTable,
		},
		{
			title:    "Contention",
			says:     "So many processes ask at the moment when the token has expired; the server answers at once. Time of a caller from start to end.",
			commands: [][]string{goBench("./e2e/faults", "Contention$", "3x")},
			short: func(r results) []string {
				return line(r, "200 processes at expiry: the server sees %s refresh; half have their token after %s ms, 99 % after %s ms.",
					at{"Contention/200", "refreshes", "%.0f", 1}, at{"Contention/200", "p50-ms", "%.0f", 1}, at{"Contention/200", "p99-ms", "%.0f", 1})
			},
			table: func(b *bench) string {
				t := table{head: []string{"processes", "refreshes seen by the server", "p50, ms", "p99, ms"}}
				for _, n := range []string{"1", "8", "64", "200"} {
					name := "Contention/" + n
					t.row(n, number(b.results, name, "refreshes", "%.0f"), number(b.results, name, "p50-ms", "%.0f"), number(b.results, name, "p99-ms", "%.0f"))
				}
				return t.String()
			},
		},
		{
			title: "Scale",
			says: "Milliseconds for so many logins of one provider, without the start of a process. `update` is one renewal with a keychain that takes no time: " +
				"it reads and writes the profile file.",
			commands: [][]string{
				goBench("./cmd/keytray", "Logins$", "5x"), goBench("./cmd/tray/view", "Menu$", "1s"), goBench("./sink", "Update$", "5x"),
			},
			short: func(r results) []string {
				return line(r, "With 1,000 logins `keytray status` takes %s ms, `which` %s ms.", at{"Logins/status/1000", "ns/op", "%.0f", 1e-6}, at{"Logins/which/1000", "ns/op", "%.0f", 1e-6})
			},
			table: scaleTable,
		},
		{
			title: "Idle tray",
			says: fmt.Sprintf("With 50 logins and a panel, for %v, at the same time: Keytray's tray, a program with an icon that does nothing (the same library), and "+
				"Tailscale's tray, which finds no daemon. A switch is a thread that went to sleep, a turn one look at the profile files.", idle),
			commands: [][]string{append(goBench("./e2e", "TrayIdle$", "1x"), peerFlags(idle)...)},
			table:    idleTable,
		},
		{
			title:    "models status --json",
			says:     "The same question in turn to OpenClaw, which has no login, and to Keytray, which has one; medians.",
			commands: [][]string{goBench("./e2e/clients", "ModelsStatus$", "5x", "-clients")},
			short: func(r results) []string {
				return line(r, "`keytray models status --json` takes %s ms and %s MiB; OpenClaw's takes %s ms and %s MiB.",
					at{"ModelsStatus", "keytray-ms", "%.0f", 1}, at{"ModelsStatus", "keytray-MiB", "%.0f", 1},
					at{"ModelsStatus", "openclaw-ms", "%.0f", 1}, at{"ModelsStatus", "openclaw-MiB", "%.0f", 1})
			},
			table: func(b *bench) string {
				t := table{head: []string{"program", "ms", "MiB at its peak"}}
				for _, name := range []string{"keytray", "openclaw"} {
					t.row("`"+name+"`", number(b.results, "ModelsStatus", name+"-ms", "%.0f"), number(b.results, "ModelsStatus", name+"-MiB", "%.0f"))
				}
				return t.String()
			},
		},
		{
			title:    "Sizes",
			says:     "Packages are those of the last `make dist`, if there was one.",
			commands: [][]string{{"make", "build"}},
			table:    sizesTable,
		},
	}
}

// peerFlags are those of BenchmarkTrayIdle.
func peerFlags(idle time.Duration) []string {
	flags := []string{"-tray.idle", idle.String()}
	peer, err := filepath.Abs("../bin/peers/systray")
	if err != nil {
		return flags
	}
	if _, err := os.Stat(peer); err != nil {
		return flags
	}
	return append(flags, "-tray.peer", peer)
}

// at is one number in a sentence, times a factor.
type at struct {
	benchmark, unit, format string
	factor                  float64
}

// line is a sentence with numbers; nothing if one of them was not measured.
func line(r results, text string, numbers ...at) []string {
	for _, a := range numbers {
		n, ok := r.in(a.benchmark, a.unit)
		if !ok {
			return nil
		}
		text = strings.Replace(text, "%s", fmt.Sprintf(a.format, n*a.factor), 1)
	}
	return []string{text}
}

func number(r results, benchmark, unit, format string) string {
	n, ok := r.in(benchmark, unit)
	if !ok {
		return "–"
	}
	return fmt.Sprintf(format, n)
}

func tokenShort(r results) (lines []string) {
	for _, name := range r.units("Token", "-ms") {
		if ratio, ok := r.in("Token", "keytray/"+name); ok && name != "hello" {
			ms, _ := r.in("Token", name+"-ms")
			lines = append(lines, fmt.Sprintf("`keytray token` takes %.2f × the time of `%s` (%.1f ms).", ratio, name, ms))
		}
	}
	return lines
}

// programs is a table of programs, the fastest first.
func programs(r results, benchmark string) string {
	t := table{head: []string{"program", "ms", "keytray takes"}}
	for _, name := range r.units(benchmark, "-ms") {
		ratio := ""
		if n, ok := r.in(benchmark, "keytray/"+name); ok {
			ratio = fmt.Sprintf("%.2f ×", n)
		}
		t.row("`"+name+"`", number(r, benchmark, name+"-ms", "%.1f"), ratio)
	}
	return t.String()
}

func refreshShort(r results) []string {
	reads, _ := r.in("Refresh", "reads-ms")
	writes, _ := r.in("Refresh", "writes-ms")
	own, ok := r.in("Refresh", "own-ms")
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("A refresh takes %.0f ms beside the server's; in %.0f of them the keychain is asked.", own, reads+writes)}
}

func refreshTable(b *bench) string {
	t := table{head: []string{"step", "ms"}}
	for _, s := range []struct{ name, unit string }{
		{"lock", "lock"},
		{"keychain, reads", "reads"},
		{"keychain, writes (each read back)", "writes"},
		{"journal, fsync", "journal"},
		{"HTTP", "http"},
		{"profile file, fsync", "mirror"},
		{"rest", "rest"},
		{"**all**", "own"},
	} {
		t.row(s.name, number(b.results, "Refresh", s.unit+"-ms", "%.1f"))
	}
	counts := table{head: []string{"what", "number"}}
	counts.row("calls of the keychain", number(b.results, "Refresh", "keychain-calls", "%.0f"))
	counts.row("bytes into the keychain", number(b.results, "Refresh", "keychain-bytes", "%.0f"))
	counts.row("bytes onto the disk, the journal's reserve among them", number(b.results, "Refresh", "disk-bytes", "%.0f"))
	counts.row("fsyncs of a `keytray token` that renews", number(b.results, "RefreshSyscalls", "fsyncs", "%.0f"))
	counts.row("renames", number(b.results, "RefreshSyscalls", "renames", "%.0f"))
	return t.String() + "\n" + counts.String()
}

func scaleTable(b *bench) string {
	t := table{head: []string{"what", "10", "100", "1,000", "10,000"}}
	for _, s := range []struct{ name, benchmark string }{
		{"`status --json`", "Logins/status"},
		{"`which PROVIDER`", "Logins/which"},
		{"`which PROFILE`", "Logins/which-named"},
		{"`order get`", "Logins/order"},
		{"the tray's menu", "Menu"},
		{"`update`", "Update"},
	} {
		row := []string{s.name}
		for _, n := range []string{"10", "100", "1000", "10000"} {
			cell := "–"
			if ns, ok := b.results.in(s.benchmark+"/"+n, "ns/op"); ok {
				cell = fmt.Sprintf("%.1f", ns/1e6)
			}
			row = append(row, cell)
		}
		t.row(row...)
	}
	return t.String()
}

func idleTable(b *bench) string {
	t := table{head: []string{"program", "MiB resident", "CPU, %", "switches a minute", "turns a minute"}}
	for _, s := range []struct{ name, prefix string }{{"Keytray", ""}, {"bare icon", "bare-"}, {"Tailscale", "peer-"}} {
		turns := ""
		if s.prefix == "" {
			turns = number(b.results, "TrayIdle", "turns/min", "%.1f")
		}
		t.row(s.name, number(b.results, "TrayIdle", s.prefix+"MiB-rss", "%.1f"), number(b.results, "TrayIdle", s.prefix+"cpu-%", "%.2f"),
			number(b.results, "TrayIdle", s.prefix+"switches/min", "%.0f"), turns)
	}
	return t.String()
}

// sizesTable lists what make build and make dist left behind.
func sizesTable(b *bench) string {
	t := table{head: []string{"file", "MB"}}
	for _, folder := range []string{"bin", "dist"} {
		entries, _ := fs.ReadDir(os.DirFS(b.dir), folder) // none is no row
		entries = slices.DeleteFunc(entries, fs.DirEntry.IsDir)
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Size() > 100_000 {
				t.row("`"+folder+"/"+e.Name()+"`", fmt.Sprintf("%.1f", float64(info.Size())/1e6))
			}
		}
	}
	return t.String()
}
