package route_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/keytray/keytray/route"
)

var now = time.UnixMilli(1790000000000)

// someCase makes up logins, rules and a question.
func someCase(r *rand.Rand) ([]route.Login, route.Rules, route.Question) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	provider := func() string { return pick("acme", "acme", "acme", "other") }
	id := func() string { return fmt.Sprintf("acme:%d", r.IntN(9)) }
	ids := func() []string {
		var some []string
		for range r.IntN(6) {
			some = append(some, id())
		}
		return some
	}
	var logins []route.Login
	rules := route.Rules{Usage: map[string]route.Usage{}}
	for _, i := range r.Perm(8)[:r.IntN(9)] {
		l := route.Login{ID: fmt.Sprintf("acme:%d", i), Provider: provider(), Type: route.Type(pick("oauth", "token", "api_key")), Ours: true}
		l.Fault = route.Reason(pick("", "", "", "needs_login", "another_program"))
		if r.IntN(3) == 0 {
			l.Expires = now.Add(time.Duration(r.IntN(7)-3) * time.Hour)
		}
		logins = append(logins, l)
		var u route.Usage
		for range r.IntN(4) {
			at := now.Add(-time.Duration(r.IntN(60)) * time.Second)
			u = u.Failed(route.Failures()[r.IntN(4)], "acme", pick("", "large"), at)
			if r.IntN(3) == 0 {
				u = u.Worked(at)
			}
		}
		rules.Usage[l.ID] = u
	}
	if r.IntN(3) == 0 {
		rules.Order = ids()
	}
	if r.IntN(3) == 0 {
		rules.Config.Order = []route.ConfigOrder{{Provider: pick("acme", "Acme", "other"), IDs: ids()}}
	}
	for range r.IntN(3) {
		rules.Config.Profiles = append(rules.Config.Profiles, route.ConfigProfile{ID: id(), Provider: provider(), Mode: pick("oauth", "token", "api_key")})
	}
	return logins, rules, route.Question{Provider: "acme", Model: pick("", "large", "small"), Pin: pick("", "", id()), Now: now}
}

// TestWhateverIsAsked checks what holds for every question.
func TestWhateverIsAsked(t *testing.T) {
	cases := uint64(20000)
	if testing.Short() {
		cases = 2000
	}
	for seed := range cases {
		logins, rules, q := someCase(rand.New(rand.NewPCG(seed, 1)))
		c, ok := route.Choose(logins, rules, q)
		again, _ := route.Choose(slices.Clone(logins), rules, q)
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("seed %d: two answers: %+v, %+v", seed, c, again)
		}
		if problem := check(logins, q, c, ok); problem != "" {
			t.Fatalf("seed %d: %s\nlogins %+v\nrules %+v\nquestion %+v\nchoice %+v", seed, problem, logins, rules, q, c)
		}
	}
}

func check(logins []route.Login, q route.Question, c route.Choice, ok bool) string {
	mentioned := map[string]int{}
	for _, o := range c.Others {
		mentioned[o.ID]++
		if o.Reason == "" || o.Sentence(now) == "" {
			return o.ID + " was passed over without a reason"
		}
		if ok && c.Why != route.Pinned && c.Reason != "" && o.Reason == route.Later {
			return o.ID + " could have been used at once"
		}
	}
	if ok {
		mentioned[c.ID]++
	}
	for _, l := range logins {
		if mentioned[l.ID] != 1 {
			return fmt.Sprintf("%s is mentioned %d times", l.ID, mentioned[l.ID])
		}
		if l.ID != c.ID || !ok {
			continue
		}
		if !route.SameProvider(l.Provider, q.Provider) || l.Fault == route.AnotherProgram {
			return l.ID + " must not be chosen"
		}
		if l.ID == q.Pin != (c.Why == route.Pinned) {
			return l.ID + " is pinned or not, and that is not why"
		}
	}
	if ok && (c.Sentence(now) == "" || mentioned[c.ID] != 1) {
		return "the choice is no login, or has no reason"
	}
	return ""
}

