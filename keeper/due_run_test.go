package keeper

import (
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
)

func TestDue(t *testing.T) {
	wall := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := sink.Moment{Wall: wall, Boot: "b", Up: 100 * time.Hour}
	const lead = 5 * time.Minute
	life := func(age, left time.Duration) sink.Life {
		return sink.Life{Minted: sink.Moment{Wall: wall.Add(-age), Boot: "b", Up: now.Up - age}, Expires: wall.Add(left)}
	}
	set := life(time.Hour, time.Hour)
	set.Minted.Wall, set.Expires = set.Minted.Wall.AddDate(1, 0, 0), set.Expires.AddDate(1, 0, 0) // the wall clock was a year ahead
	for _, c := range []struct {
		name  string
		kind  sink.Kind
		life  sink.Life
		state sink.State
		until time.Duration
		want  time.Duration // with the mean lead; -1 is never
	}{
		{name: "fresh", life: life(0, time.Hour), want: 55 * time.Minute},
		{name: "half over", life: life(30*time.Minute, 30*time.Minute), want: 25 * time.Minute},
		{name: "expired", life: life(2*time.Hour, -time.Hour), want: 0},
		{name: "short", life: life(0, time.Minute), want: 30 * time.Second},
		{name: "clock was set back", life: set, want: 55 * time.Minute},
		{name: "no end", life: sink.Life{}, want: -1},
		{name: "key", kind: sink.KindAPIKey, life: life(0, time.Hour), want: -1},
		{name: "dead", state: sink.StateNeedsLogin, life: life(0, 0), want: -1},
		{name: "another machine's", state: sink.StateForeignHost, life: life(0, 0), want: -1},
		{name: "to be saved", state: sink.StatePendingSave, life: life(0, time.Hour), want: 0},
		{name: "retrying", state: sink.StateRetrying, until: 10 * time.Minute, life: life(time.Hour, 0), want: 10 * time.Minute},
		{name: "retrying, and not due", state: sink.StateRetrying, until: time.Minute, life: life(0, time.Hour), want: 55 * time.Minute},
		{name: "retrying in a year", state: sink.StateRetrying, until: 8760 * time.Hour, life: life(time.Hour, 0), want: 0},
		{name: "refused client", state: sink.StateMisconfigured, life: life(time.Hour, 0), want: 0},
	} {
		p := sink.Profile{Ref: sink.Ref{Agent: "main", ID: c.name}, Kind: sink.KindOAuth, Life: c.life, State: c.state, Until: wall.Add(c.until)}
		if c.kind != "" {
			p.Kind = c.kind
		}
		in, ok := due(p, now, lead)
		if ok != (c.want >= 0) {
			t.Errorf("%s: %v", c.name, ok)
		}
		within := p.Margin(lead) / 5
		if c.want <= 0 || c.until > 0 && c.want == c.until {
			within = 0
		}
		if ok && (in-c.want).Abs() > within {
			t.Errorf("%s: in %v, want %v give or take %v", c.name, in, c.want, within)
		}
	}
}

func TestJitterStaysInItsBoundsAndStands(t *testing.T) {
	const lead = 100 * time.Second
	lowest, highest := lead, lead
	for g := range uint64(2000) {
		p := sink.Profile{Ref: sink.Ref{Agent: "main", ID: "a"}, Generation: g}
		d := jittered(p, lead)
		if d != jittered(p, lead) {
			t.Fatal("another look gives another lead")
		}
		lowest, highest = min(lowest, d), max(highest, d)
	}
	if lowest != 80*time.Second || highest != 120*time.Second {
		t.Errorf("leads of %v to %v, want 80s to 120s", lowest, highest)
	}
}
