package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

// night is a machine in a synctest bubble on which a loop runs: real files, a
// keychain in memory, clocks that can be set and a network that can be away.
type night struct {
	t        *testing.T
	begun    time.Time
	offset   atomic.Int64 // of the wall clock
	asleep   atomic.Int64 // what the timers have missed
	offline  atomic.Bool
	looks    atomic.Int64 // at a profile file
	keychain sinktest.Keychain
	keeper   *keeper.Keeper
	schedule keeper.Schedule
	end      func()

	mu      sync.Mutex // guards all below
	starts  map[sink.Ref][]time.Duration
	aloft   int
	highest int
}

// countingDisk counts how often a profile file is read.
type countingDisk struct {
	sink.RealDisk
	n *night
}

func (d countingDisk) Read(path string, limit int64) ([]byte, error) {
	if filepath.Base(path) == "auth-profiles.json" {
		d.n.looks.Add(1)
	}
	return d.RealDisk.Read(path, limit)
}

func newNight(t *testing.T) *night {
	t.Helper()
	n := &night{t: t, begun: time.Now(), starts: map[sink.Ref][]time.Duration{}}
	base := t.TempDir()
	acme := provider.OAuth{
		Issuer: "https://acme.example", AuthorizationEndpoint: "https://acme.example/authorize", TokenEndpoint: "https://acme.example/token",
		ClientID: "c", Redirect: provider.Redirect{Path: "/callback"},
	}
	n.keeper = &keeper.Keeper{
		Store:     sink.OpenOn(filepath.Join(base, "root"), filepath.Join(base, "place"), &n.keychain, sink.Seams{Disk: countingDisk{n: n}, Locker: sink.RealLocker{}, Clock: n.now, Seed: 1}),
		Client:    &oauth.Client{Transport: endpoint{}},
		Providers: provider.Catalog{{ID: "acme", OAuth: &acme}},
		Log:       slog.New(slog.DiscardHandler),
		Clock:     n.now,
	}
	return n
}

// endpoint is a token endpoint that always says yes.
type endpoint struct{}

func (endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 3600}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (n *night) now() sink.Moment {
	asleep := time.Duration(n.asleep.Load())
	return sink.Moment{Wall: time.Now().Add(asleep + time.Duration(n.offset.Load())), Boot: "boot", Up: time.Since(n.begun) + asleep}
}

// login puts a login there whose access token lives for life.
func (n *night) login(agent, id string, life time.Duration) sink.Ref {
	n.t.Helper()
	ref := sink.Ref{Agent: agent, ID: id}
	if err := n.issue(n.t.Context(), ref, life); err != nil {
		n.t.Fatal(err)
	}
	return ref
}

func (n *night) issue(ctx context.Context, ref sink.Ref, life time.Duration) error {
	now := n.now()
	c := sink.Credential{
		Kind: sink.KindOAuth, Provider: "acme", Access: secret.New("at"), Refresh: secret.New("rt"),
		Life: sink.Life{Minted: now, Expires: now.Wall.Add(life)}, Pin: sink.Pin{Client: "c", TokenEndpoint: "https://acme.example/token"},
	}
	return n.keeper.Store.Update(ctx, ref, func(tx *sink.Tx) error { return tx.Received(c) })
}

// run starts the loop; do says what happens when it works on a login. The loop
// ends with the test, or with end.
func (n *night) run(do func(context.Context, sink.Ref) error) {
	n.schedule.Online = func() bool { return !n.offline.Load() }
	n.schedule.Do = func(ctx context.Context, ref sink.Ref) error {
		n.mu.Lock()
		n.starts[ref] = append(n.starts[ref], time.Since(n.begun))
		n.aloft++
		n.highest = max(n.highest, n.aloft)
		n.mu.Unlock()
		err := do(ctx, ref)
		n.mu.Lock()
		n.aloft--
		n.mu.Unlock()
		return err
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	over := make(chan error, 1)
	go func() { over <- n.keeper.Run(ctx, n.schedule) }()
	n.end = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			n.t.Errorf("Run = %v", err)
		}
	})
	n.t.Cleanup(n.end)
}