// The default order goes round: whoever reports its successes uses one after the
// other.
func TestTheDefaultOrderGoesRound(t *testing.T) {
	logins := []route.Login{{ID: "a", Provider: "p", Type: route.OAuth}, {ID: "k", Provider: "p", Type: route.APIKey}, {ID: "b", Provider: "p", Type: route.OAuth}}
	rules := route.Rules{Usage: map[string]route.Usage{}}
	var got []string
	for i := range 4 {
		c, _ := route.Choose(logins, rules, route.Question{Provider: "p", Now: now})
		got = append(got, c.ID)
		rules.Usage[c.ID] = rules.Usage[c.ID].Worked(now.Add(time.Duration(i+1) * time.Second))
	}
	if want := []string{"a", "b", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("used %q, want %q", got, want)
	}
}

func TestRests(t *testing.T) {
	const h = time.Hour
	for f, want := range map[route.Failure][]time.Duration{
		route.RateLimit: {30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute},
		route.Auth:      {30 * time.Second, time.Minute, 5 * time.Minute, 5 * time.Minute},
		route.Timeout:   {30 * time.Second, time.Minute, 5 * time.Minute, 5 * time.Minute},
		route.Billing:   {10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 640 * time.Minute, 1280 * time.Minute, 24 * h, 24 * h},
	} {
		var u route.Usage
		at := now
		for n, rest := range want {
			u = u.Failed(f, "acme", "", at)
			until := at.Add(rest)
			for range 3 { // others see the same failure
				if again := u.Failed(f, "acme", "", at.Add(time.Second)); again.ErrorCount != n+1 || max(again.CooldownUntil, again.DisabledUntil) != until.UnixMilli() {
					t.Errorf("%s: a failure during a rest changed it: %+v", f, again)
				}
			}
			if got := max(u.CooldownUntil, u.DisabledUntil); got != until.UnixMilli() {
				t.Errorf("%s %d: rests until %d, want %v", f, n+1, got-at.UnixMilli(), rest)
			}
			at = until
		}
		if w := u.Worked(at); !reflect.DeepEqual(w, route.Usage{LastUsed: at.UnixMilli()}) {
			t.Errorf("%s: a success leaves %+v", f, w)
		}
		u = u.Failed(f, "acme", "", at.Add(24*h))
		if u.ErrorCount != 1 || u.FailureCounts[string(f)] != 1 {
			t.Errorf("%s: after a day without failure %+v", f, u)
		}
	}
	if u := (route.Usage{}).Failed(route.RateLimit, "OpenRouter", "", now); !reflect.DeepEqual(u, route.Usage{}) {
		t.Errorf("a login of OpenRouter rests: %+v", u)
	}
}

// The usage of a login is a value: nobody else's copy changes.
func TestFailedChangesNoCopy(t *testing.T) {
	u := (route.Usage{}).Failed(route.Auth, "p", "", now)
	_ = u.Failed(route.Auth, "p", "", now.Add(time.Hour))
	if u.FailureCounts["auth"] != 1 {
		t.Errorf("a copy counts %d failures, want 1", u.FailureCounts["auth"])
	}
}

