package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// connection is one run of connect.
type connection struct {
	app     *app
	k       *keeper.Keeper
	version openclaw.Version
	link    openclaw.Link
	folder  string
	// shared says that OpenClaw reads the profile file that we write.
	shared bool
}

// apply has OpenClaw make the change.
func (c *connection) apply(ctx context.Context) error {
	profiles := c.link.Profiles
	if c.shared { // they are there, with their references
		profiles = nil
	}
	p, plan := c.link.Program, openclaw.Connect(c.link.Resolver, c.link.Root, profiles, time.Now())
	if err := p.Try(ctx, c.version, plan, c.folder); err != nil {
		return setup.Hinted(err, "nothing was changed; `keytray doctor` checks Keytray's side")
	}
	if err := c.link.Save(); err != nil { // first, so that a half of it can be undone
		return err
	}
	if err := p.Apply(ctx, c.version, plan, c.folder); err != nil || c.shared {
		return err
	}
	return c.order(ctx)
}

// meet finds OpenClaw, and refuses one that would not bear our files.
func (a *app) meet(ctx context.Context, path string) (*connection, error) {
	k, err := a.keeper(true)
	if err != nil {
		return nil, err
	}
	p, err := openclaw.Find(path, a.sys.environ)
	if err != nil {
		return nil, setup.Hinted(err, "install it, or name it with --openclaw")
	}
	version, err := p.Version(ctx)
	if err != nil {
		return nil, err
	}
	a.say("openclaw", fmt.Sprintf("%s, %s", version, p.Path))
	home, err := a.world.Home()
	if err != nil {
		return nil, err
	}
	dir := p.Dir(home)
	shared := disk.SameFolder(dir, k.Store.Dir())
	if shared && version.HasDatabase() {
		return nil, setup.Hinted(errors.New("this OpenClaw would not start beside Keytray's files in its folder"), "use another folder: --state-dir, or KEYTRAY_STATE_DIR")
	}
	folder, err := a.world.LinkFolder()
	if err != nil {
		return nil, err
	}
	if err := disk.Prepare(folder); err != nil {
		return nil, err
	}
	data, err := a.world.Data()
	if err != nil {
		return nil, err
	}
	if _, err := openclaw.Install(a.sys.self, data); err != nil {
		return nil, err
	}
	old, err := openclaw.Links(folder)
	if err != nil {
		return nil, err
	}
	link := openclaw.NewLink(folder, p, dir, k.Store.Dir(), openclaw.Resolver(data), old)
	return &connection{app: a, k: k, version: version, link: link, folder: folder, shared: shared}, nil
}

// choose finds the logins that are meant, each with a token that works: OpenClaw
// takes a reference only if it resolves.
func (c *connection) choose(ctx context.Context, names []string) error {
	err := c.app.unlocking(ctx, func() error {
		if err := c.app.takeIn(ctx, c.k); err != nil {
			return err
		}
		return c.k.RestoreMissing(ctx) // OpenClaw may have dropped our part of entries in a file that it writes too
	})
	if err != nil {
		return err
	}
	if err := c.prune(ctx); err != nil {
		return err
	}
	chosen, err := c.chosen(names)
	if err != nil {
		return err
	}
	for _, p := range chosen {
		err := c.app.unlocking(ctx, func() error {
			_, err := c.k.Token(ctx, p, 0)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
		x := c.link.Named(p, c.version)
		if c.shared {
			x.Name = p.ID
		}
		same := func(y openclaw.Profile) bool { return y.Login() == x.Login() }
		if i := slices.IndexFunc(c.link.Profiles, same); i >= 0 {
			c.link.Profiles[i] = x
		} else {
			c.link.Profiles = append(c.link.Profiles, x)
		}
	}
	return nil
}

// prune has OpenClaw forget what Keytray has no more: it would ask in vain.
func (c *connection) prune(ctx context.Context) error {
	var kept []openclaw.Profile
	for _, x := range c.link.Profiles {
		if _, err := c.k.Store.Profile(x.Login()); !errors.Is(err, sink.ErrUnknownProfile) && !errors.Is(err, sink.ErrMirrorMissing) {
			kept = append(kept, x)
			continue
		}
		if c.shared { // it has gone with its entry
			continue
		}
		if err := c.app.forget(ctx, c.link, x); err != nil {
			return err
		}
	}
	c.link.Profiles = kept
	return nil
}

// forget removes a profile of ours from OpenClaw.
func (a *app) forget(ctx context.Context, l openclaw.Link, x openclaw.Profile) error {
	if err := l.Program.Forget(ctx, x); err != nil {
		return setup.Hinted(err, "OpenClaw before 2026.8 cannot remove a login; it goes on asking Keytray until it is updated")
	}
	a.say("removed", plain.Text(x.Name))
	return nil
}

// chosen are the logins of these names; without names all that need no sign-in.
func (c *connection) chosen(names []string) ([]sink.Profile, error) {
	var chosen []sink.Profile
	for _, name := range names {
		x, err := c.k.Store.Resolve(sink.Request{Agent: c.app.agent, Name: name})
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, x.Profile)
	}
	if len(names) > 0 {
		return chosen, nil
	}
	for p, err := range c.k.Store.Profiles(c.app.agent) {
		if err != nil {
			return nil, err
		}
		if p.State == sink.StateNeedsLogin {
			c.app.say("left out", plain.Text(p.ID)+" needs a new sign-in")
			continue
		}
		chosen = append(chosen, p)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("agent %s: %w", c.app.agent, sink.ErrUnknownProfile)
	}
	return chosen, nil
}

// order puts our profiles before those that OpenClaw had.
func (c *connection) order(ctx context.Context) error {
	for _, g := range groups(c.link.Profiles) {
		if g.placed == len(g.names) {
			continue
		}
		stored, err := c.link.Program.Order(ctx, g.agent, g.provider)
		if err != nil {
			return err
		}
		rest := stored
		if rest == nil { // versions that do not tell leave ours alone in the order
			rest, _ = c.link.Program.Stored(ctx, g.agent, g.provider)
		}
		if err := c.link.Program.SetOrder(ctx, g.agent, g.provider, append(slices.Clone(g.names), without(rest, g.names)...)); err != nil {
			return err
		}
		if g.placed == 0 {
			g.before = without(stored, g.names)
		}
		for i, x := range c.link.Profiles {
			if x.Agent == g.agent && x.Provider == g.provider {
				c.link.Profiles[i].Placed, c.link.Profiles[i].Before = true, g.before
			}
		}
	}
	return c.link.Save()
}

// group are the profiles of one agent and provider.
type group struct {
	agent, provider string
	names           []string
	// placed is how many stand in OpenClaw's order, before what else stood there
	// when the first of them came.
	placed int
	before []string
}

func groups(profiles []openclaw.Profile) []group {
	var all []group
	for _, x := range profiles {
		i := slices.IndexFunc(all, func(g group) bool { return g.agent == x.Agent && g.provider == x.Provider })
		if i < 0 {
			i = len(all)
			all = append(all, group{agent: x.Agent, provider: x.Provider})
		}
		g := &all[i]
		g.names = append(g.names, x.Name)
		if x.Placed {
			g.placed++
			g.before = x.Before
		}
	}
	return all
}

func without(names, these []string) []string {
	var rest []string
	for _, name := range names {
		if !slices.Contains(these, name) {
			rest = append(rest, name)
		}
	}
	return rest
}
