package keeper

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/keytray/keytray/sink"
)

const (
	// longestRest is how long the loop sleeps at most: a laptop's sleep stops
	// timers, not tokens, so no timer is set to an expiry that is far away.
	longestRest = time.Minute
	// jump is a difference between two clocks that means that one was set, or
	// that the machine slept.
	jump = 10 * time.Second
	// spread is the time over which the work after a jump is spread.
	spread = 5 * time.Second
	// together is how many logins are worked on at once.
	together = 4
	// hourly is how many renewals of one login the loop starts in an hour.
	hourly = 40
	// longestPause lies between two attempts that failed for a reason that the
	// profile file does not tell: a locked keychain, a full disk. It keeps to
	// the hourly rule by itself.
	longestPause = 2 * time.Minute
	// uselessPause lies between two tries of a client that the provider refuses.
	uselessPause = time.Hour
	// abandoned is how old a journal is that no flight can still be writing.
	abandoned = 2 * time.Minute
)

// Schedule is how [Keeper.Run] does its work.
type Schedule struct {
	// Do does what is due for a login: [Keeper.Renew] here, or in a child
	// process. It ends some time after its context does, when nothing is at
	// stake any more. Several run at once, never two for one login.
	Do func(ctx context.Context, ref sink.Ref) error
	// Online reports whether requests can leave this machine; nil asks the
	// system.
	Online func() bool
	// Offline is told, in the loop's goroutine, that logins cannot be renewed as
	// there is no way out of this machine, and when there is one again; nil for
	// none. A way that is lost is missed when something is due.
	Offline func(bool)
	// Wake lets the loop look again at once; nil for none.
	Wake <-chan struct{}
}

// Run keeps the tokens of all agents of the root fresh, those that nobody uses
// included, until ctx ends; then it starts nothing more and waits for what is
// under way. It renews ahead of expiry, finishes what waits for the keychain, and
// leaves alone what only a person can mend.
//
// It looks at the profile files at least once a minute, and twice at most while
// there is nothing to do; the keychain is touched only where something is due.
// After a sleep of the machine or a jump of the clock it looks at once and
// spreads the work over 5 s, and it sends nothing before there is a network.
// One process at a time should do this for a root, see [sink.Store.Seat].
func (k *Keeper) Run(ctx context.Context, s Schedule) error {
	if s.Online == nil {
		s.Online = online
	}
	if s.Offline == nil {
		s.Offline = func(bool) {}
	}
	l := &loop{k: k, s: s, charges: map[sink.Ref]*charge{}, landed: make(chan landing), unsure: true}
	l.looked, l.moment = time.Now(), k.now()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			for l.flying > 0 {
				l.land(<-l.landed)
			}
			return nil
		case r := <-l.landed:
			l.land(r)
		case _, ok := <-l.s.Wake:
			if !ok {
				l.s.Wake = nil
			}
		case <-rest.C:
		}
		if ctx.Err() == nil {
			rest.Reset(l.turn(ctx))
		}
	}
}

// Renew does what is due for a login without anybody asking: it finishes what
// an earlier process began and renews a token that comes near its end, unless
// somebody else did so meanwhile. Its error is ErrNotSaved (package sink) where
// a renewed login still waits for the keychain.
func (k *Keeper) Renew(ctx context.Context, ref sink.Ref) error {
	p, err := k.Store.Profile(ref)
	if err != nil {
		return err
	}
	var d demand
	if p.Kind == sink.KindOAuth && nearlyDue(p, k.now(), k.lead(p.Provider)) {
		d.beyond = p.Generation
	}
	if _, err := k.renew(ctx, ref, d); err != nil {
		return err
	}
	if p, err = k.Store.Profile(ref); err == nil && p.State == sink.StatePendingSave {
		return sink.ErrNotSaved
	}
	return err
}

