//go:build !linux

package main

import "context"

// None of them has a meaning here.
const noFollow, settle, canBegin = 0, 0, false

// missingBus: there is none here.
func (*program) missingBus() (environ []string, missing bool) { return nil, false }

// begin: nothing here ever asks for it.
func (*program) begin([]string) error { return nil }

// hasScreen: there is always one.
func (*program) hasScreen(context.Context) bool { return true }

// watchBus: there is none to lose.
func (*program) watchBus(context.Context, *tray, func()) {}
