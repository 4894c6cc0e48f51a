package view_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/keytray/keytray/cmd/tray/icon"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/sink"
)

var (
	now   = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	words = view.In("en_GB.UTF-8")
	acme  = view.Service{ID: "acme", Name: "Acme", Browser: true}
	claw  = view.Service{ID: "claw", Name: "Claw", SetupToken: true, APIKey: true}
)

// login is an OAuth login of acme that lives for d.
func login(name string, d time.Duration) sink.Profile {
	return sink.Profile{
		Ref: sink.Ref{Agent: "main", ID: "acme:" + name}, Provider: "acme", Kind: sink.KindOAuth,
		Account: sink.Account{ID: name, Email: name + "@example.com"}, Life: sink.Life{Expires: now.Add(d)},
		Generation: 3, State: sink.StateOK,
	}
}

func state(profiles ...sink.Profile) view.State {
	return view.State{Services: []view.Service{acme, claw}, Profiles: profiles, Now: now}
}

// find returns the item under a path of labels, each a part of the label.
func find(t *testing.T, items []view.Item, path ...string) view.Item {
	t.Helper()
	var found view.Item
	for _, part := range path {
		i := slices.IndexFunc(items, func(x view.Item) bool { return strings.Contains(x.Label, part) })
		if i < 0 {
			t.Fatalf("no item %q of %q in %q", part, path, labels(items))
		}
		found, items = items[i], items[i].Items
	}
	return found
}

func labels(items []view.Item) []string {
	var all []string
	for _, x := range items {
		all = append(all, x.Label)
	}
	return all
}

func TestStatesInWordsAndMarks(t *testing.T) {
	t.Parallel()
	with := func(f func(*sink.Profile)) sink.Profile {
		p := login("ada", 3*time.Hour+time.Minute)
		f(&p)
		return p
	}
	for _, c := range []struct {
		name    string
		profile sink.Profile
		label   string
		icon    icon.State
		head    string
	}{
		{"ok", with(func(*sink.Profile) {}), "✓ ada@example.com – works, 3 h left", icon.Normal, "✓ All good"},
		{"two days", with(func(p *sink.Profile) { p.Expires = now.Add(49 * time.Hour) }), "✓ ada@example.com – works, 2 d left", icon.Normal, "✓ All good"},
		{"expired", with(func(p *sink.Profile) { p.Expires = now.Add(-time.Hour) }), "… ada@example.com – renews when used", icon.Normal, "✓ All good"},
		{"needs login", with(func(p *sink.Profile) { p.State = sink.StateNeedsLogin }), "⚠ ada@example.com – sign in again", icon.Attention, "⚠ 1 needs you"},
		{"retrying", with(func(p *sink.Profile) { p.State, p.Until = sink.StateRetrying, now.Add(90*time.Second) }), "… ada@example.com – could not renew, next try in 1 min", icon.Normal, "✓ All good"},
		{"pending", with(func(p *sink.Profile) { p.State = sink.StatePendingSave }), "⚠ ada@example.com – renewed, waits for the keychain", icon.Attention, "⚠ 1 needs you"},
		{"misconfigured", with(func(p *sink.Profile) { p.State = sink.StateMisconfigured }), "⚠ ada@example.com – the provider refuses this client", icon.Attention, "⚠ 1 needs you"},
		{"foreign", with(func(p *sink.Profile) { p.State = sink.StateForeignHost }), "⚠ ada@example.com – belongs to another machine", icon.Attention, "⚠ 1 needs you"},
		{"static", with(func(p *sink.Profile) { p.Kind = sink.KindToken }), "… ada@example.com – ends in 3 h", icon.Normal, "✓ All good"},
		{"static, expired", with(func(p *sink.Profile) { p.Kind, p.Expires = sink.KindToken, now.Add(-time.Second) }), "⚠ ada@example.com – has expired", icon.Attention, "⚠ 1 needs you"},
		{"key", with(func(p *sink.Profile) { p.Kind, p.Life = sink.KindAPIKey, sink.Life{} }), "✓ ada@example.com – does not expire", icon.Normal, "✓ All good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := state(c.profile)
			menu := words.Menu(s)
			if got := find(t, menu, "Acme", "ada").Label; got != c.label {
				t.Errorf("label = %q, want %q", got, c.label)
			}
			if got := menu[0].Label; got != c.head {
				t.Errorf("headline = %q, want %q", got, c.head)
			}
			if got := s.Icon(); got != c.icon {
				t.Errorf("icon = %s, want %s", got, c.icon)
			}
		})
	}
}

