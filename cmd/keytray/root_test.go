package main

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// TestACommandAloneIsTheSame compares each with what it is among all. Those for
// packagers and installers, in no group, are always there.
func TestACommandAloneIsTheSame(t *testing.T) {
	t.Parallel()
	commands := func(args ...string) []*cobra.Command {
		all := newApp(system{args: args}).command().Commands()
		return slices.DeleteFunc(all, func(c *cobra.Command) bool { return c.GroupID == "" })
	}
	for _, want := range commands() {
		alone := commands(want.Name(), "--help")
		if len(alone) != 1 || alone[0].UsageString() != want.UsageString() {
			t.Errorf("keytray %s is %d commands when it is called", want.Name(), len(alone))
		}
	}
}
