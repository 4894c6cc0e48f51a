package keeper

import (
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
	if in.Attempt > 1 && now.Before(in.Last.Add(backoff(in.Attempt-2))) {
		return wait
	}
	return send
}

// backoff is the pause after the n-th resend, from 0.
func backoff(n int) time.Duration {
	d := backoffMin
	for range n {
		d = min(2*d, backoffMax)
	}
	return d
}