// renewing is a Do whose server grants life.
func (n *night) renewing(life time.Duration) func(context.Context, sink.Ref) error {
	return func(ctx context.Context, ref sink.Ref) error { return n.issue(ctx, ref, life) }
}

// started are the times at which work on a login began; on all without one.
func (n *night) started(refs ...sink.Ref) []time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []time.Duration
	for ref, at := range n.starts {
		if len(refs) == 0 || slices.Contains(refs, ref) {
			all = append(all, at...)
		}
	}
	slices.Sort(all)
	return all
}

func TestTheLoopRenewsAheadOfExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		refs := []sink.Ref{n.login("main", "acme:a", time.Hour), n.login("main", "acme:b", time.Hour), n.login("work", "acme:a", time.Hour)}
		n.run(n.renewing(time.Hour))
		time.Sleep(24 * time.Hour)
		different := map[time.Duration]bool{}
		for _, ref := range refs {
			last := time.Duration(0)
			for _, at := range n.started(ref) {
				if lead := time.Hour - (at - last); lead < 4*time.Minute || lead > 6*time.Minute {
					t.Errorf("%v was renewed %v before its end, want 5m give or take 20 %%", ref, lead)
				} else {
					different[lead.Round(time.Second)] = true
				}
				last = at
			}
			if got := len(n.started(ref)); got < 25 || got > 27 {
				t.Errorf("%v was renewed %d times in a day", ref, got)
			}
		}
		if len(different) < 10 {
			t.Errorf("%d different leads in a day: no jitter", len(different))
		}
	})
}

func TestAnIdleLoopHardlyTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		n.login("main", "acme:a", 24*time.Hour)
		n.run(n.renewing(time.Hour))
		synctest.Wait()
		n.looks.Store(0)
		time.Sleep(time.Hour)
		if got := n.looks.Load(); got < 59 || got > 120 {
			t.Errorf("%d turns in an idle hour, want one or two a minute", got)
		}
		if got := n.started(); len(got) != 0 {
			t.Errorf("worked at %v with nothing due", got)
		}
		n.end()
	})
}

// The machine sleeps for three hours and wakes without a network.
func TestAfterASleepTheWorkIsSpreadAndWaitsForTheNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
			n.login("main", "acme:"+id, time.Hour)
		}
		n.run(n.renewing(time.Hour))
		time.Sleep(10 * time.Minute)
		n.offline.Store(true)
		n.asleep.Store(int64(3 * time.Hour))
		time.Sleep(4 * time.Minute)
		if got := n.started(); len(got) != 0 {
			t.Fatalf("worked at %v without a network", got)
		}
		n.offline.Store(false)
		time.Sleep(time.Minute + time.Second)
		if got := n.started(); len(got) != 12 {
			t.Fatalf("%d of 12 logins were renewed within a minute of the network's return", len(got))
		}
		n.asleep.Add(int64(3 * time.Hour))
		time.Sleep(time.Minute + 6*time.Second)
		got := n.started()[12:]
		if len(got) != 12 {
			t.Fatalf("%d of 12 logins were renewed after the second sleep", len(got))
		}
		if over := got[11] - got[0]; over < time.Second || over > 5*time.Second {
			t.Errorf("the work after a sleep took %v, want it spread over up to 5s", over)
		}
	})
}

// TestAWayOutIsMissed: who keeps tokens fresh is told at once that nothing of that is
// possible, and when it is again; not for logins that need no network.
func TestAWayOutIsMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		var told []string
		n.schedule.Offline = func(yes bool) { told = append(told, fmt.Sprint(yes, time.Since(n.begun))) }
		ref := n.login("main", "acme:a", time.Hour)
		n.offline.Store(true)
		n.run(n.renewing(time.Hour))
		time.Sleep(10*time.Minute - time.Second)
		n.offline.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if want := []string{"true 0s", "false 10m0s"}; !slices.Equal(told, want) {
			t.Errorf("told of the network: %q, want %q", told, want)
		}
		n.offline.Store(true) // nothing is due for a while, and then it is
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(told) != 3 || !strings.HasPrefix(told[2], "true ") {
			t.Errorf("told of the network: %q", told)
		}
		if err := n.keeper.Store.Remove(t.Context(), ref, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(told) != 3 {
			t.Errorf("told that there is a network, %q, when the last login was signed out", told)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		n.schedule.Offline = func(yes bool) { t.Errorf("told of the network, %v, without a login", yes) }
		n.offline.Store(true)
		n.run(n.renewing(time.Hour))
		time.Sleep(time.Hour)
	})
}

