package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

const (
	// endsAhead is how long before its end a person is told of a login that
	// cannot renew itself: long enough to lie before a weekend.
	endsAhead = 72 * time.Hour
	// failsFor is how long renewals may fail before a person is told.
	failsFor = 10 * time.Minute
)

// Notice is something to tell a person. It holds no secret.
type Notice struct {
	// Cause is what it is told for, once: a second notice of the same cause is
	// not given, also after a restart.
	Cause string
	// Bubble is what it is about. A later notice about the same thing takes its
	// place on the screen.
	Bubble      string
	Title, Body string
	// Low is of no urgency, Critical wants to be seen.
	Low, Critical bool
	Buttons       []Button
}

// Button is an offer of a notice. The zero Action does nothing.
type Button struct {
	Label string
	Does  Action
}

// Memory is the causes of which a person has been told.
type Memory map[string]bool

// causeOf names a cause about a generation of a login.
func causeOf(kind string, p sink.Profile) string {
	return fmt.Sprintf("%s %s/%s %d", kind, p.Agent, p.ID, p.Generation)
}

const aboutLogin = "login "

// Bubble names the bubble about how a login is.
func Bubble(ref sink.Ref) string { return aboutLogin + ref.Agent + "/" + ref.ID }

// AboutLogin reports whether a bubble tells how a login is, so that it is to be
// withdrawn when that is over.
func AboutLogin(bubble string) bool { return strings.HasPrefix(bubble, aboutLogin) }

// Notices are those that s calls for, told or not, in the order of the logins.
func (w *Words) Notices(s State) []Notice {
	var all []Notice
	for _, p := range s.Profiles {
		if n := w.notice(s, p); n.Cause != "" {
			n.Bubble = Bubble(p.Ref)
			all = append(all, n)
		}
	}
	return all
}

// notice is what is to be told of a login as it is; without a cause, nothing.
func (w *Words) notice(s State, p sink.Profile) Notice {
	v, name := s.service(p.Provider), Name(p)
	c := s.condition(p)
	switch {
	case c.Word == "needs_login":
		return Notice{
			Cause: causeOf(c.Word, p), Critical: true,
			Title: fmt.Sprintf(w.SignInNeeded, v.Name), Body: fmt.Sprintf(w.SignInNeededBody, name, w.reason(p.Reason)),
			Buttons: []Button{{w.ButtonSignIn, again(p, v)}, {Label: w.ButtonWait}},
		}
	case c.Word == "expired_for_good":
		return Notice{
			Cause: causeOf(c.Word, p), Critical: true,
			Title: fmt.Sprintf(w.Ended, v.Name), Body: fmt.Sprintf(w.EndedBody, name),
			Buttons: []Button{{w.ButtonSignIn, again(p, v)}, {Label: w.ButtonWait}},
		}
	case c.Word == "pending_save":
		return Notice{
			Cause: causeOf(c.Word, p), Critical: true,
			Title: fmt.Sprintf(w.NotSaved, v.Name), Body: fmt.Sprintf(w.NotSavedBody, name),
			Buttons: []Button{{w.ButtonOpen, Action{Verb: DoUnlock}}, {Label: w.ButtonWait}},
		}
	case c.Word == "retrying" && s.keepsFailing(p):
		return Notice{
			Cause: causeOf("failing", p),
			Title: fmt.Sprintf(w.KeepsFailing, v.Name), Body: fmt.Sprintf(w.KeepsFailingBody, name),
			Buttons: []Button{{w.ButtonOpen, Action{Verb: DoLog}}, {Label: w.ButtonWait}},
		}
	case p.Kind != sink.KindOAuth && !p.Expires.IsZero() && p.Expires.Sub(s.Now) < endsAhead:
		return Notice{
			Cause: causeOf("ending", p),
			Title: fmt.Sprintf(w.EndsSoon, v.Name), Body: fmt.Sprintf(w.EndsSoonBody, name, w.span(p.Expires.Sub(s.Now))),
			Buttons: []Button{{w.ButtonSignIn, again(p, v)}, {Label: w.ButtonWait}},
		}
	}
	return Notice{}
}

// reason says why only a new sign-in helps; keeper.ConditionOf has the same in
// more words.
func (w *Words) reason(reason string) string {
	switch reason {
	case "used_elsewhere", "refresh_token_reused":
		return w.WhyElsewhere
	case "lost_response":
		return w.WhyLost
	case "store_lost":
		return w.WhyStore
	case "account_changed":
		return w.WhyAccount
	case "expired", "refresh_token_expired":
		return w.WhyExpired
	case "interaction_required", "consent_required", "login_required":
		return w.WhyAsked
	default:
		return w.WhyRevoked
	}
}

// Dialog is what a worker says in a dialog of its own.
type Dialog struct{ Title, Text, Button, Other string }

// Dialog is the one that an action may need.
func (w *Words) Dialog(s State, a Action) Dialog {
	v := s.service(a.Service)
	switch a.Verb {
	case DoLogin:
		return Dialog{Title: fmt.Sprintf(w.PasteTitle, v.Name), Text: w.PasteText}
	case DoCode:
		return Dialog{fmt.Sprintf(w.PasteTitle, v.Name), w.CodeText, w.ButtonOpen, w.ButtonCopy}
	case DoSetupToken, DoAPIKey:
		return Dialog{Title: fmt.Sprintf(w.AskTitle, v.Name), Text: w.AskText}
	case DoRemove:
		for _, p := range s.Profiles {
			if p.Ref == a.Ref {
				return Dialog{Title: w.RemoveTitle, Text: fmt.Sprintf(w.RemoveText, v.Name+", "+Name(p)), Button: w.RemoveButton}
			}
		}
	}
	return Dialog{}
}

