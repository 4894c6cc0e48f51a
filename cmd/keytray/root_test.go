package main

import "testing"

// TestACommandAloneIsTheSame compares each with what it is among all.
func TestACommandAloneIsTheSame(t *testing.T) {
	t.Parallel()
	for _, want := range newApp(system{}).command().Commands() {
		alone := newApp(system{args: []string{want.Name(), "--help"}}).command().Commands()
		if len(alone) != 1 || alone[0].UsageString() != want.UsageString() {
			t.Errorf("keytray %s is %d commands when it is called", want.Name(), len(alone))
		}
	}
}
