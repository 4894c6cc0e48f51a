//go:build linux

package loan_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (x *transcript) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(b)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// await waits until words are there at least n times.
func (x *transcript) await(t *testing.T, words string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); strings.Count(x.String(), words) < n; pass(t, 10*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not there %d times:\n%s", words, n, x.String())
		}
	}
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
