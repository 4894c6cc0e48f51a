//go:build linux

package faults

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// BenchmarkContention has so many processes want a token at the moment when one has
// expired, and reports how many renewals the server saw, and how long the callers
// waited. The server answers at once.
func BenchmarkContention(b *testing.B) {
	s := newStage(b, options{})
	for _, callers := range []int{1, 8, 64, 200} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			var took []float64
			var sends int
			for b.Loop() {
				s.expired()
				before := s.as.sends()
				took = append(took, s.stampede(callers)...)
				sends = max(sends, s.as.sends()-before)
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2], "p50-ms")
			b.ReportMetric(took[(len(took)*99+99)/100-1], "p99-ms")
			b.ReportMetric(float64(sends), "refreshes")
			b.ReportMetric(0, "ns/op") // mostly that of signing in
			if sends != 1 {
				b.Errorf("%d renewals for %d callers, want 1", sends, callers)
			}
		})
	}
}

// stampede starts the callers and returns how long each took, in milliseconds.
func (s *stage) stampede(callers int) (took []float64) {
	s.t.Helper()
	var mu sync.Mutex // guards the results
	var all sync.WaitGroup
	for range callers {
		p := s.start(nil, "token", profileID)
		all.Go(func() {
			got := p.wait()
			s.check(got, 0)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, float64(got.took)/float64(time.Millisecond))
		})
	}
	all.Wait()
	return took
}
