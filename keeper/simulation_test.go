package keeper_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

var (
	simRuns  = flag.Int("sim.runs", 2000, "how many random simulations to run")
	simSeed  = flag.Uint64("sim.seed", 0, "run the random simulation of this seed alone, and print its trace")
	simFirst = flag.Uint64("sim.first", 1, "the first seed")
)

// simID is the profile that both agents have, each with a login of its own.
const simID = "acme:default"

var simAgents = []string{"main", "work"}

// an act is what a process does at one time, for an agent.
type act struct {
	after time.Duration
	name  string
	agent string
	do    func(p *proc, ref sink.Ref) error
}

func useToken(p *proc, ref sink.Ref) error {
	profile, err := p.keeper.Store.Profile(ref)
	if err != nil {
		if err := p.keeper.Store.Restore(context.Background(), ref); err != nil {
			return err
		}
		if profile, err = p.keeper.Store.Profile(ref); err != nil {
			return err
		}
	}
	t, err := p.keeper.Token(context.Background(), profile, 0)
	if err == nil && t.Access.Empty() {
		p.hold()
		defer p.done()
		p.w.violation("a token was handed out that is none")
	}
	return err
}

func askRefresh(p *proc, ref sink.Ref) error {
	profile, err := p.keeper.Store.Profile(ref)
	if err != nil {
		return err
	}
	p.asked = profile.Generation
	defer func() { p.asked = 0 }()
	_, err = p.keeper.Refresh(context.Background(), profile)
	return err
}

func signIn(p *proc, ref sink.Ref) error {
	p.hold()
	c := p.w.server.login()
	p.done()
	return p.keeper.Store.Update(context.Background(), ref, func(tx *sink.Tx) error { return tx.Received(c) })
}

func signOut(p *proc, ref sink.Ref) error {
	p.hold()
	p.w.mayBeOut[ref.Agent] = true // also when we are killed: the next process finishes it
	key := p.w.keyOf(ref.Agent)
	p.done()
	_, _, err := p.keeper.Logout(context.Background(), ref, false)
	p.hold()
	defer p.done()
	for name := range p.w.items {
		if err == nil && key != "" && strings.HasPrefix(name, key) {
			p.w.violation("I14: %s is left after logout", short(name))
		}
	}
	return err
}

func (p *proc) note(format string, args ...any) {
	p.hold()
	defer p.done()
	p.w.note(format, args...)
}

// live runs a process through its acts. Killed, it starts again with the next.
func (w *world) live(p *proc, acts []act) {
	for _, a := range acts {
		time.Sleep(a.after)
		p = w.attempt(p, a)
	}
}

func (w *world) attempt(p *proc, a act) (next *proc) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case errKilled:
			w.mu.Lock()
			defer w.mu.Unlock()
			next = w.start(p.pid)
		default:
			panic(r)
		}
	}()
	if a.agent == "" {
		a.agent = simAgents[0]
	}
	p.note("     p%d %s of %s", p.pid, a.name, a.agent)
	p.ref = sink.Ref{Agent: a.agent, ID: simID}
	err := a.do(p, p.ref)
	p.note("     p%d %s: %v", p.pid, a.name, err)
	return p
}

// settle lets all faults end and asks what became of the logins: each works, or
// it needs a person for a reason that is not the engine's.
func (w *world) settle() {
	w.quiet = true
	time.Sleep(simLife) // whatever was handed out is dead
	for _, agent := range simAgents {
		w.settleAgent(w.start(99), agent)
	}
	for path := range w.files {
		if strings.Contains(path, ".journal") && !w.server.lostAny() {
			w.violation("%s is left in the end", base(path))
		}
	}
}

func (w *world) settleAgent(p *proc, agent string) {
	var last error
	a := act{name: "settle", agent: agent, do: func(p *proc, ref sink.Ref) error { last = useToken(p, ref); return last }}
	for range 20 { // beyond every backoff
		time.Sleep(simLife / 2)
		w.attempt(p, a)
		if last == nil || errors.Is(last, sink.ErrUnknownProfile) {
			break
		}
	}
	required, ok := errors.AsType[*keeper.LoginRequiredError](last)
	switch {
	case w.mayBeOut[agent] && errors.Is(last, sink.ErrUnknownProfile):
		w.gone[agent] = true
	case ok && w.server.lostAny():
	case ok:
		w.violation("I4/I9: %s's login is gone (%s), and no answer was lost", agent, required.Reason)
	case last != nil:
		w.violation("I11: no token for %s in the end: %v", agent, last)
	default:
		w.checkToken(p, sink.Ref{Agent: agent, ID: simID})
	}
}

