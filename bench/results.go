package main

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are numbers by benchmark, as in Logins/which/100, and unit.
type results map[string]map[string]float64

func (r *results) add(more results) {
	if *r == nil {
		*r = results{}
	}
	maps.Copy(*r, more)
}

// in is one number; ok is false if it was not measured.
func (r results) in(benchmark, unit string) (n float64, ok bool) {
	n, ok = r[benchmark][unit]
	return n, ok
}

// units are a benchmark's units that end so, without that, sorted by their numbers.
func (r results) units(benchmark, suffix string) (names []string) {
	for unit := range r[benchmark] {
		if name, ok := strings.CutSuffix(unit, suffix); ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		if r[benchmark][x+suffix] < r[benchmark][y+suffix] {
			return -1
		}
		return 1
	})
	return names
}

// parse reads what go test -bench prints: numbers, and what a benchmark says of why it
// was skipped or left something out.
func parse(out string) (r results, notes []string) {
	r = results{}
	line := regexp.MustCompile(`^Benchmark(\S+?)(-\d+)?\s+\d+\s+(.+)$`)
	note := regexp.MustCompile(`^ +\w+_test\.go:\d+: (without .+|missing: .+|.+ is not installed.*)$`)
	for text := range strings.Lines(out) {
		text = strings.TrimRight(text, "\n")
		if m := note.FindStringSubmatch(text); m != nil && !slices.Contains(notes, m[1]) {
			notes = append(notes, m[1])
		}
		m := line.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		numbers := map[string]float64{}
		fields := strings.Fields(m[3])
		for i := 0; i+1 < len(fields); i += 2 {
			if n, err := strconv.ParseFloat(fields[i], 64); err == nil {
				numbers[fields[i+1]] = n
			}
		}
		r[m[1]] = numbers
	}
	return r, notes
}
