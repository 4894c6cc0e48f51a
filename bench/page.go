package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// page is RESULTS.md: the ratios, then each section with its commands, then what
// people wrote in CUTS.md of what was cut.
func (b *bench) page(ctx context.Context, done []section, whole bool) string {
	var p strings.Builder
	p.WriteString("# Measured\n\nWritten by `make bench`; do not edit.\n\n")
	for _, s := range done {
		if s.short == nil {
			continue
		}
		for _, l := range s.short(b.results) {
			fmt.Fprintf(&p, "- %s\n", l)
		}
	}
	fmt.Fprintf(&p, "\n## Where and when\n\n%s\n", b.place(ctx))
	for _, s := range done {
		fmt.Fprintf(&p, "## %s\n\n%s\n\n%s\n", s.title, s.says, s.table(b))
		for _, n := range b.notes[s.title] {
			fmt.Fprintf(&p, "Left out: %s.\n\n", n)
		}
		for _, c := range s.commands {
			fmt.Fprintf(&p, "    %s\n", strings.ReplaceAll(shown(c), b.peer(), "$PWD/bin/peers/systray"))
		}
		p.WriteString("\n")
	}
	if cuts, err := os.ReadFile("CUTS.md"); err == nil && whole {
		p.Write(cuts)
	}
	return p.String()
}

// peer is the path of Tailscale's tray, which is this machine's.
func (b *bench) peer() string {
	path, _ := filepath.Abs("../bin/peers/systray") // fails without a working folder
	return path
}

// place tells of the machine and the versions.
func (b *bench) place(ctx context.Context) string {
	said := func(name string, args ...string) string {
		out, err := exec.CommandContext(ctx, name, args...).Output() //nolint:gosec // our own words
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	read := func(path, key string) string {
		text, _ := os.ReadFile(path) // what is not there is not told
		for l := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(l, key); ok {
				return strings.Trim(rest, " \t:=\"\n")
			}
		}
		return ""
	}
	t := table{head: []string{"what", "is"}}
	t.row("date", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	t.row("machine", fmt.Sprintf("%s, %d processors, %s of memory", read("/proc/cpuinfo", "model name"), runtime.NumCPU(), read("/proc/meminfo", "MemTotal")))
	t.row("system", read("/etc/os-release", "PRETTY_NAME")+", Linux "+said("uname", "-r"))
	t.row("load in the last 15 minutes", strings.Join(strings.Fields(read("/proc/loadavg", ""))[2:3], ""))
	t.row("keytray", said("git", "describe", "--always", "--dirty"))
	t.row("go", runtime.Version())
	for _, p := range []string{
		"gnome-keyring", "dbus-daemon", "libsecret-tools", "golang-docker-credential-helpers", "oidc-agent-cli", "pass", "gh",
	} {
		if v := said("dpkg-query", "-W", "-f", "${Version}", p); v != "" {
			t.row(p, v)
		}
	}
	return t.String()
}

// table is one of Markdown.
type table struct {
	head []string
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// String has all columns but the first aligned at the right.
func (t *table) String() string {
	var b strings.Builder
	write := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	write(t.head)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.head)-1) + "|\n")
	for _, r := range t.rows {
		write(r)
	}
	return b.String()
}
