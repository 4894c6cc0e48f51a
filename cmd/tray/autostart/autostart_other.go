//go:build !windows && !darwin

package autostart

type system = desktop

func newSystem(p Place) system {
	return newDesktop(p)
}