// A wall clock that is set wrong costs at most one renewal each time, as does
// one that is set right again.
func TestAClockThatJumpsCausesNoStorm(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]time.Duration{"ahead": 365 * 24 * time.Hour, "back": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t)
				n.login("main", "acme:a", time.Hour)
				n.run(n.renewing(time.Hour))
				time.Sleep(10 * time.Minute)
				n.offset.Store(int64(offset))
				time.Sleep(30 * time.Minute)
				n.offset.Store(0)
				time.Sleep(20 * time.Minute)
				if got := n.started(); len(got) > 3 {
					t.Errorf("renewed at %v", got)
				}
				time.Sleep(5 * time.Hour)
				if got := len(n.started()); got < 5 || got > 8 {
					t.Errorf("%d renewals in six hours", got)
				}
			})
		})
	}
}

func TestTheLoopKeepsToItsRate(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*night) func(context.Context, sink.Ref) error{
		"tokens that live 10 s": func(n *night) func(context.Context, sink.Ref) error { return n.renewing(10 * time.Second) },
		"tokens that live 50 s": func(n *night) func(context.Context, sink.Ref) error { return n.renewing(50 * time.Second) },
		"nothing works": func(*night) func(context.Context, sink.Ref) error {
			return func(context.Context, sink.Ref) error { return errors.New("no") }
		},
		"nothing happens": func(*night) func(context.Context, sink.Ref) error {
			return func(context.Context, sink.Ref) error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t)
				n.login("main", "acme:a", 10*time.Second)
				n.run(do(n))
				time.Sleep(6 * time.Hour)
				starts := n.started()
				if len(starts) < 6*20 {
					t.Errorf("%d renewals in six hours: it gave up", len(starts))
				}
				for i, at := range starts {
					least := 5 * time.Second // half of the life
					if strings.Contains(name, "50") && i > 1 {
						least = 25 * time.Second
					}
					if i > 0 && name != "nothing works" && at-starts[i-1] < least {
						t.Fatalf("renewed at %v and %v", starts[i-1], at)
					}
					if i >= 40 && at-starts[i-40] < time.Hour {
						t.Fatalf("more than 40 renewals between %v and %v", starts[i-40], at)
					}
				}
			})
		})
	}
}

func TestTheLoopLeavesADeadLoginAloneUntilItIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		ref := n.login("main", "acme:a", time.Hour)
		n.run(func(ctx context.Context, ref sink.Ref) error {
			return n.keeper.Store.Update(ctx, ref, func(tx *sink.Tx) error {
				tx.Mark(sink.StateNeedsLogin, "invalid_grant", time.Time{})
				return &keeper.LoginRequiredError{Ref: ref, Reason: "invalid_grant"}
			})
		})
		time.Sleep(24 * time.Hour)
		if got := n.started(); len(got) != 1 {
			t.Errorf("worked on it at %v, want once", got)
		}
		n.login("main", "acme:a", time.Hour)
		time.Sleep(time.Hour)
		if got := n.started(ref); len(got) != 2 {
			t.Errorf("worked on it at %v, want once more after the new login", got)
		}
	})
}

func TestARefusedClientIsTriedOnceAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		n.login("main", "acme:a", time.Hour)
		n.run(func(ctx context.Context, ref sink.Ref) error {
			return n.keeper.Store.Update(ctx, ref, func(tx *sink.Tx) error {
				tx.Mark(sink.StateMisconfigured, "invalid_client", time.Time{})
				return keeper.ErrMisconfigured
			})
		})
		time.Sleep(24 * time.Hour)
		if got := len(n.started()); got < 23 || got > 25 {
			t.Errorf("%d tries in a day, want one an hour", got)
		}
	})
}

