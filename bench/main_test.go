package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const printed = `goos: linux
cpu: AMD EPYC
BenchmarkToken-2   	      60	        20.5 keytray-ms	         1.250 keytray/tenlines	        16.4 tenlines-ms
--- BENCH: BenchmarkToken-2
    bench_test.go:172: without gh (Debian: apt-get install gh)
    bench_test.go:172: without gh (Debian: apt-get install gh)
BenchmarkLogins/which-named/1000-2   	       5	   4000000 ns/op	         4.0 µs/login
BenchmarkContention/200 	       1	        12 p50-ms
--- SKIP: BenchmarkRefresh
    cost_test.go:128: missing: strace (e2e/setup.sh installs them)
PASS
`

func TestParse(t *testing.T) {
	r, notes := parse(printed)
	for _, want := range []struct {
		benchmark, unit string
		n               float64
	}{
		{"Token", "keytray-ms", 20.5}, {"Token", "keytray/tenlines", 1.25}, {"Logins/which-named/1000", "ns/op", 4e6}, {"Contention/200", "p50-ms", 12},
	} {
		if n, ok := r.in(want.benchmark, want.unit); !ok || n != want.n {
			t.Errorf("%s %s is %v, want %v", want.benchmark, want.unit, n, want.n)
		}
	}
	want := []string{"without gh (Debian: apt-get install gh)", "missing: strace (e2e/setup.sh installs them)"}
	if len(r) != 3 || !slices.Equal(notes, want) {
		t.Errorf("%d benchmarks and notes %q, want 3 and %q", len(r), notes, want)
	}
}

// TestPage has what was measured, what was left out and why, and no more.
func TestPage(t *testing.T) {
	b := bench{dir: ".."}
	r, notes := parse(printed)
	b.results = r
	all := sections(time.Minute)
	for _, n := range notes {
		b.note(all[0], n)
	}
	page := b.page(t.Context(), all, true)
	for _, want := range []string{
		"- `keytray token` takes 1.25 × the time of `tenlines` (16.4 ms).\n", "| `keytray` | 20.5 |  |\n", "| `which PROFILE` | – | – | 4.0 | – |\n",
		"Left out: missing: strace", "    go test ./sink -run '^$' -bench 'Update$' -benchtime 5x -timeout 30m\n", "## What was cut",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "200 processes at expiry") {
		t.Error("the summary has a sentence whose numbers were not measured")
	}
}
