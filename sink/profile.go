package sink

import "time"

// Ref names a profile within a state root.
type Ref struct{ Agent, ID string }

// DefaultAgent is the agent that people mean when they name none.
const DefaultAgent = "main"

// State is what is known of a login beyond its expiry.
type State string

// The states that are remembered.
const (
	StateOK State = "ok"
	// StateNeedsLogin: only a new sign-in helps. It is bound to the refresh
	// token that was refused, so a new login ends it by itself.
	StateNeedsLogin State = "needs_login"
	// StatePendingSave: a renewed login waits, encrypted, in its journal for the
	// keychain to take it.
	StatePendingSave State = "pending_save"
	// StateRetrying: a renewal failed and is tried again at Until.
	StateRetrying State = "retrying"
	// StateMisconfigured: the provider refuses the client, not the login.
	StateMisconfigured State = "misconfigured"
	// StateForeignHost: the login belongs to another machine that shares this
	// keychain.
	StateForeignHost State = "foreign_host"
	// StateMoved: the login has gone to another machine. Reason says for whom it
	// was sealed, Until when.
	StateMoved State = "moved"
)

// Profile is what may be known of a login without the keychain.
type Profile struct {
	Ref
	Provider string
	Kind     Kind
	Account  Account
	// Life is that of the access token.
	Life
	// Generation counts logins and renewals from 1.
	Generation uint64
	State      State
	// Reason is one word for why State is not ok.
	Reason string
	// Lender is the machine whose login this is an access token of; empty for a
	// login of our own.
	Lender string
	// Until is when a retrying login is tried again.
	Until time.Time
	// Rest is that after a failure that was reported. [Store.InOrder] fills it in.
	Rest Rest

	at whereabouts
}

// Rest is how long a login is better not used, and why. Its zero value is none.
type Rest struct {
	Until time.Time
	Cause string
	// Disabled says that more is wrong than a failure or two.
	Disabled bool
}

// whereabouts is what the mirror says about where a profile's secrets, locks
// and journals are.
type whereabouts struct{ rootID, place, key string }
