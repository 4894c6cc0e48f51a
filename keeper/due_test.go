package keeper

import (
	"testing"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

func TestResend(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	intent := func(attempt int, first, last time.Duration) sink.Intent {
		return sink.Intent{Attempt: attempt, First: now.Add(-first), Last: now.Add(-last)}
	}
	const strict, graceful = provider.Strict, provider.Graceful
	for _, c := range []struct {
		name   string
		policy provider.Policy
		in     sink.Intent
		left   time.Duration
		asked  bool
		want   verdict
	}{
		{"never sent", strict, sink.Intent{}, time.Hour, false, send},
		{"strict, token lives", strict, intent(1, time.Minute, time.Minute), 2 * time.Minute, false, wait},
		{"the zero policy is strict", "", intent(1, time.Second, time.Second), 2 * time.Minute, false, wait},
		{"strict, last minute", strict, intent(1, time.Minute, time.Minute), time.Minute, false, send},
		{"strict, expired", strict, intent(1, time.Second, time.Second), -time.Hour, false, send},
		{"strict, asked", strict, intent(1, time.Second, time.Second), time.Hour, true, send},
		{"graceful, within its grace", graceful, intent(1, 5*time.Second, 5*time.Second), time.Hour, false, send},
		{"graceful, third send", graceful, intent(2, 10*time.Second, 5*time.Second), time.Hour, false, send},
		{"graceful, not a fourth", graceful, intent(3, 10*time.Second, 5*time.Second), time.Hour, false, wait},
		{"graceful, too late", graceful, intent(1, 20*time.Second, 20*time.Second), time.Hour, false, wait},
		{"again too soon", strict, intent(2, time.Minute, 29*time.Second), -1, false, wait},
		{"again", strict, intent(2, time.Minute, 30*time.Second), -1, false, send},
		{"asking does not shorten the backoff", strict, intent(3, time.Hour, 59*time.Second), -1, true, wait},
		{"fifth", strict, intent(5, time.Hour, 4*time.Minute), -1, false, send},
		{"enough", strict, intent(6, time.Hour, time.Hour), -1, true, giveUp},
	} {
		if got := resend(c.policy, c.in, now, c.left, c.asked); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestBackoffGrowsToItsCap(t *testing.T) {
	for n, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		if got := backoff(n); got != want {
			t.Errorf("backoff(%d) = %v, want %v", n, got, want)
		}
	}
}
