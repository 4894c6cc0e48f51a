package worker

import (
	"bytes"
	"context"
	"testing"

	"github.com/keytray/keytray/keeper"
)

// A worker that was cancelled or given up announces no sending, and so sends
// nothing; one that has sent is not held up.
func TestNothingIsSentAfterACancellation(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		sent      bool
		abandoned bool // somebody tried to
		step      keeper.Step
		told      bool
	}{
		{"all is well", t.Context(), false, false, keeper.StepSending, true},
		{"cancelled", cancelled, false, false, keeper.StepSending, false},
		{"given up", t.Context(), false, true, keeper.StepSending, false},
		{"cancelled after sending", cancelled, true, true, keeper.StepSending, true},
		{"the answer of a cancelled one", cancelled, true, true, keeper.StepJournalled, true},
		{"a sign-in that was cancelled too late", cancelled, false, false, keeper.StepReceived, true},
	} {
		var out bytes.Buffer
		j := &job{out: &out, moved: make(chan struct{}, 1), sent: c.sent}
		if c.abandoned && j.abandon() == c.sent {
			t.Errorf("%s: abandon = %v", c.name, !c.sent)
		}
		err := j.observe(c.ctx, c.step)
		if (err == nil) != c.told || (out.Len() > 0) != c.told {
			t.Errorf("%s: %v, and said %q", c.name, err, out.String())
		}
		if c.told && j.abandon() {
			t.Errorf("%s: given up after it was told", c.name)
		}
	}
}
