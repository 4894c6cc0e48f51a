package keeper

import (
	"fmt"
	"strings"
	"time"

	"github.com/keytray/keytray/sink"
)

// StateKeychainLocked is the state of a login whose keychain is locked. No file
// remembers it, as it is none of the login's own: whoever meets the lock sets it
// in the [sink.Profile] that it shows.
const StateKeychainLocked sink.State = "keychain_locked"

// WarnAfter is how long before its end a login that cannot renew itself
// begins to be "expiring".
const WarnAfter = 24 * time.Hour

// Condition is how a login is, for people and for programs.
type Condition struct {
	// Word is one of ok, expiring, expired, needs_login, retrying,
	// keychain_locked, pending_save, misconfigured, foreign_host and moved.
	Word string
	// Sentence says it in words. Parts of it come from a file, so it is to be
	// cleaned of control characters before a terminal sees it.
	Sentence string
	// Command mends it, quoted for a shell; empty where nothing needs mending or
	// no command can.
	Command string
	// Changes is when time alone changes it; zero is never.
	Changes time.Time
}

// ConditionOf tells how p is at a time. It is the one place that says so.
func ConditionOf(p sink.Profile, now time.Time) Condition {
	switch p.State {
	case sink.StateNeedsLogin:
		return Condition{Word: "needs_login", Sentence: whyLogin(p), Command: loginCommand(p)}
	case StateKeychainLocked:
		return Condition{Word: "keychain_locked", Sentence: "the keychain is locked, nothing is lost", Command: "keytray doctor"}
	case sink.StatePendingSave:
		return Condition{Word: "pending_save", Sentence: "renewed, but the keychain has not taken it yet; it is kept safe until then", Command: "keytray doctor --fix"}
	case sink.StateMisconfigured:
		return Condition{Word: "misconfigured", Sentence: "the provider refuses this client" + because(p.Reason) + "; correct its entry in providers/*.json, then renew", Command: refreshCommand(p)}
	case sink.StateForeignHost:
		return Condition{Word: "foreign_host", Sentence: "another machine that shares this keychain owns this login", Command: "keytray doctor --fix"}
	case sink.StateMoved:
		return Condition{Word: "moved", Sentence: "moved to another machine (" + p.Reason + ") on " + p.Until.Local().Format(time.DateOnly) + "; sign in anew to have one here too", Command: loginCommand(p)}
	case sink.StateRetrying:
		if p.Until.After(now) {
			return Condition{Word: "retrying", Sentence: "could not renew" + because(p.Reason) + ", next try in " + inWords(p.Until.Sub(now)), Command: refreshCommand(p), Changes: p.Until}
		}
	}
	return byExpiry(p, now)
}

// byExpiry is the condition of a login that has no other trouble than its age.
func byExpiry(p sink.Profile, now time.Time) Condition {
	left := p.Expires.Sub(now)
	renews := p.Kind == sink.KindOAuth
	switch {
	case p.Lender != "":
		return ofLent(p, left)
	case p.Expires.IsZero():
		return Condition{Word: "ok", Sentence: "does not expire"}
	case left <= 0 && renews:
		return Condition{Word: "expired", Sentence: "the token has expired and renews when used", Command: refreshCommand(p)}
	case left <= 0:
		return Condition{Word: "expired", Sentence: "expired, and it cannot be renewed; paste another", Command: loginCommand(p)}
	case renews:
		return Condition{Word: "ok", Sentence: "renews by itself, token for " + inWords(left), Changes: p.Expires}
	case left < WarnAfter:
		return Condition{Word: "expiring", Sentence: "expires in " + inWords(left) + " and cannot be renewed; paste another", Command: loginCommand(p), Changes: p.Expires}
	default:
		return Condition{Word: "ok", Sentence: "expires in " + inWords(left), Changes: p.Expires.Add(-WarnAfter)}
	}
}

// ofLent is the condition of an access token of another machine's login.
func ofLent(p sink.Profile, left time.Duration) Condition {
	const another = "keytray import --sealed FILE"
	switch {
	case p.Expires.IsZero():
		return Condition{Word: "ok", Sentence: "lent by " + p.Lender + "; it is not known when it ends"}
	case left <= 0:
		return Condition{Word: "expired", Sentence: "what " + p.Lender + " lent has expired; import another one", Command: another}
	default:
		return Condition{Word: "ok", Sentence: "lent by " + p.Lender + " for " + inWords(left) + ", not renewed here", Changes: p.Expires}
	}
}

// movedReason is why a login that has gone to another machine cannot be used.
const movedReason = "moved"

// Condition is that of the login, as [ConditionOf] tells it.
func (e *LoginRequiredError) Condition() Condition {
	p := sink.Profile{Ref: e.Ref, Provider: e.Provider, Kind: e.Kind, State: sink.StateNeedsLogin, Reason: e.Reason}
	return ConditionOf(p, time.Time{})
}

// whyLogin says why only a new sign-in helps, or another secret.
func whyLogin(p sink.Profile) string {
	reason := p.Reason
	pasted := p.Kind == sink.KindToken || p.Kind == sink.KindAPIKey
	switch {
	case pasted && reason == "expired":
		return "expired, and it cannot be renewed; paste another"
	case pasted && reason == "store_lost":
		return "the keychain has lost this secret or holds an old copy; paste it again"
	}
	switch reason {
	case "used_elsewhere", "refresh_token_reused":
		return "another program used this login, so the provider ended it; sign in again, and in one place only"
	case "lost_response":
		return "an answer of the provider was lost on the way, and this login with it; sign in again"
	case "store_lost":
		return "the keychain has lost this login or holds an old copy; sign in again"
	case movedReason:
		return "this login was moved to another machine; sign in anew to have one here too"
	case "account_changed":
		return "the provider answered for another account; sign in again with the right one"
	case "expired":
		return "this login has expired and cannot be renewed; sign in again"
	case "refresh_token_expired":
		return "the provider let this login expire (refresh_token_expired); sign in again"
	case "interaction_required", "consent_required", "login_required":
		return "the provider wants to see you (" + reason + "); sign in again"
	default:
		return "the provider revoked this login" + because(reason) + "; sign in again"
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// loginCommand signs in again under the same id, or takes another secret where
// that is what it is.
func loginCommand(p sink.Profile) string {
	name := p.Provider
	if name == "" {
		name, _, _ = strings.Cut(p.ID, ":")
	}
	c := "keytray login "
	switch p.Kind {
	case sink.KindToken: // which knows a setup-token when it sees one
		c = "keytray models auth paste-token --provider "
	case sink.KindAPIKey:
		c = "keytray models auth paste-api-key --provider "
	}
	return c + quoted(name) + " --profile-id " + quoted(p.ID) + ofAgent(p)
}

// refreshCommand renews at once, which an act of a person may.
func refreshCommand(p sink.Profile) string {
	return "keytray refresh " + quoted(p.ID) + ofAgent(p)
}

func ofAgent(p sink.Profile) string {
	if p.Agent == "" || p.Agent == sink.DefaultAgent {
		return ""
	}
	return " --agent " + quoted(p.Agent)
}

// quoted makes s one word for a shell: it comes from a file that others write.
func quoted(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@:._+-/=,%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// inWords is a duration as OpenClaw writes it: minutes under an hour, hours
// under two days, else days.
func inWords(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