func (w *world) checkToken(p *proc, ref sink.Ref) {
	profile, err := p.keeper.Store.Profile(ref)
	if err != nil {
		w.violation("no profile in the end: %v", err)
		return
	}
	t, err := p.keeper.Token(context.Background(), profile, 0)
	if err != nil {
		w.violation("no token in the end: %v", err)
		return
	}
	if until, known := w.server.access[t.Access.Reveal()]; !known || time.Now().After(until) {
		w.violation("the token in the end does not work at the server")
	}
}

// simulate runs acts of several processes in a world and returns it.
func simulate(t *testing.T, seed uint64, policy provider.Policy, plan map[int]fault, procs [][]act, prepare func(*world)) *world {
	t.Helper()
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(seed, policy)
		w.plan = plan
		first := w.start(1)
		w.quiet = true
		for _, agent := range simAgents {
			if err := signIn(first, sink.Ref{Agent: agent, ID: simID}); err != nil {
				t.Fatalf("first login: %v", err)
			}
		}
		w.steps, w.kinds, w.quiet = 0, nil, false
		if prepare != nil {
			prepare(w)
		}
		done := make(chan struct{})
		running := make([]*proc, len(procs))
		for i := range procs {
			running[i] = w.start(i + 1)
		}
		for i, p := range running {
			go func() {
				// Never two at one instant: they would run at once, and in any order.
				time.Sleep(time.Duration(i) * time.Microsecond)
				w.live(p, procs[i])
				done <- struct{}{}
			}()
		}
		for range procs {
			<-done
		}
		w.settle()
	})
	return w
}

func report(t *testing.T, w *world, name string) {
	t.Helper()
	if len(w.violations) == 0 {
		return
	}
	t.Errorf("%s: %s\n%s", name, strings.Join(w.violations, "; "), strings.Join(w.trace, "\n"))
}

// twoRenewals is a process that renews twice, as its token ages.
func twoRenewals() []act {
	return []act{
		{7 * time.Minute, "token", "", useToken},
		{6 * time.Minute, "token", "", useToken},
		{time.Minute, "token", "", useToken},
	}
}

// manyRenewals is a busier one, that also asks.
func manyRenewals() []act {
	acts := []act{{7*time.Minute + time.Millisecond, "token", "", useToken}, {6 * time.Minute, "refresh", "", askRefresh}}
	for range 4 {
		acts = append(acts, act{6 * time.Minute, "token", "", useToken})
	}
	return acts
}