// loop is the state of one Run. One goroutine uses it; the others only land.
type loop struct {
	k       *Keeper
	s       Schedule
	charges map[sink.Ref]*charge
	landed  chan landing
	flying  int
	// looked and moment are the last turn on the timers' clock, which a sleep of
	// the machine stops, and on those that it does not stop.
	looked time.Time
	moment sink.Moment
	// offline is the pause before the next look at the network.
	offline time.Duration
	// missed is what Offline was told last. Unsure has the network looked at although
	// nothing is due: at first.
	missed, unsure bool
}

// charge is what the loop knows of a login beyond the profile file. Its times
// are of the timers' clock.
type charge struct {
	generation uint64
	flying     bool
	starts     []time.Time // of renewals in the last hour
	failures   int
	notBefore  time.Time
	// journal is since when one lies there, finished the generation for which
	// that has been dealt with.
	journal  time.Time
	finished uint64
}

type landing struct {
	ref sink.Ref
	err error
}

// turn looks at all logins, starts what is due, and returns how long to rest.
func (l *loop) turn(ctx context.Context) time.Duration {
	at, now := time.Now(), l.k.now()
	jumped := l.jumped(at, now)
	l.looked, l.moment = at, now
	rest := longestRest
	waitsForNetwork, isOnline, needed := false, false, false
	seen := map[sink.Ref]bool{}
	for p := range l.profiles() {
		c := l.charge(p)
		seen[p.Ref] = true
		if jumped {
			c.failures, c.notBefore = 0, at.Add(rand.N(spread)) //nolint:gosec // jitter, not a secret
		}
		in, ok := l.wait(c, p, at, now)
		needed = needed || ok && l.needsNetwork(p)
		switch {
		case !ok || c.flying:
		case in > 0:
			rest = min(rest, in)
		case l.flying >= together: // a landing makes room and another turn
		case !l.needsNetwork(p) || isOnline:
			l.start(ctx, c, p, at)
		case !waitsForNetwork && l.s.Online():
			isOnline = true
			l.start(ctx, c, p, at)
		default:
			waitsForNetwork = true
		}
	}
	for ref, c := range l.charges {
		if !seen[ref] && !c.flying {
			delete(l.charges, ref)
		}
	}
	l.tell(waitsForNetwork, isOnline, needed)
	if jumped || !waitsForNetwork {
		l.offline = 0
	}
	if waitsForNetwork {
		l.offline = min(max(2*l.offline, time.Second), longestRest)
		rest = min(rest, l.offline)
	}
	return rest
}

// tell tells of the network what a turn found out: that something waits for it, or
// that it is there. Where it found out nothing, and somebody was told that there is
// none, or nobody was told anything yet, it looks itself; but not while no login needs
// one.
func (l *loop) tell(waits, isOnline, needed bool) {
	if !needed {
		return
	}
	missed := waits
	if !waits && !isOnline && (l.missed || l.unsure) {
		missed = !l.s.Online()
	}
	l.unsure = false
	if missed != l.missed {
		l.missed = missed
		l.s.Offline(missed)
	}
}

// profiles are all logins of all agents. A profile file that cannot be read is
// left out: commands say what is wrong with it.
func (l *loop) profiles() iter.Seq[sink.Profile] {
	return func(yield func(sink.Profile) bool) {
		for _, agent := range l.k.Store.Agents() {
			for p, err := range l.k.Store.Profiles(agent) {
				if err == nil && !yield(p) {
					return
				}
			}
		}
	}
}

// charge finds what is known of p. A new generation begins with a clean slate,
// but for the starts that are counted.
func (l *loop) charge(p sink.Profile) *charge {
	c := l.charges[p.Ref]
	if c == nil {
		c = &charge{generation: p.Generation}
		l.charges[p.Ref] = c
	}
	if c.generation != p.Generation {
		c.generation, c.failures, c.notBefore, c.journal = p.Generation, 0, time.Time{}, time.Time{}
	}
	return c
}

// jumped reports whether time passed on one clock and not on the other since the
// last turn.
func (l *loop) jumped(at time.Time, now sink.Moment) bool {
	passed := at.Sub(l.looked)
	// Round strips the timers' clock from the wall's time, which Sub prefers.
	if wall := now.Wall.Round(0).Sub(l.moment.Wall.Round(0)) - passed; wall.Abs() > jump {
		return true
	}
	return now.Boot != "" && now.Boot == l.moment.Boot && now.Up-l.moment.Up-passed > jump
}

