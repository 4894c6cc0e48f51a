package keeper

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

const (
	// grace is how long after the first send a graceful server is taken at its
	// word.
	grace = 20 * time.Second
	// lastMinute of an access token is when a strict server's refresh token is
	// sent again: there is next to nothing left to lose.
	lastMinute = 60 * time.Second
	// maxSends of one refresh token, the first included.
	maxSends   = 6
	backoffMin = 30 * time.Second
	backoffMax = 15 * time.Minute
	retryMin   = 2 * time.Second
	// leastPause lies between any two requests for one login, usualPause between
	// those that nobody waits for.
	leastPause = 2 * time.Second
	usualPause = 30 * time.Second
	// doubtful refusals this far apart are taken at their word.
	secondStrike = time.Minute
)

// verdict is what to do about a refresh token that may have been spent already.
type verdict int

const (
	// send it (again).
	send verdict = iota
	// wait: it is too early; the old access token serves meanwhile.
	wait
	// giveUp: it has been sent often enough.
	giveUp
)

// resend decides whether a refresh token whose last send has no known outcome
// is sent again. Sending it twice is harmless where the server never got it or
// forgives repetition; elsewhere it may end the login, and with it an access
// token that still works. left is what remains of that token's life; asked says
// that a person wants it now.
func resend(policy provider.Policy, in sink.Intent, now time.Time, left time.Duration, asked bool) verdict {
	if in.Attempt == 0 {
		return send
	}
	if in.Attempt >= maxSends {
		return giveUp
	}
	if policy == provider.Graceful && now.Sub(in.First) < grace && in.Attempt < 3 {
		return send
	}
	if left > lastMinute && !asked {
		return wait
	}
	// A send in the future is one before the clock was set back.
	if in.Attempt > 1 && !in.Last.After(now) && now.Before(in.Last.Add(backoff(in.Attempt-2))) {
		return wait
	}
	return send
}

// backoff is the pause after the n-th resend, from 0.
func backoff(n int) time.Duration { return doubled(backoffMin, n) }

// retry is the pause after the n-th failure in a row, from 0, give or take half.
// The dice are thrown by the clock, so that a simulation can repeat it.
func retry(n int, now time.Time) time.Duration {
	dice := rand.New(rand.NewPCG(uint64(now.UnixNano()), uint64(n))) //nolint:gosec // jitter, not a secret
	d := doubled(retryMin, n)
	return d/2 + time.Duration(dice.Int64N(int64(d)))
}

func doubled(d time.Duration, n int) time.Duration {
	for range n {
		d = min(2*d, backoffMax)
	}
	return d
}

// early reports whether it is too early for another request, and says until
// when. usable says that the old access token still lives; asked that a person
// wants the request now, who waits for nothing but the least pause.
func early(p sink.Pace, c sink.Credential, now sink.Moment, usable, asked bool) (until time.Time, yes bool) {
	at := now.Wall
	if p.Last.After(at) {
		p = sink.Pace{} // the clock was set back: these times mean nothing
	}
	// How long ago the last request was; a renewal that succeeded was one too.
	quiet := now.Since(c.Minted)
	if !p.Last.IsZero() {
		quiet = min(quiet, at.Sub(p.Last))
	}
	until = at.Add(leastPause - quiet)
	if !asked && usable {
		until = at.Add(c.Margin(usualPause) - quiet)
	}
	if !asked && p.Next.After(until) {
		until = p.Next
	}
	return until, at.Before(until)
}

const (
	// farthest is how far ahead a time to try again may lie; one beyond it was
	// written before the clock was set back.
	farthest = 24 * time.Hour
	// jitter is the part of a lead by which it may be longer or shorter, in
	// percent.
	jitter = 20
)

// due says in how long there is work on p without anybody asking: its renewal,
// or to save what waits for the keychain. Ok is false where only a person can
// help, or nothing needs to be done.
func due(p sink.Profile, now sink.Moment, lead time.Duration) (in time.Duration, ok bool) {
	switch {
	case p.State == sink.StatePendingSave:
		return 0, true
	case p.Kind != sink.KindOAuth, p.Expires.IsZero(), p.State == sink.StateNeedsLogin, p.State == sink.StateForeignHost, p.State == sink.StateMoved:
		return 0, false
	}
	in = p.Left(now) - jittered(p, p.Margin(lead))
	if p.State == sink.StateRetrying {
		if until := p.Until.Sub(now.Wall); until < farthest {
			in = max(in, until)
		}
	}
	return max(in, 0), true
}

// jittered is a lead that differs from login to login and from one renewal to
// the next, so that logins made together are not renewed together for ever. It
// is the same at each look.
func jittered(p sink.Profile, lead time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q %d", p.Agent, p.ID, p.Generation) // a hash takes everything
	dice := rand.New(rand.NewPCG(h.Sum64(), 0))                    //nolint:gosec // jitter, not a secret
	return lead * time.Duration(100-jitter+dice.IntN(2*jitter+1)) / 100
}

// nearlyDue reports whether p is within the longest lead that jitter makes.
func nearlyDue(p sink.Profile, now sink.Moment, lead time.Duration) bool {
	return p.Left(now) <= p.Margin(lead)*(100+jitter)/100
}