func TestHeadlineSaysTheWorst(t *testing.T) {
	t.Parallel()
	broken := login("bob", time.Hour)
	broken.State = sink.StateNeedsLogin
	twice := state(broken, login("ada", time.Hour), broken)
	paused := state(login("ada", time.Hour))
	paused.Settings.Paused = true
	locked := twice
	locked.Keychain = view.Locked
	absent := state()
	absent.Keychain = view.Absent
	troubled := state(login("ada", time.Hour))
	troubled.Trouble = "the profile file\x1b[31m is damaged"
	waits := state()
	waits.Waiting = []view.Wait{{Service: "acme"}}
	for _, c := range []struct {
		state view.State
		head  string
		icon  icon.State
		does  view.Verb
	}{
		{state(), "Nobody is signed in", icon.Normal, ""},
		{twice, "⚠ 2 need you", icon.Attention, ""},
		{paused, "– Refreshing is paused", icon.Paused, ""},
		{locked, "⚠ The keychain is locked – Unlock the keychain…", icon.Locked, view.DoUnlock},
		{absent, "⚠ There is no keychain", icon.Locked, ""},
		{troubled, "⚠ the profile file[31m is damaged", icon.Attention, ""},
		{waits, "↻ Waiting for you to sign in", icon.Working, ""},
	} {
		head := words.Menu(c.state)[0]
		if head.Label != c.head || head.Does.Verb != c.does || head.Disabled != (c.does == "") {
			t.Errorf("headline = %+v, want %q that does %q", head, c.head, c.does)
		}
		if got := c.state.Icon(); got != c.icon {
			t.Errorf("%s: icon = %s, want %s", c.head, got, c.icon)
		}
	}
}

func TestWhatALoginOffers(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	menu := words.Menu(state(p))
	got := labels(find(t, menu, "Acme", "ada").Items)
	want := []string{"Refresh now", "Use first", "Copy access token (cleared after 30 s)", "Sign in again", "Remove…"}
	if !slices.Equal(got, want) {
		t.Errorf("a login offers %q, want %q", got, want)
	}
	if got := find(t, menu, "Acme", "ada", "Remove").Does; got != (view.Action{Verb: view.DoRemove, Service: "acme", Ref: p.Ref}) {
		t.Errorf("Remove does %+v", got)
	}
	static := sink.Profile{Ref: sink.Ref{Agent: "work", ID: "claw:manual"}, Provider: "claw", Kind: sink.KindToken, Generation: 1, State: sink.StateOK}
	menu = words.Menu(state(static))
	got = labels(find(t, menu, "Claw", "manual (work)").Items)
	want = []string{"Use first", "Copy access token (cleared after 30 s)", "Paste setup-token…", "Remove…"}
	if !slices.Equal(got, want) {
		t.Errorf("a setup-token offers %q, want %q", got, want)
	}
}

func TestAWaitingSignInIsHelped(t *testing.T) {
	t.Parallel()
	s := state(login("ada", time.Hour))
	s.Waiting = []view.Wait{{Service: "acme"}}
	menu := words.Menu(s)
	for _, path := range [][]string{{"Acme"}, {"Sign in", "Acme"}} {
		got := labels(find(t, menu, path...).Items)
		got = got[len(got)-3:]
		if want := []string{"Open the sign-in page again", "Paste redirect URL…", "Cancel signing in"}; !slices.Equal(got, want) {
			t.Errorf("under %q: %q, want %q", path, got, want)
		}
	}
	if got := find(t, menu, "Sign in", "Claw", "Paste API key").Does; got != (view.Action{Verb: view.DoAPIKey, Service: "claw"}) {
		t.Errorf("another provider's way in does %+v", got)
	}
}

// TestACodeIsOffered beside the browser, whose one click stays one, and alone
// where there is nothing else.
func TestACodeIsOffered(t *testing.T) {
	t.Parallel()
	both, only := acme, view.Service{ID: "box", Name: "Box", Code: true}
	both.Code = true
	s := state(login("ada", time.Hour))
	for _, c := range []struct {
		offers view.Service
		path   []string
		does   view.Action
	}{
		{both, []string{"Sign in", "Acme"}, view.Action{Verb: view.DoLogin, Service: "acme"}},
		{both, []string{"Sign in", "Sign in with a code", "Acme"}, view.Action{Verb: view.DoCode, Service: "acme"}},
		{only, []string{"Sign in", "Box – Sign in with a code"}, view.Action{Verb: view.DoCode, Service: "box"}},
		{both, []string{"✓ Acme", "Sign in with a code"}, view.Action{Verb: view.DoCode, Service: "acme"}},
	} {
		s.Services = []view.Service{c.offers}
		if got := find(t, words.Menu(s), c.path...); got.Does != c.does {
			t.Errorf("%q does %+v, want %+v", c.path, got.Does, c.does)
		}
	}
	for code, want := range map[bool][]string{
		false: {words.PageAgain, words.PasteURL, words.WithCode, words.CancelSignIn},
		true:  {words.PageAgain, words.CancelSignIn},
	} {
		s.Waiting = []view.Wait{{Service: "acme", Code: code}}
		if got := labels(find(t, words.Menu(s), "Sign in", "Acme").Items); !slices.Equal(got, want) {
			t.Errorf("while it waits (code %t): %q, want %q", code, got, want)
		}
	}
	d := words.Dialog(s, view.Action{Verb: view.DoCode, Service: "acme"})
	if d.Title != "Sign in to Acme" || d.Button != "Open" || d.Other != "Copy" || !strings.Contains(d.Text, "only if you") {
		t.Errorf("dialog = %+v", d)
	}
}