func TestARestForOneModel(t *testing.T) {
	logins := []route.Login{{ID: "a", Provider: "p"}}
	rests := func(u route.Usage, model string) bool {
		c := route.Rank(logins, route.Rules{Usage: map[string]route.Usage{"a": u}}, route.Question{Provider: "p", Model: model, Now: now})
		return c[0].Reason == route.Resting
	}
	u := (route.Usage{}).Failed(route.RateLimit, "p", "large", now)
	if !rests(u, "large") || rests(u, "small") || !rests(u, "") {
		t.Errorf("%+v rests for the wrong model", u)
	}
	u = u.Failed(route.RateLimit, "p", "small", now)
	if !rests(u, "large") || !rests(u, "small") {
		t.Errorf("%+v rests for one model, want both", u)
	}
	if u = (route.Usage{}).Failed(route.Auth, "p", "large", now); !rests(u, "small") {
		t.Errorf("%+v rests for one model; what was refused is the login", u)
	}
	if u = (route.Usage{BlockedUntil: now.UnixMilli() + 1, BlockedReason: "subscription_limit"}); !rests(u, "small") {
		t.Errorf("%+v does not rest", u)
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{100, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(5, 6))
			var logins []route.Login
			usage := map[string]route.Usage{}
			for i := range n {
				l := route.Login{ID: fmt.Sprintf("acme:%d", i), Provider: "acme", Type: route.OAuth, Ours: true}
				logins = append(logins, l)
				usage[l.ID] = route.Usage{LastUsed: r.Int64N(1000)}
			}
			for b.Loop() {
				route.Choose(logins, route.Rules{Usage: usage}, route.Question{Provider: "acme", Now: now})
			}
		})
	}
}

// What OpenClaw's answers do not cover, from its rules.
func TestWhatIsConfigured(t *testing.T) {
	a, b := route.Login{ID: "p:a", Provider: "p", Type: route.OAuth}, route.Login{ID: "p:b", Provider: "p", Type: route.Token}
	other := route.Login{ID: "q:x", Provider: "q", Type: route.OAuth}
	profile := func(id, provider, mode string) route.ConfigProfile {
		return route.ConfigProfile{ID: id, Provider: provider, Mode: mode}
	}
	for _, c := range []struct {
		name   string
		config route.Config
		want   []string
	}{
		{"only what is configured", route.Config{Profiles: []route.ConfigProfile{profile("p:b", "p", "token")}}, []string{"p:b"}},
		{"all ids are outdated", route.Config{Profiles: []route.ConfigProfile{profile("p:old", "p", "oauth")}}, []string{"p:a", "p:b"}},
		{"an outdated order", route.Config{Order: []route.ConfigOrder{{"p", []string{"p:old"}}}, Profiles: []route.ConfigProfile{profile("p:old", "p", "oauth")}}, []string{"p:a", "p:b"}},
		{"an outdated order alone", route.Config{Order: []route.ConfigOrder{{"p", []string{"p:old"}}}}, nil},
		{"one id is outdated", route.Config{Profiles: []route.ConfigProfile{profile("p:old", "p", "oauth"), profile("p:a", "p", "oauth")}}, []string{"p:a"}},
		{"another provider's", route.Config{Order: []route.ConfigOrder{{"P", []string{"p:a", "q:x", "p:b"}}}, Profiles: []route.ConfigProfile{profile("p:a", "q", "oauth")}}, []string{"p:b"}},
		{"another mode", route.Config{Order: []route.ConfigOrder{{"p", []string{"p:a", "p:b"}}}, Profiles: []route.ConfigProfile{profile("p:a", "p", "api_key"), profile("p:b", "p", "oauth")}}, []string{"p:b"}},
	} {
		var got []string
		for _, x := range route.Rank([]route.Login{a, b, other}, route.Rules{Config: c.config}, route.Question{Provider: "p", Now: now}) {
			if x.Usable() {
				got = append(got, x.ID)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// OpenClaw may have written a rest for a provider whose logins never rest.
func TestASteadyProvidersLoginsDoNotRest(t *testing.T) {
	rests := map[string]route.Usage{"a": {CooldownUntil: now.UnixMilli() + 1000}}
	for provider, want := range map[string]route.Reason{"openrouter": "", "Kilocode": "", "p": route.Resting} {
		got := route.Rank([]route.Login{{ID: "a", Provider: provider}}, route.Rules{Usage: rests}, route.Question{Provider: provider, Now: now})
		if got[0].Reason != want {
			t.Errorf("%s: %q, want %q", provider, got[0].Reason, want)
		}
	}
}
