package view

import (
	"fmt"
	"slices"
	"time"

	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// Kind is what a menu item can do. An item never changes its kind: hosts do not
// follow that.
type Kind int

// The kinds of item.
const (
	Leaf Kind = iota
	Check
	Submenu
	Separator
)

// Item is a line of the menu.
type Item struct {
	Kind Kind
	// Label is plain text; whoever draws it escapes what its system takes for
	// marks of a mnemonic.
	Label string
	// Does is what a click on a Leaf or Check asks for.
	Does Action
	// Checked is of a Check. Disabled is shown and does nothing; Hidden keeps a
	// place, as hosts cannot insert.
	Checked, Disabled, Hidden bool
	Items                     []Item
}

// Verb is what a person can ask of the tray.
type Verb string

// The verbs.
const (
	DoLogin      Verb = "login" // into Service; again as Ref, if there is one
	DoCode       Verb = "code"  // the same, with a code
	DoSetupToken Verb = "setup-token"
	DoAPIKey     Verb = "api-key"
	DoPaste      Verb = "paste"
	DoPage       Verb = "page" // shows the page of a waiting sign-in again
	DoCancel     Verb = "cancel"
	DoRefresh    Verb = "refresh"
	DoFirst      Verb = "first"
	DoCopy       Verb = "copy"
	DoRemove     Verb = "remove"
	DoUnlock     Verb = "unlock"
	DoNotify     Verb = "notify"
	DoEvery      Verb = "every"
	DoAutostart  Verb = "autostart"
	DoPause      Verb = "pause"
	DoLog        Verb = "log"
	DoDiagnose   Verb = "diagnose"
	DoQuit       Verb = "quit"
)

// Action is a verb and what it is about. The zero Action is nothing.
type Action struct {
	Verb    Verb
	Service string
	Ref     sink.Ref
}

const (
	// room is how many providers the menu has lines of their own for; the others
	// share a submenu.
	room = 24
	// labelLimit is the longest label, characters.
	labelLimit = 80
)

// Menu is the whole menu.
func (w *Words) Menu(s State) []Item {
	items := []Item{w.headline(s), {Kind: Separator}}
	items = append(items, w.providers(s)...)
	items = append(items, w.signIn(s)...)
	return append(items, w.settings(s)...)
}

// providers are the submenus of those that have logins: always as many lines,
// so that those below stay where they are.
func (w *Words) providers(s State) []Item {
	items := make([]Item, room+1)
	for i := range items {
		items[i] = Item{Kind: Submenu, Hidden: true}
	}
	services, logins := s.used()
	for i, v := range services {
		item := w.provider(s, v, logins[v.ID])
		if i < room {
			items[i] = item
			continue
		}
		items[room].Label, items[room].Hidden = w.More, false
		items[room].Items = append(items[room].Items, item)
	}
	return items
}

// headline is the first line: how things are, and the one click that helps.
func (w *Words) headline(s State) Item {
	n := len(s.needy())
	switch {
	case s.Keychain == Locked:
		return Item{Label: w.marked(w.MarkNeedsYou, w.KeychainLocked+" – "+w.Unlock), Does: Action{Verb: DoUnlock}}
	case s.Keychain == Absent:
		return still(w.marked(w.MarkNeedsYou, w.KeychainAbsent))
	case s.Trouble != "":
		return still(w.marked(w.MarkNeedsYou, s.Trouble))
	case n == 1:
		return still(w.marked(w.MarkNeedsYou, w.NeedsYou))
	case n > 1:
		return still(w.marked(w.MarkNeedsYou, fmt.Sprintf(w.NeedYou, n)))
	case s.Settings.Paused:
		return still(w.marked(w.MarkOff, w.PausedNow))
	case len(s.Waiting) > 0:
		return still(w.marked(w.MarkBusy, w.SigningIn))
	case len(s.Profiles) == 0:
		return still(w.NoLogins)
	default:
		return still(w.marked(w.MarkGood, w.AllGood))
	}
}

func still(label string) Item { return Item{Label: label, Disabled: true} }

func (w *Words) marked(mark, text string) string {
	return plain.Line(fmt.Sprintf(w.MarkedFormat, mark, text), labelLimit)
}

// provider is the submenu of one provider: its logins, then ways to add one.
func (w *Words) provider(s State, v Service, logins []sink.Profile) Item {
	item := Item{Kind: Submenu}
	worst := w.MarkGood
	for _, p := range logins {
		mark, words := w.standing(s, p)
		if w.rank(mark) > w.rank(worst) {
			worst = mark
		}
		item.Items = append(item.Items, w.login(s, v, p, mark, words))
	}
	item.Label = w.marked(worst, v.Name)
	item.Items = append(item.Items, w.ways(s, v, w.AnotherAccount)...)
	return item
}

// rank orders the marks from calm to urgent.
func (w *Words) rank(mark string) int {
	switch mark {
	case w.MarkNeedsYou:
		return 3
	case w.MarkSoon:
		return 2
	case w.MarkBusy:
		return 1
	default:
		return 0
	}
}

// login is the submenu of one login.
func (w *Words) login(s State, v Service, p sink.Profile, mark, words string) Item {
	item := Item{Kind: Submenu, Label: w.marked(mark, Name(p)+" – "+words)}
	renews := p.Kind == sink.KindOAuth
	add := func(label string, verb Verb, disabled bool) {
		item.Items = append(item.Items, Item{Label: label, Does: Action{verb, p.Provider, p.Ref}, Disabled: disabled})
	}
	if renews {
		add(w.RefreshNow, DoRefresh, s.Working[p.Ref] || p.State == sink.StateNeedsLogin || p.State == sink.StateMoved)
	}
	item.Items = append(item.Items, Item{Kind: Check, Label: w.UseFirst, Does: Action{DoFirst, p.Provider, p.Ref}, Checked: s.First[p.Ref]})
	add(w.CopyToken, DoCopy, needs(s.condition(p).Word) && p.State != sink.StatePendingSave || p.State == sink.StateMoved)
	switch {
	case renews && (v.Browser || v.Code):
		add(w.SignInAgain, DoLogin, false)
	case p.Kind == sink.KindToken && v.SetupToken:
		add(w.SetupToken, DoSetupToken, false)
	case p.Kind == sink.KindAPIKey && v.APIKey:
		add(w.APIKey, DoAPIKey, false)
	}
	add(w.Remove, DoRemove, false)
	return item
}

// standing is how a login is, as a mark that needs no colour, and in words.
func (w *Words) standing(s State, p sink.Profile) (mark, words string) {
	if s.Working[p.Ref] {
		return w.MarkBusy, w.Renewing
	}
	left := w.span(p.Expires.Sub(s.Now))
	switch c := s.condition(p); c.Word {
	case "needs_login":
		return w.MarkNeedsYou, w.NeedsLogin
	case "expired_for_good":
		return w.MarkNeedsYou, w.Expired
	case "misconfigured":
		return w.MarkNeedsYou, w.Misconfigured
	case "foreign_host":
		return w.MarkNeedsYou, w.ForeignHost
	case "pending_save":
		return w.MarkNeedsYou, w.PendingSave
	case "moved":
		return w.MarkSoon, w.Moved
	case "retrying":
		return w.MarkSoon, fmt.Sprintf(w.Retrying, w.span(p.Until.Sub(s.Now)))
	case "expiring":
		return w.MarkSoon, fmt.Sprintf(w.Ends, left)
	case "expired":
		return w.MarkSoon, w.RenewsWhenUsed
	}
	switch {
	case p.Expires.IsZero():
		return w.MarkGood, w.NoEnd
	case p.Kind == sink.KindOAuth:
		return w.MarkGood, fmt.Sprintf(w.Works, left)
	default:
		return w.MarkGood, fmt.Sprintf(w.Lasts, left)
	}
}

// ways are the ways to sign in to a provider; while one waits for its person, the
// ways to help it.
func (w *Words) ways(s State, v Service, browser string) []Item {
	var items []Item
	add := func(label string, verb Verb) {
		items = append(items, Item{Label: label, Does: Action{Verb: verb, Service: v.ID}})
	}
	if x, ok := s.waits(v.ID); ok {
		if x.Manual != "" {
			items = append(items, still(w.marked(w.MarkNeedsYou, x.Manual)))
		}
		add(w.PageAgain, DoPage)
		if !x.Code {
			add(w.PasteURL, DoPaste)
		}
		if !x.Code && v.Code {
			add(w.WithCode, DoCode)
		}
		add(w.CancelSignIn, DoCancel)
		return items
	}
	if v.Browser {
		add(browser, DoLogin)
	}
	if v.Code {
		add(w.WithCode, DoCode)
	}
	if v.SetupToken {
		add(w.SetupToken, DoSetupToken)
	}
	if v.APIKey {
		add(w.APIKey, DoAPIKey)
	}
	return items
}

func (s State) waits(service string) (Wait, bool) {
	for _, x := range s.Waiting {
		if x.Service == service {
			return x, true
		}
	}
	return Wait{}, false
}

// signIn offers the providers: a line each for those with one way, a submenu for
// the others. A code, where the browser will do, has a submenu of its own, so
// that one click stays one.
func (w *Words) signIn(s State) []Item {
	item := Item{Kind: Submenu, Label: w.SignIn}
	codes := Item{Kind: Submenu, Label: w.WithCode}
	for _, v := range s.Services {
		ways := w.ways(s, v, v.Name)
		if _, waits := s.waits(v.ID); !waits && v.Browser && v.Code {
			codes.Items = append(codes.Items, Item{Label: plain.Line(v.Name, labelLimit), Does: Action{Verb: DoCode, Service: v.ID}})
			ways = slices.DeleteFunc(ways, func(x Item) bool { return x.Does.Verb == DoCode })
		}
		switch {
		case len(ways) == 1:
			ways[0].Label = plain.Line(v.Name, labelLimit)
			if !v.Browser {
				ways[0].Label = plain.Line(v.Name+" – "+w.wayOf(v), labelLimit)
			}
			item.Items = append(item.Items, ways[0])
		case len(ways) > 1:
			if ways[0].Does.Verb == DoLogin {
				ways[0].Label = w.SignIn
			}
			item.Items = append(item.Items, Item{Kind: Submenu, Label: plain.Line(v.Name, labelLimit), Items: ways})
		}
	}
	if len(codes.Items) > 0 {
		item.Items = append(item.Items, codes)
	}
	return []Item{item, {Kind: Separator}}
}

func (w *Words) wayOf(v Service) string {
	switch {
	case v.Code:
		return w.WithCode
	case v.SetupToken:
		return w.SetupToken
	default:
		return w.APIKey
	}
}

func (w *Words) settings(s State) []Item {
	check := func(label string, verb Verb, on bool) Item {
		return Item{Kind: Check, Label: label, Does: Action{Verb: verb}, Checked: on}
	}
	leaf := func(label string, verb Verb) Item { return Item{Label: label, Does: Action{Verb: verb}} }
	every := check(w.TellEvery, DoEvery, s.Settings.Every)
	every.Disabled = s.Settings.Quiet
	return []Item{
		check(w.Notifications, DoNotify, !s.Settings.Quiet),
		every,
		check(w.StartAtLogin, DoAutostart, s.Settings.Autostart),
		check(w.Pause, DoPause, s.Settings.Paused),
		leaf(w.OpenLog, DoLog),
		leaf(w.Diagnose, DoDiagnose),
		{Kind: Separator},
		leaf(w.Quit, DoQuit),
	}
}

// Tooltip is one line about all logins.
func (w *Words) Tooltip(s State) string { return "Keytray: " + w.headline(s).Label }

// Changes is when time alone changes the menu, zero if never: texts give whole
// minutes, hours or days.
func (s State) Changes() time.Time {
	var next time.Time
	for _, p := range s.Profiles {
		for _, t := range []time.Time{p.Expires, p.Until} {
			if at := tick(t, s.Now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// tick is when the words for the time until t change next.
func tick(t, now time.Time) time.Time {
	left := t.Sub(now)
	unit := time.Minute
	switch {
	case t.IsZero() || left <= 0:
		return time.Time{}
	case left > 48*time.Hour:
		unit = 24 * time.Hour
	case left > time.Hour:
		unit = time.Hour
	}
	return t.Add(-left.Truncate(unit)).Add(time.Millisecond)
}
