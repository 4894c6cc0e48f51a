package route

import (
	"maps"
	"slices"
	"time"
)

// Usage is what is remembered of a login's use, in the names and numbers of
// OpenClaw's usageStats: times are Unix milliseconds, 0 for never.
type Usage struct {
	LastUsed       int64          `json:"lastUsed,omitempty"`
	CooldownUntil  int64          `json:"cooldownUntil,omitempty"`
	CooldownReason string         `json:"cooldownReason,omitempty"`
	CooldownModel  string         `json:"cooldownModel,omitempty"`
	DisabledUntil  int64          `json:"disabledUntil,omitempty"`
	DisabledReason string         `json:"disabledReason,omitempty"`
	BlockedUntil   int64          `json:"blockedUntil,omitempty"`
	BlockedReason  string         `json:"blockedReason,omitempty"`
	ErrorCount     int            `json:"errorCount,omitempty"`
	FailureCounts  map[string]int `json:"failureCounts,omitempty"`
	LastFailureAt  int64          `json:"lastFailureAt,omitempty"`
}

// Failure is why a request that used a login failed.
type Failure string

// The failures that callers may report.
const (
	RateLimit Failure = "rate_limit"
	Auth      Failure = "auth"
	Billing   Failure = "billing"
	Timeout   Failure = "timeout"
)

// Failures are all of them.
func Failures() []Failure { return []Failure{RateLimit, Auth, Billing, Timeout} }

// forgetting is how long after its last failure, or the rest that followed, a
// login's past counts no more.
const forgetting = 24 * time.Hour

// steady reports whether a provider's logins never rest: it spreads requests
// over its own suppliers.
func steady(provider string) bool {
	return slices.ContainsFunc([]string{"openrouter", "kilocode"}, func(p string) bool { return SameProvider(p, provider) })
}

// Failed is u after a failure at now. A login rests longer each time it fails
// again after a rest; failures during a rest are the same one, seen by others,
// and neither lengthen it nor count. Model, if it is not empty, is the one that
// a rate limit or a timeout is about.
func (u Usage) Failed(f Failure, provider, model string, now time.Time) Usage {
	if steady(provider) {
		return u
	}
	ms := now.UnixMilli()
	if now.Sub(time.UnixMilli(max(u.LastFailureAt, u.CooldownUntil, u.DisabledUntil))) >= forgetting {
		u.ErrorCount, u.FailureCounts = 0, nil
	}
	u.LastFailureAt = ms
	if f == Billing {
		if u.DisabledUntil > ms {
			return u
		}
		u = u.counted(f)
		u.DisabledUntil, u.DisabledReason = ms+f.rest(u.FailureCounts[string(f)]).Milliseconds(), string(f)
		return u
	}
	if u.CooldownUntil > ms {
		if u.CooldownModel != model {
			u.CooldownModel = "" // more than one model is concerned
		}
		return u
	}
	u = u.counted(f)
	if f != RateLimit && f != Timeout {
		model = ""
	}
	u.CooldownUntil, u.CooldownReason, u.CooldownModel = ms+f.rest(u.errors(f)).Milliseconds(), string(f), model
	return u
}

func (u Usage) counted(f Failure) Usage {
	u.FailureCounts = maps.Clone(u.FailureCounts)
	if u.FailureCounts == nil {
		u.FailureCounts = map[string]int{}
	}
	u.FailureCounts[string(f)]++
	u.ErrorCount++
	return u
}

// errors is the count that lengthens a rest.
func (u Usage) errors(f Failure) int {
	if f == RateLimit {
		return u.FailureCounts[string(f)]
	}
	return u.ErrorCount
}

// rest is how long a login rests after its nth failure.
func (f Failure) rest(n int) time.Duration {
	switch f {
	case RateLimit:
		return doubled(30*time.Second, n, 24*time.Hour)
	case Billing:
		return doubled(10*time.Minute, n, 24*time.Hour)
	}
	switch n {
	case 1:
		return 30 * time.Second
	case 2:
		return time.Minute
	default:
		return 5 * time.Minute
	}
}

// doubled is d for the first time, then twice as long each time, up to most.
func doubled(d time.Duration, n int, most time.Duration) time.Duration {
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// Worked is u after a success at now: nothing speaks against the login any more.
func (u Usage) Worked(now time.Time) Usage { return Usage{LastUsed: now.UnixMilli()} }

// Rest is until when the login rests and what for: the zero time if it does not,
// or not for this model.
func (u Usage) Rest(model string, now time.Time) (until time.Time, cause string) {
	latest := now.UnixMilli()
	if u.DisabledUntil > latest {
		latest, cause = u.DisabledUntil, u.DisabledReason
	}
	if u.BlockedUntil > latest {
		latest, cause = u.BlockedUntil, u.BlockedReason
	}
	if u.CooldownUntil > latest && (model == "" || u.CooldownModel == "" || u.CooldownModel == model) {
		latest, cause = u.CooldownUntil, u.CooldownReason
	}
	if latest == now.UnixMilli() {
		return time.Time{}, ""
	}
	return time.UnixMilli(latest), cause
}
