package main

import (
	"context"

	"github.com/keytray/keytray/client/openclaw"
)

// lookAtOpenClaw checks that the OpenClaw that is installed can live with our
// files, and where it is connected asks this version.
func lookAtOpenClaw(ctx context.Context, v *visit) []finding {
	return append(v.lookAtInstalled(ctx), v.lookAtConnected()...)
}

// lookAtInstalled asks the program itself: after an update its folder bears no
// sign of that until it is used.
func (v *visit) lookAtInstalled(ctx context.Context) []finding {
	p, err := openclaw.Find("", v.a.sys.environ)
	if err != nil {
		return nil // there is none
	}
	version, err := p.Version(ctx)
	switch {
	case version == openclaw.Version{}:
		return []finding{warning("", "%s does not tell its version: %v", p.Path, err)}
	case version.HasDatabase() && v.root.OpenClaw:
		return []finding{failed("`openclaw doctor --fix`, then `keytray doctor --fix`, then `keytray openclaw connect`",
			"OpenClaw %s is installed, which may not start beside our files in %s", version, v.root.Dir)}
	}
	return []finding{fine("%s is installed, %s", version, p.Path)}
}

func (v *visit) lookAtConnected() []finding {
	a := v.a
	links, err := a.world.Links(v.k.Store.Dir())
	if err != nil {
		return []finding{broken(err)}
	}
	if len(links) == 0 {
		if a.startles(v.k) {
			return []finding{warning("keytray openclaw connect", startled)}
		}
		return nil
	}
	wrong, err := a.resolverWrong()
	switch {
	case err != nil:
		return []finding{broken(err)}
	case wrong == "":
		return []finding{fine("asks this version")}
	case !v.fix:
		return []finding{failed(mendable, "the resolver that it asks %s", wrong)}
	}
	data, err := a.world.Data()
	if err == nil {
		_, err = openclaw.Install(a.sys.self, data)
	}
	if err != nil {
		return []finding{broken(err)}
	}
	return []finding{mended("%s is this version now", openclaw.Resolver(data))}
}
