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
	named := 0
	for _, state := range []sink.State{
		sink.StateOK, sink.StateNeedsLogin, sink.StatePendingSave, sink.StateRetrying, sink.StateMisconfigured,
		sink.StateForeignHost, keeper.StateKeychainLocked,
	} {
		p := sink.Profile{Ref: sink.Ref{Agent: "work", ID: "acme:a"}, Provider: "acme", Kind: sink.KindOAuth, State: state, Until: now.Add(time.Hour)}
		p.Expires = now.Add(-1)
		command := keeper.ConditionOf(p, now).Command
		words := strings.Fields(command)
		if len(words) < 2 || words[0] != "keytray" {
			t.Errorf("%s: %q helps", state, command)
			continue
		}
		named++
		cmd, args, err := root.Find(words[1:])
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", state, command, err)
		}
	}
	if named != 7 {
		t.Errorf("%d states name a command, want 7", named)
	}
}
