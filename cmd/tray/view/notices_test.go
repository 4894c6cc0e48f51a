package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

// heard goes through the notices as the tray does, and returns the titles of
// those that are new.
func heard(s view.State, told view.Memory) []string {
	var titles []string
	for _, n := range words.Notices(s) {
		if !told[n.Cause] {
			told[n.Cause] = true
			titles = append(titles, n.Title)
		}
	}
	return titles
}

func TestATokenThatDiesIsToldTwice(t *testing.T) {
	t.Parallel()
	p := sink.Profile{
		Ref: sink.Ref{Agent: "main", ID: "claw:manual"}, Provider: "claw", Kind: sink.KindToken,
		Life: sink.Life{Expires: now.Add(48*time.Hour + time.Second)}, Generation: 1, State: sink.StateOK,
	}
	s, told := state(p), view.Memory{}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "A login of Claw ends soon"},
		{time.Hour, ""},
		{47 * time.Hour, ""}, // also as "expiring"
		{49 * time.Hour, "A login of Claw has ended"},
		{90 * time.Hour, ""},
	} {
		s.Now = now.Add(c.after)
		if got := strings.Join(heard(s, told), "; "); got != c.want {
			t.Errorf("after %v: %q, want %q", c.after, got, c.want)
		}
		told.Forget(s)
	}
	if body := words.Notices(state(p))[0].Body; !strings.Contains(body, "ends in 2 d") {
		t.Errorf("the body does not say when: %q", body)
	}
}

func TestEachTroubleIsToldOncePerLogin(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	p.State, p.Reason = sink.StateNeedsLogin, "invalid_grant"
	s, told := state(p, login("bob", time.Hour)), view.Memory{}
	notices := words.Notices(s)
	if len(notices) != 1 || notices[0].Title != "Acme needs you to sign in" || !notices[0].Critical {
		t.Fatalf("notices = %+v", notices)
	}
	if b := notices[0].Buttons; len(b) != 2 || b[0].Does != (view.Action{Verb: view.DoLogin, Service: "acme", Ref: p.Ref}) || b[1].Does.Verb != "" {
		t.Errorf("buttons = %+v", b)
	}
	heard(s, told)
	if again := heard(s, told); again != nil {
		t.Errorf("told again: %q", again)
	}
	// A new sign-in, and that one ends too: another cause.
	p.State, p.Generation = sink.StateOK, 4
	told.Forget(state(p))
	p.State = sink.StateNeedsLogin
	if got := heard(state(p), told); len(got) != 1 {
		t.Errorf("after a new sign-in: %q", got)
	}
}

func TestFailuresAreToldWhenTheyLast(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	p.State, p.Until = sink.StateRetrying, now.Add(time.Hour)
	s := state(p)
	s.Failing = map[sink.Ref]time.Time{p.Ref: now.Add(-9 * time.Minute)}
	if got := words.Notices(s); got != nil {
		t.Errorf("too early: %+v", got)
	}
	s.Failing[p.Ref] = now.Add(-11 * time.Minute)
	if got := words.Notices(s); len(got) != 1 || got[0].Title != "Acme cannot be renewed right now" {
		t.Errorf("notices = %+v", got)
	}
	p.Expires = now.Add(-time.Second)
	if got := words.Notices(state(p)); len(got) != 1 {
		t.Errorf("its token has ended: %+v", got)
	}
}

// TestASignOutSaysWhatTheProviderKnows in either language.
func TestASignOutSaysWhatTheProviderKnows(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	for _, locale := range []string{"en", "ja"} {
		w, bodies := view.In(locale), map[string]bool{}
		for _, f := range []keeper.Farewell{keeper.Told, keeper.Mute, keeper.Unheard} {
			n := w.Removed(state(p), view.Action{Service: p.Provider, Ref: p.Ref}, f)
			if !strings.Contains(n.Title, "Acme") || n.Low != (f == keeper.Told) {
				t.Errorf("%s, %s: %+v", locale, f, n)
			}
			bodies[n.Body] = true
		}
		if len(bodies) != 3 {
			t.Errorf("%s: %v, want three different texts", locale, bodies)
		}
	}
}

func TestTheFirstRenewalIsTold(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	s, told := state(p), view.Memory{}
	n := words.Renewal(s, p, told)
	if n.Title != "Acme renews by itself from now on" || !n.Low {
		t.Fatalf("first renewal: %+v", n)
	}
	told[n.Cause] = true
	p.Generation++
	told.Forget(state(p))
	if n := words.Renewal(state(p), p, told); n.Bubble != "" {
		t.Errorf("second renewal: %+v", n)
	}
	s.Settings.Every = true
	if n := words.Renewal(s, p, told); n.Title != "Acme was renewed" || n.Bubble == "" {
		t.Errorf("with every renewal told: %+v", n)
	}
	// Removed, and signed in anew: a new login.
	told.Forget(state())
	if n := words.Renewal(s, p, told); n.Title != "Acme renews by itself from now on" {
		t.Errorf("after it was removed: %+v", n)
	}
}

func TestForgetKeepsWhatIsNotOfALogin(t *testing.T) {
	t.Parallel()
	told := view.Memory{words.Root().Cause: true, "needs_login main/gone 3": true}
	if !told.Forget(state()) || len(told) != 1 || !told[words.Root().Cause] {
		t.Errorf("left: %v", told)
	}
	if told.Forget(state()) {
		t.Error("something was forgotten twice")
	}
}
