// Command bench runs the benchmarks of the whole tree and writes RESULTS.md from what
// they print, so that no number in it is typed by hand. What cannot run on this machine
// is named there. With -only it prints some sections, and leaves the file alone.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	idle := flags.Duration("idle", time.Minute, "how long the idle tray is measured")
	only := flags.String("only", "", "run the sections whose titles match this `pattern`, and print them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile("(?i)" + *only)
	if err != nil {
		return fmt.Errorf("reading -only: %w", err)
	}
	b := bench{dir: "..", progress: stderr}
	var done []section
	for _, s := range sections(*idle) {
		if wanted.MatchString(s.title) {
			b.section(ctx, s)
			done = append(done, s)
		}
	}
	page := b.page(ctx, done, *only == "")
	if *only != "" {
		_, err := io.WriteString(stdout, page)
		return errors.Join(err, b.failed)
	}
	return errors.Join(os.WriteFile("RESULTS.md", []byte(page), 0o644), b.failed) //nolint:gosec // for everybody to read
}

// bench is one run: what was measured so far, and what went wrong.
type bench struct {
	dir      string // of the tree
	progress io.Writer
	results  results
	notes    map[string][]string // why something is left out, by section
	failed   error
}

// section runs the commands of a section. One that fails costs its numbers only.
func (b *bench) section(ctx context.Context, s section) {
	for _, command := range s.commands {
		fmt.Fprintf(b.progress, "bench: %s: %s\n", s.title, shown(command))
		cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // our own words
		var out bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, io.MultiWriter(&out, b.progress), b.progress
		if err := cmd.Run(); err != nil {
			b.failed = errors.Join(b.failed, fmt.Errorf("%s: %w", shown(command), err))
			b.note(s, "This command failed: `"+shown(command)+"`")
		}
		r, notes := parse(out.String())
		b.results.add(r)
		for _, n := range notes {
			b.note(s, n)
		}
	}
}

func (b *bench) note(s section, text string) {
	if b.notes == nil {
		b.notes = map[string][]string{}
	}
	b.notes[s.title] = append(b.notes[s.title], text)
}

// shown is a command as a person would type it.
func shown(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = w
		if strings.ContainsAny(w, "^$ |()*") {
			words[i] = "'" + w + "'"
		}
	}
	return strings.Join(words, " ")
}