func TestWorkingLoginIsNotRefreshedTwice(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	s := state(p)
	s.Working = map[sink.Ref]bool{p.Ref: true}
	menu := words.Menu(s)
	if item := find(t, menu, "Acme", "renewing"); !find(t, item.Items, "Refresh now").Disabled {
		t.Error("a login that is being renewed can be renewed")
	}
	if got := s.Icon(); got != icon.Working {
		t.Errorf("icon = %s", got)
	}
}

// TestHostileNames: whatever a file or a server calls a login, a label is one
// line of bounded length without marks that turn text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	p := login("ada", time.Hour)
	p.Account.Email = "evil\u202Egro.elpmaxe\x00\n\x1b[2J@" + strings.Repeat("x", 9000)
	s := state(p)
	s.Services[0].Name = "A\u2066c\r\nme" + strings.Repeat("長", 300)
	var walk func(items []view.Item)
	walk = func(items []view.Item) {
		for _, x := range items {
			if n := len([]rune(x.Label)); n > 90 {
				t.Errorf("a label of %d characters: %q", n, x.Label)
			}
			for _, r := range x.Label {
				if unicode.Is(unicode.C, r) {
					t.Errorf("label %q holds %U", x.Label, r)
				}
			}
			walk(x.Items)
		}
	}
	walk(words.Menu(s))
}

// TestLinesKeepTheirPlace: hosts cannot insert, so that each line has its place
// whatever there is above it.
func TestLinesKeepTheirPlace(t *testing.T) {
	t.Parallel()
	var shapes []string
	for _, s := range []view.State{state(), state(login("ada", time.Hour)), state(login("ada", time.Hour), login("bob", time.Hour))} {
		var shape strings.Builder
		for _, x := range words.Menu(s) {
			fmt.Fprintf(&shape, "%d", x.Kind)
		}
		shapes = append(shapes, shape.String())
	}
	if len(slices.Compact(shapes)) != 1 {
		t.Errorf("the kinds of the lines differ:\n%s", strings.Join(shapes, "\n"))
	}
}

func TestManyProvidersShareASubmenu(t *testing.T) {
	t.Parallel()
	var s view.State
	s.Now = now
	for i := range 60 {
		id := fmt.Sprintf("p%02d", i)
		s.Services = append(s.Services, view.Service{ID: id, Name: id, Browser: true})
		p := login("ada", time.Hour)
		p.Provider, p.ID = id, id+":ada"
		s.Profiles = append(s.Profiles, p)
	}
	menu := words.Menu(s)
	if n := len(menu); n > 40 {
		t.Errorf("the menu has %d lines", n)
	}
	if got := len(find(t, menu, "More").Items); got != 36 {
		t.Errorf("More has %d providers, want 36", got)
	}
	find(t, menu, "More", "p59", "ada", "Refresh now")
}

func TestJapaneseHasEveryText(t *testing.T) {
	t.Parallel()
	ja := view.In("ja_JP.UTF-8")
	if ja == words || view.In("ja") != ja || view.In("ja-JP") != ja || view.In("C") != words || view.In("") != words || view.In("javanese") != words {
		t.Fatal("the locale does not choose the language")
	}
	compareWords(t, *words, *ja)
}

func TestTheMenuChangesWithTheMinutes(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]time.Duration{
		90 * time.Second:             30 * time.Second,
		3*time.Hour + time.Minute:    time.Minute,
		50*time.Hour + 5*time.Minute: 2*time.Hour + 5*time.Minute,
	} {
		s := state(login("ada", left))
		at := s.Changes()
		if got := at.Sub(now).Truncate(time.Second); got != want {
			t.Errorf("with %v left the menu changes in %v, want %v", left, got, want)
		}
		before := words.Menu(s)[2].Items[0].Label
		s.Now = at
		if after := words.Menu(s)[2].Items[0].Label; after == before {
			t.Errorf("with %v left nothing has changed then: %q", left, after)
		}
	}
	if at := state().Changes(); !at.IsZero() {
		t.Errorf("an empty menu changes at %v", at)
	}
}

// BenchmarkMenu builds the menu of so many logins, all of one provider.
func BenchmarkMenu(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		s := state()
		for i := range n {
			s.Profiles = append(s.Profiles, login(fmt.Sprintf("person%d", i), time.Hour))
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				words.Menu(s)
			}
		})
	}
}
