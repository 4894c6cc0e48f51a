package autostart

type system = agent

func newSystem(p Place) system {
	return agent{p.Program, p.Home}
}
