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
		{"again, and the clock was set back since", strict, intent(2, -24*time.Hour, -24*time.Hour), -1, false, send},
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

func TestEarly(t *testing.T) {
	wall := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := sink.Moment{Wall: wall, Boot: "b", Up: 100 * time.Hour}
	ago := func(d time.Duration) time.Time { return wall.Add(-d) }
	born := func(age, left time.Duration) sink.Credential {
		minted := sink.Moment{Wall: ago(age), Boot: "b", Up: now.Up - age}
		return sink.Credential{Life: sink.Life{Minted: minted, Expires: wall.Add(left)}}
	}
	long, young, newborn := born(time.Hour, time.Hour), born(10*time.Second, time.Hour), born(time.Second, time.Hour)
	short := born(11*time.Second, 9*time.Second)
	future := young // minted before the clock was set back by a year
	future.Minted.Wall = wall.AddDate(1, 0, 0)
	failed := sink.Pace{Failures: 3, Last: ago(time.Minute), Next: wall.Add(8 * time.Second)}
	for _, c := range []struct {
		name          string
		pace          sink.Pace
		cred          sink.Credential
		usable, asked bool
		want          time.Duration // until when from now; 0 is not too early
	}{
		{name: "nothing happened", cred: long, usable: true},
		{name: "renewed a moment ago", cred: young, usable: true, want: 20 * time.Second},
		{name: "renewed a moment ago, and dead", cred: young},
		{name: "a person asks", cred: young, usable: true, asked: true},
		{name: "nobody sends twice in 2 s", cred: newborn, asked: true, want: time.Second},
		{name: "half of a short life", cred: short, usable: true},
		{name: "backoff", pace: failed, cred: long, want: 8 * time.Second},
		{name: "backoff, and a person asks", pace: failed, cred: long, asked: true},
		{name: "sent a moment ago", pace: sink.Pace{Last: ago(time.Second)}, cred: long, asked: true, want: time.Second},
		{name: "the clock was set back", pace: sink.Pace{Last: wall.AddDate(1, 0, 0), Next: wall.AddDate(1, 0, 0)}, cred: long, usable: true},
		{name: "the clock was set back after a renewal", cred: future, usable: true, want: 20 * time.Second},
	} {
		until, yes := early(c.pace, c.cred, now, c.usable, c.asked)
		if yes != (c.want > 0) || (yes && until.Sub(wall) != c.want) {
			t.Errorf("%s: until %v, %v, want %v", c.name, until.Sub(wall), yes, c.want)
		}
	}
}

func TestRetryGrowsWithJitter(t *testing.T) {
	for n, mean := range map[int]time.Duration{0: 2 * time.Second, 1: 4 * time.Second, 5: 64 * time.Second, 20: 15 * time.Minute} {
		for i := range 100 {
			if d := retry(n, time.Unix(1795400000, int64(i))); d < mean/2 || d > mean*3/2 {
				t.Errorf("retry(%d) = %v, want %v give or take half", n, d, mean)
			}
		}
	}
}
