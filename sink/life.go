package sink

import (
	"math"
	"time"

	"github.com/keytray/keytray/machine"
)

// Moment is a point in time on two clocks: the wall's, which people and servers
// share and which may be set, and the machine's own, which only ever goes on,
// through suspend too, and begins anew with each boot.
type Moment struct {
	Wall time.Time
	// Boot names the run of the machine that Up counts; empty if not known.
	Boot string
	Up   time.Duration
}

// Now is the present moment.
func Now() Moment {
	boot, up := machine.Uptime()
	return Moment{time.Now().Round(0), boot, up} // without the timer clock, which a sleep stops
}

// Since is how much time passed from before to m: the longer of what the two
// clocks say, as a token that may have expired is treated as expired.
func (m Moment) Since(before Moment) time.Duration {
	passed := m.Wall.Sub(before.Wall)
	if m.Boot != "" && m.Boot == before.Boot {
		return max(passed, m.Up-before.Up)
	}
	return passed
}

// Life is when an access token was asked for and when it ends.
type Life struct {
	// Minted is the moment before the request was sent.
	Minted Moment
	// Expires is zero when nobody said.
	Expires time.Time
}

// Left is how long the token still lives, 0 or less when it does not, and for
// ever when its end is unknown.
func (l Life) Left(now Moment) time.Duration {
	if l.Expires.IsZero() {
		return math.MaxInt64
	}
	left := l.Expires.Sub(now.Wall)
	if l.Minted.Wall.IsZero() {
		return left
	}
	return min(left, l.Whole()-now.Since(l.Minted))
}

// Whole is the token's life from mint to end; 0 when not known.
func (l Life) Whole() time.Duration {
	if l.Expires.IsZero() || l.Minted.Wall.IsZero() {
		return 0
	}
	return l.Expires.Sub(l.Minted.Wall)
}

// Margin is how long before its end the token counts as due: lead, but at most
// half of its life.
func (l Life) Margin(lead time.Duration) time.Duration {
	if whole := l.Whole(); whole > 0 {
		return min(lead, whole/2)
	}
	return lead
}

// lifeRecord is the stored form: Unix milliseconds, and milliseconds of uptime.
type lifeRecord struct {
	Minted  int64  `json:"minted,omitempty"`
	Boot    string `json:"boot,omitempty"`
	Up      int64  `json:"up,omitempty"`
	Expires int64  `json:"expires,omitempty"`
}

func (l Life) record() lifeRecord {
	return lifeRecord{millis(l.Minted.Wall), l.Minted.Boot, l.Minted.Up.Milliseconds(), millis(l.Expires)}
}

func (r lifeRecord) life() Life {
	return Life{Moment{fromMillis(r.Minted), r.Boot, time.Duration(r.Up) * time.Millisecond}, fromMillis(r.Expires)}
}
