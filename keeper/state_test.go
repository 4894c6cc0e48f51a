package keeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	const signIn = "keytray login acme --profile-id acme:a@example.org"
	const pasteToken = "keytray models auth paste-token --provider acme --profile-id acme:a@example.org"
	const renew = "keytray refresh acme:a@example.org"
	for _, c := range []struct {
		name                    string
		kind                    sink.Kind
		state                   sink.State
		reason                  string
		left, until             time.Duration // from now; 0 is none
		word, sentence, command string
		changes                 time.Duration
	}{
		{name: "fresh", left: time.Hour, word: "ok", sentence: "renews by itself, token for 1h", changes: time.Hour},
		{name: "zero state", state: "-", left: time.Hour, word: "ok", sentence: "renews by itself, token for 1h", changes: time.Hour},
		{name: "expired", left: -1, word: "expired", sentence: "the token has expired and renews when used", command: renew},
		{name: "key", kind: sink.KindAPIKey, word: "ok", sentence: "does not expire"},
		{name: "setup token", kind: sink.KindToken, left: 72 * time.Hour, word: "ok", sentence: "expires in 3d", changes: 48 * time.Hour},
		{name: "setup token, last day", kind: sink.KindToken, left: 3 * time.Hour, word: "expiring", sentence: "expires in 3h and cannot be renewed; paste another", command: pasteToken, changes: 3 * time.Hour},
		{name: "setup token, over", kind: sink.KindToken, left: -1, word: "expired", sentence: "expired, and it cannot be renewed; paste another", command: pasteToken},
		{name: "key, over", kind: sink.KindAPIKey, left: -1, word: "expired", sentence: "expired, and it cannot be renewed; paste another", command: "keytray models auth paste-api-key --provider acme --profile-id acme:a@example.org"},
		{name: "setup token, gone", kind: sink.KindToken, state: sink.StateNeedsLogin, reason: "store_lost", word: "needs_login", sentence: "the keychain has lost this secret or holds an old copy; paste it again", command: pasteToken},
		{name: "setup token, over for good", kind: sink.KindToken, state: sink.StateNeedsLogin, reason: "expired", word: "needs_login", sentence: "expired, and it cannot be renewed; paste another", command: pasteToken},
		{name: "retrying", state: sink.StateRetrying, reason: "transient", left: time.Hour, until: 90 * time.Second, word: "retrying", sentence: "could not renew (transient), next try in 1m", command: renew, changes: 90 * time.Second},
		{name: "retrying is over", state: sink.StateRetrying, reason: "transient", left: time.Minute, until: -1, word: "ok", sentence: "renews by itself, token for 1m", changes: time.Minute},
		{name: "locked", state: keeper.StateKeychainLocked, word: "keychain_locked", sentence: "the keychain is locked, nothing is lost", command: "keytray doctor"},
		{name: "pending", state: sink.StatePendingSave, word: "pending_save", sentence: "renewed, but the keychain has not taken it yet; it is kept safe until then", command: "keytray doctor --fix"},
		{name: "misconfigured", state: sink.StateMisconfigured, reason: "invalid_client", word: "misconfigured", sentence: "the provider refuses this client (invalid_client); correct its entry in providers/*.json, then renew", command: renew},
		{name: "another machine", state: sink.StateForeignHost, word: "foreign_host", sentence: "another machine that shares this keychain owns this login", command: "keytray doctor --fix"},

		{name: "stolen", state: sink.StateNeedsLogin, reason: "used_elsewhere", word: "needs_login", sentence: "another program used this login, so the provider ended it; sign in again, and in one place only", command: signIn},
		{name: "revoked", state: sink.StateNeedsLogin, reason: "invalid_grant", word: "needs_login", sentence: "the provider revoked this login (invalid_grant); sign in again", command: signIn},
		{name: "revoked, nobody says why", state: sink.StateNeedsLogin, word: "needs_login", sentence: "the provider revoked this login; sign in again", command: signIn},
		{name: "lost answer", state: sink.StateNeedsLogin, reason: "lost_response", word: "needs_login", sentence: "an answer of the provider was lost on the way, and this login with it; sign in again", command: signIn},
		{name: "lost keychain", state: sink.StateNeedsLogin, reason: "store_lost", word: "needs_login", sentence: "the keychain has lost this login or holds an old copy; sign in again", command: signIn},
		{name: "other account", state: sink.StateNeedsLogin, reason: "account_changed", word: "needs_login", sentence: "the provider answered for another account; sign in again with the right one", command: signIn},
		{name: "expired for good", state: sink.StateNeedsLogin, reason: "expired", word: "needs_login", sentence: "this login has expired and cannot be renewed; sign in again", command: signIn},
		{name: "expired at the provider", state: sink.StateNeedsLogin, reason: "refresh_token_expired", word: "needs_login", sentence: "the provider let this login expire (refresh_token_expired); sign in again", command: signIn},
		{name: "interaction", state: sink.StateNeedsLogin, reason: "login_required", word: "needs_login", sentence: "the provider wants to see you (login_required); sign in again", command: signIn},
	} {
		p := sink.Profile{Ref: sink.Ref{Agent: sink.DefaultAgent, ID: "acme:a@example.org"}, Provider: "acme", Kind: c.kind, State: c.state, Reason: c.reason}
		switch {
		case c.kind == "":
			p.Kind = sink.KindOAuth
		case c.state == "":
			p.State = sink.StateOK
		}
		if c.left != 0 {
			p.Expires = now.Add(c.left)
		}
		if c.until != 0 {
			p.Until = now.Add(c.until)
		}
		want := keeper.Condition{Word: c.word, Sentence: c.sentence, Command: c.command}
		if c.changes != 0 {
			want.Changes = now.Add(c.changes)
		}
		if got := keeper.ConditionOf(p, now); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// A command is shown to be pasted into a shell, and the profile file is not
// only ours to write.
func TestACommandIsOneCommand(t *testing.T) {
	t.Parallel()
	p := sink.Profile{Ref: sink.Ref{Agent: "work", ID: "acme:x'; rm -rf ~ #"}, Provider: "acme", State: sink.StateNeedsLogin}
	want := `keytray login acme --profile-id 'acme:x'\''; rm -rf ~ #' --agent work`
	if got := keeper.ConditionOf(p, time.Now()).Command; got != want {
		t.Errorf("command = %s, want %s", got, want)
	}
}

func TestALoginRequiredErrorKnowsWhatHelps(t *testing.T) {
	t.Parallel()
	err := &keeper.LoginRequiredError{Ref: sink.Ref{Agent: "main", ID: "acme:a"}, Reason: "used_elsewhere"}
	c := err.Condition()
	if c.Command != "keytray login acme --profile-id acme:a" || !strings.HasPrefix(c.Sentence, "another program") {
		t.Errorf("condition = %+v", c)
	}
}