// The keychain is away when the answer arrives, and comes back hours later.
func TestTheLoopSavesWhenTheKeychainIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		ref := n.login("main", "acme:a", time.Hour)
		n.keychain.SetFault(func(op sinktest.Op) sinktest.Fault {
			if op.Verb == "set" {
				return sinktest.NotApplied
			}
			return sinktest.None
		})
		n.run(n.keeper.Renew)
		state := func() sink.Profile {
			p, err := n.keeper.Store.Profile(ref)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		time.Sleep(59 * time.Minute)
		if p := state(); p.State != sink.StatePendingSave {
			t.Fatalf("state = %s, want pending_save", p.State)
		}
		if err := n.keeper.Renew(t.Context(), ref); !errors.Is(err, sink.ErrNotSaved) {
			t.Errorf("Renew = %v, want ErrNotSaved", err)
		}
		n.offline.Store(true) // it does not matter for saving
		before := len(n.started())
		time.Sleep(6 * time.Hour)
		if got := len(n.started()) - before; got < 6*20 || got > 6*40 {
			t.Errorf("%d tries to save in six hours", got)
		}
		n.keychain.SetFault(nil)
		time.Sleep(2*time.Minute + time.Second)
		if p := state(); p.State != sink.StateOK || p.Generation != 3 { // saved, and renewed as it had expired
			t.Errorf("two minutes after the keychain came back: %s, generation %d", p.State, p.Generation)
		}
	})
}

func TestTheLoopFinishesWhatADeadProcessLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		ref := n.login("main", "acme:a", 24*time.Hour)
		dead := errors.New("dead")
		if err := n.keeper.Store.Update(t.Context(), ref, func(tx *sink.Tx) error { return errors.Join(tx.Sending(), dead) }); !errors.Is(err, dead) {
			t.Fatal(err)
		}
		n.run(n.keeper.Renew)
		time.Sleep(10 * time.Hour)
		if got := n.started(); len(got) != 1 || got[0] > 4*time.Minute {
			t.Errorf("looked after it at %v, want once and soon", got)
		}
	})
}

func TestTheEndOfTheLoopWaitsForItsFlights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			n.login("main", "acme:"+id, 2*time.Minute)
		}
		landed := atomic.Int64{}
		n.run(func(context.Context, sink.Ref) error {
			time.Sleep(30 * time.Second) // at stake: it does not obey
			landed.Add(1)
			return nil
		})
		time.Sleep(75 * time.Second)
		n.end()
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.highest != 4 || n.aloft != 0 || int(landed.Load()) != len(n.starts) || len(n.starts) == 6 {
			t.Errorf("%d at once, %d still aloft, %d of %d landed", n.highest, n.aloft, landed.Load(), len(n.starts))
		}
	})
}

func TestWakeLetsTheLoopLookAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		wake := make(chan struct{})
		n.schedule.Wake = wake
		n.run(n.renewing(time.Hour))
		time.Sleep(90 * time.Second)
		ref := n.login("main", "acme:a", 0)
		select {
		case wake <- struct{}{}:
		case <-time.After(time.Hour):
			t.Fatal("the loop does not listen")
		}
		synctest.Wait()
		if got := n.started(ref); len(got) != 1 || got[0] != 90*time.Second {
			t.Errorf("worked at %v, want at once", got)
		}
	})
}

func TestRenewSendsNothingThatIsNotDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		ref := n.login("main", "acme:a", time.Hour)
		for _, c := range []struct {
			after time.Duration
			want  uint64
		}{{30 * time.Minute, 1}, {23 * time.Minute, 1}, {90 * time.Second, 2}, {time.Second, 2}} {
			time.Sleep(c.after)
			if err := n.keeper.Renew(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			if p, err := n.keeper.Store.Profile(ref); err != nil || p.Generation != c.want {
				t.Errorf("after %v: generation %d, %v, want %d", c.after, p.Generation, err, c.want)
			}
		}
	})
}

// A function that says yes and saves nothing costs no busy loop.
func TestTheLoopIsNeverBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t)
		ref := n.login("main", "acme:a", time.Hour)
		err := n.keeper.Store.Update(t.Context(), ref, func(tx *sink.Tx) error {
			tx.Mark(sink.StatePendingSave, "", time.Time{})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		n.run(func(context.Context, sink.Ref) error { return nil })
		time.Sleep(time.Minute)
		if got := len(n.started()); got < 20 || got > 31 {
			t.Errorf("%d calls in a minute", got)
		}
	})
}
