package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
)

// TestWhatHelpsExists finds every command that a state names among ours, with
// its flags.
func TestWhatHelpsExists(t *testing.T) {
	t.Parallel()
	now := time.Now()
	root := newApp(system{}).command()
	var profiles []sink.Profile
	for _, state := range []sink.State{
		sink.StateOK, sink.StateNeedsLogin, sink.StatePendingSave, sink.StateRetrying, sink.StateMisconfigured,
		sink.StateForeignHost, sink.StateMoved, keeper.StateKeychainLocked,
	} {
		profiles = append(profiles, sink.Profile{Kind: sink.KindOAuth, State: state})
	}
	for _, kind := range []sink.Kind{sink.KindToken, sink.KindAPIKey} {
		profiles = append(profiles, sink.Profile{Kind: kind, State: sink.StateOK}, sink.Profile{Kind: kind, State: sink.StateNeedsLogin})
	}
	profiles = append(profiles, sink.Profile{Kind: sink.KindToken, Lender: "laptop"})
	for _, p := range profiles {
		p.Ref, p.Provider, p.Until, p.Expires = sink.Ref{Agent: "work", ID: "acme:a"}, "acme", now.Add(time.Hour), now.Add(-1)
		command := keeper.ConditionOf(p, now).Command
		words := strings.Fields(command)
		if len(words) < 2 || words[0] != "keytray" {
			t.Errorf("%s %s: %q helps", p.Kind, p.State, command)
			continue
		}
		cmd, args, err := root.Find(words[1:])
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s %s: %s: %v", p.Kind, p.State, command, err)
		}
	}
}
