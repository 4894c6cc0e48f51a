package keeper

import "github.com/keytray/keytray/sink"

// Step is a point in a renewal or sign-in that decides whether its process may
// be killed.
type Step string

const (
	// StepSending is right before the refresh token is spent.
	StepSending Step = "sending"
	// StepReceived is when a sign-in has its tokens, which are saved next.
	StepReceived Step = "received"
	// StepJournalled is when the answer lies in the journal, where the next
	// process finds it.
	StepJournalled Step = "journalled"
)

// step tells Observe. Only the error of StepSending means something.
func (k *Keeper) step(ref sink.Ref, s Step) error {
	if k.Observe == nil {
		return nil
	}
	return k.Observe(ref, s)
}