// keepsFailing reports whether the renewals of a login fail for so long, or so
// late, that its person should know.
func (s State) keepsFailing(p sink.Profile) bool {
	since := s.Failing[p.Ref]
	return !since.IsZero() && s.Now.Sub(since) >= failsFor || !p.Expires.IsZero() && !p.Expires.After(s.Now)
}

// again is what renews a login that only a person can renew.
func again(p sink.Profile, v Service) Action {
	verb := DoLogin
	switch {
	case p.Kind == sink.KindToken && v.SetupToken:
		verb = DoSetupToken
	case p.Kind == sink.KindAPIKey && v.APIKey:
		verb = DoAPIKey
	}
	return Action{verb, p.Provider, p.Ref}
}

// Renewal is what is told of a renewal in the background: the first one of a
// login always, each one if the person wants so.
func (w *Words) Renewal(s State, p sink.Profile, told Memory) Notice {
	v, name := s.service(p.Provider), Name(p)
	first := Notice{
		Cause: firstRenewal(p.Ref), Bubble: "renewal " + p.Agent + "/" + p.ID, Low: true,
		Title: fmt.Sprintf(w.RenewsFromNow, v.Name), Body: fmt.Sprintf(w.RenewsFromNowBody, name),
	}
	switch {
	case !told[first.Cause]:
		return first
	case s.Settings.Every:
		return Notice{
			Cause: causeOf("renewed", p), Bubble: first.Bubble, Low: true,
			Title: fmt.Sprintf(w.Renewed, v.Name), Body: fmt.Sprintf(w.RenewedBody, name, w.span(p.Expires.Sub(s.Now))),
		}
	}
	return Notice{}
}

func firstRenewal(ref sink.Ref) string { return "renews " + ref.Agent + "/" + ref.ID }

// SignedInAs tells of a sign-in that succeeded.
func (w *Words) SignedInAs(s State, service, name string) Notice {
	v := s.service(service)
	return Notice{
		Bubble: "sign-in " + service,
		Title:  fmt.Sprintf(w.SignedIn, v.Name), Body: fmt.Sprintf(w.SignedInBody, name),
	}
}

// SignInFailedWith tells of one that did not, and why.
func (w *Words) SignInFailedWith(s State, service, why string, retry Action) Notice {
	v := s.service(service)
	return Notice{
		Bubble: "sign-in " + service, Title: fmt.Sprintf(w.SignInFailed, v.Name), Body: why,
		Buttons: []Button{{w.ButtonSignIn, retry}, {Label: w.ButtonWait}},
	}
}

// CopiedNow tells that a token is in the clipboard, and for how long.
func (w *Words) CopiedNow(s State, a Action) Notice {
	name := s.service(a.Service).Name
	if i := slices.IndexFunc(s.Profiles, func(p sink.Profile) bool { return p.Ref == a.Ref }); i >= 0 {
		name += ", " + Name(s.Profiles[i])
	}
	return Notice{Bubble: "clipboard", Low: true, Title: w.Copied, Body: fmt.Sprintf(w.CopiedBody, name)}
}

// Removed tells that a login is gone, and what its provider knows of that.
func (w *Words) Removed(s State, a Action, f keeper.Farewell) Notice {
	body := w.RemovedMute
	switch f {
	case keeper.Told:
		body = w.RemovedTold
	case keeper.Unheard:
		body = w.RemovedUnheard
	case keeper.Local, keeper.Mute:
	}
	return Notice{Bubble: "removed", Low: f == keeper.Told, Title: fmt.Sprintf(w.RemovedTitle, s.service(a.Service).Name), Body: body}
}

// FailedWith tells that what a person asked for did not work, and why.
func (w *Words) FailedWith(a Action, why string) Notice {
	return Notice{Bubble: "action " + string(a.Verb), Title: w.ActionFailed, Body: why, Buttons: []Button{{w.ButtonOpen, Action{Verb: DoLog}}}}
}

// Already tells a person who started the tray a second time.
func (w *Words) Already() Notice {
	return Notice{Bubble: "running", Title: w.AlreadyRunning, Body: w.AlreadyRunningBody}
}

// Root warns a person who runs the tray as root.
func (w *Words) Root() Notice {
	return Notice{Cause: "root", Bubble: "root", Title: w.RunsAsRoot, Body: w.RunsAsRootBody}
}

// Forget drops what m knows of causes that are over, and reports whether there
// was any: a login that is gone, or another generation.
func (m Memory) Forget(s State) bool {
	live := map[string]bool{}
	for _, p := range s.Profiles {
		live[firstRenewal(p.Ref)] = true
		for _, kind := range []string{"needs_login", "expired_for_good", "pending_save", "failing", "ending"} {
			live[causeOf(kind, p)] = true
		}
	}
	before := len(m)
	maps.DeleteFunc(m, func(cause string, _ bool) bool {
		return strings.Contains(cause, "/") && !live[cause]
	})
	return len(m) != before
}

// Causes are what m holds, sorted.
func (m Memory) Causes() []string { return slices.Sorted(maps.Keys(m)) }