// TestSimulationEachFaultAtEachStep tries every fault at every step of two
// renewals, alone and with a second process beside.
func TestSimulationEachFaultAtEachStep(t *testing.T) {
	runs := 0
	for _, policy := range []provider.Policy{provider.Strict, provider.Graceful} {
		for _, beside := range []bool{false, true} {
			procs := [][]act{twoRenewals()}
			if beside {
				procs = append(procs, manyRenewals())
			}
			calm := simulate(t, 1, policy, nil, procs, nil)
			report(t, calm, "no fault")
			for i, kind := range calm.kinds {
				for _, f := range faultsOf(kind) {
					if runs++; raceEnabled && runs%10 != 0 {
						continue // all of them run without the race detector
					}
					w := simulate(t, 1, policy, map[int]fault{i + 1: f}, procs, nil)
					report(t, w, fmt.Sprintf("%s, beside %v: %s at step %d (%s)", policy, beside, f, i+1, kind))
				}
				if t.Failed() {
					return
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

// TestSimulationSignOut tries every fault at every step of a sign-out, with a second
// process that wants tokens beside it. In the end the login works, or it is gone
// and the provider knows, unless that is what failed.
func TestSimulationSignOut(t *testing.T) {
	procs := [][]act{{{time.Minute, "token", "", useToken}, {6 * time.Minute, "sign out", "", signOut}}, twoRenewals()}
	calm := simulate(t, 1, provider.Strict, nil, procs, nil)
	report(t, calm, "no fault")
	if !slices.Contains(calm.kinds, "revoke") || !calm.gone[simAgents[0]] {
		t.Fatalf("the sign-out did not take place: %v", calm.kinds)
	}
	runs := 0
	for i, kind := range calm.kinds {
		for _, f := range faultsOf(kind) {
			if runs++; raceEnabled && runs%10 != 0 {
				continue
			}
			w := simulate(t, 1, provider.Strict, map[int]fault{i + 1: f}, procs, nil)
			name := fmt.Sprintf("%s at step %d (%s)", f, i+1, kind)
			report(t, w, name)
			if w.gone[simAgents[0]] && !w.server.logins[0].revoked && !slices.Contains(serverFaults, f) {
				t.Errorf("%s: the provider was never told\n%s", name, strings.Join(w.trace, "\n"))
			}
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d runs", runs)
}

func faultsOf(kind string) []fault {
	switch kind {
	case "get", "barrier":
		return slices.Concat(killFaults, keychainFaults)
	case "set", "delete":
		return slices.Concat(killFaults, keychainFaults, writeFaults)
	case "fill":
		return slices.Concat(killFaults, diskFaults, []fault{fullLocked})
	case "connect":
		return slices.Concat(killFaults, []fault{asDial})
	case "post", "revoke":
		return slices.Concat(killFaults, serverFaults)
	default:
		return slices.Concat(killFaults, diskFaults)
	}
}

// TestSimulationRandom runs two to four processes with up to four faults, clock
// jumps and a locked keychain, by seed.
func TestSimulationRandom(t *testing.T) {
	if *simSeed != 0 {
		w := random(t, *simSeed)
		t.Log("\n" + strings.Join(w.trace, "\n"))
		report(t, w, fmt.Sprintf("seed %d", *simSeed))
		return
	}
	runs := *simRuns
	if raceEnabled {
		runs /= 10
	}
	for seed := *simFirst; seed < *simFirst+uint64(runs); seed++ {
		w := random(t, seed)
		if len(w.violations) == 0 {
			continue
		}
		needed, small := shrink(t, seed, w.parts)
		report(t, small, fmt.Sprintf("seed %d, needing only [%s]", seed, strings.Join(needed, "; ")))
		t.Fatalf("again with: go test ./keeper -run SimulationRandom -sim.seed %d -v", seed)
	}
}

// random is the run of a seed, without those of its parts that are dropped: the
// faults, by step, and what happens to the whole world.
func random(t *testing.T, seed uint64, dropped ...string) *world {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 2))
	policy := []provider.Policy{provider.Strict, provider.Strict, provider.Graceful, simKeeps}[dice.IntN(4)]
	var procs [][]act
	for range 2 + dice.IntN(3) {
		procs = append(procs, randomActs(dice))
	}
	var parts []string
	part := func(name string) (keep bool) {
		parts = append(parts, name)
		return !slices.Contains(dropped, name)
	}
	plan := map[int]fault{}
	all := slices.Concat(killFaults, killFaults, keychainFaults, writeFaults, diskFaults, serverFaults, []fault{fullLocked})
	for range dice.IntN(5) {
		step, f := 1+dice.IntN(150), all[dice.IntN(len(all))]
		if part(fmt.Sprintf("%s at step %d", f, step)) {
			plan[step] = f
		}
	}
	w := simulate(t, seed, policy, plan, procs, func(w *world) {
		happens := func(name string, latest, longest time.Duration, do func(length time.Duration)) {
			yes, at, long := dice.IntN(4) == 0, time.Duration(dice.Int64N(int64(latest))), time.Duration(dice.Int64N(int64(longest)))
			if yes && part(name) {
				w.at(at, func() { w.note("     %s: %s", name, long); do(long) })
			}
		}
		scale := int64(1)
		if dice.IntN(3) == 0 {
			scale = 365 * 24
		}
		happens("the clock is set forward", 30*time.Minute, 30*time.Minute, func(d time.Duration) { w.offset += time.Duration(scale * int64(d)) })
		happens("the clock is set back", 30*time.Minute, 30*time.Minute, func(d time.Duration) { w.offset -= time.Duration(scale * int64(d)) })
		happens("the keychain is locked", 20*time.Minute, 15*time.Minute, func(d time.Duration) { w.locked = w.wall().Add(d) })
		happens("the keychain takes no writes", 20*time.Minute, 25*time.Minute, func(d time.Duration) { w.frozen = w.wall().Add(d) })
	})
	w.parts = parts
	return w
}

// shrink finds parts of a failing run without which it still fails, and returns
// what is needed, and the run of that alone.
func shrink(t *testing.T, seed uint64, parts []string) (needed []string, w *world) {
	t.Helper()
	var dropped []string
	for _, p := range parts {
		if len(random(t, seed, append(slices.Clone(dropped), p)...).violations) > 0 {
			dropped = append(dropped, p)
		} else {
			needed = append(needed, p)
		}
	}
	return needed, random(t, seed, dropped...)
}

func randomActs(dice *rand.Rand) []act {
	var acts []act
	for range 2 + dice.IntN(4) {
		a := act{time.Duration(dice.Int64N(int64(8 * time.Minute))), "token", simAgents[0], useToken}
		if dice.IntN(4) == 0 {
			a.agent = simAgents[1]
		}
		switch n := dice.IntN(20); {
		case n == 0:
			a.name, a.do = "sign in", signIn
		case n == 1:
			a.name, a.do = "sign out", signOut
		case n < 5:
			a.name, a.do = "refresh", askRefresh
		}
		acts = append(acts, a)
	}
	return acts
}