// wait says in how long the loop works on p; never if ok is false.
func (l *loop) wait(c *charge, p sink.Profile, at time.Time, now sink.Moment) (in time.Duration, ok bool) {
	if l.left(c, p, at) {
		return c.notBefore.Sub(at), true
	}
	if _, err := l.k.oauthProvider(p.Provider); err != nil && p.State != sink.StatePendingSave {
		return 0, false
	}
	in, ok = due(p, now, l.k.lead(p.Provider))
	pause := c.notBefore.Sub(at)
	if last := p.Left(now) - lastMinute; last > 0 && c.failures > 0 {
		pause = min(pause, last+time.Second) // a token whose answer was lost is sent again then
	}
	in = max(in, pause)
	if p.State != sink.StatePendingSave {
		in = max(in, c.rate(p, at))
	}
	return in, ok
}

// left reports whether a process that is gone left a journal of p behind, which
// nobody has looked at since.
func (l *loop) left(c *charge, p sink.Profile, at time.Time) bool {
	switch {
	case !l.k.Store.Unfinished(p):
		c.journal = time.Time{}
	case c.journal.IsZero():
		c.journal = at
	}
	return !c.journal.IsZero() && at.Sub(c.journal) >= abandoned && c.finished < p.Generation && !c.flying
}

// rate says how long the rules on requests per time keep p from a renewal.
func (c *charge) rate(p sink.Profile, at time.Time) time.Duration {
	for len(c.starts) > 0 && at.Sub(c.starts[0]) >= time.Hour {
		c.starts = c.starts[1:]
	}
	n := len(c.starts)
	if n == 0 {
		return 0
	}
	wait := p.Margin(usualPause) - at.Sub(c.starts[n-1])
	if n >= hourly {
		wait = max(wait, time.Hour-at.Sub(c.starts[n-hourly]))
	}
	return wait
}

func (l *loop) needsNetwork(p sink.Profile) bool {
	o, err := l.k.oauthProvider(p.Provider)
	return p.State != sink.StatePendingSave && (err != nil || !onThisMachine(o))
}

// start sends a login on its flight.
func (l *loop) start(ctx context.Context, c *charge, p sink.Profile, at time.Time) {
	if p.State != sink.StatePendingSave {
		c.starts = append(c.starts, at)
	}
	if !c.journal.IsZero() {
		c.finished = p.Generation
	}
	c.flying = true
	l.flying++
	go func() { // Run waits for its landing
		l.landed <- landing{p.Ref, l.s.Do(ctx, p.Ref)}
	}()
}

// land takes note of how a flight went.
func (l *loop) land(r landing) {
	c := l.charges[r.ref]
	l.flying--
	c.flying = false
	at := time.Now()
	if r.err == nil { // and should that have changed nothing, this is no busy loop
		c.failures, c.notBefore = 0, at.Add(leastPause)
		return
	}
	c.notBefore = at.Add(min(retry(c.failures, at), longestPause))
	if p, err := l.k.Store.Profile(r.ref); err == nil && p.State == sink.StateMisconfigured {
		c.notBefore = at.Add(uselessPause)
	}
	c.failures++
	c.finished = 0
	if !errors.Is(r.err, context.Canceled) {
		l.k.Log.Debug("nobody asked, and it did not work", "profile", r.ref.ID, "agent", r.ref.Agent, "err", r.err)
	}
}

// RestoreMissing writes the entries of all agents' profile files anew that the
// keychain knows of and that are missing: the loop goes by these files. Its
// error joins those of the logins that could not be restored.
func (k *Keeper) RestoreMissing(ctx context.Context) error {
	refs, err := k.Store.Indexed(ctx)
	for _, ref := range refs {
		if _, e := k.Store.Profile(ref); errors.Is(e, sink.ErrMirrorMissing) || errors.Is(e, sink.ErrUnknownProfile) {
			err = errors.Join(err, k.Store.Restore(ctx, ref))
		}
	}
	return err
}
