package main

import (
	"testing"

	"github.com/keytray/keytray/sink"
)

// TestTheSummaryCountsWhatIsKept, which a login that moved to another machine is not.
func TestTheSummaryCountsWhatIsKept(t *testing.T) {
	t.Parallel()
	w := watcher{seen: map[sink.Ref]shown{{ID: "a"}: {word: "ok"}, {ID: "b"}: {word: "moved"}}}
	if got, want := w.summary(true), "keeps 1 logins fresh"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	w.seen[sink.Ref{ID: "c"}] = shown{word: "needs_login"}
	if got, want := w.summary(true), "keeps 2 logins fresh, of which 1 are not well: see `keytray status`"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
