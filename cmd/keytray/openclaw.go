package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client/openclaw"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) openclawCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openclaw",
		Short: "Let OpenClaw ask Keytray for its tokens",
		Long: `Let OpenClaw (2026.3.7 and later) ask Keytray for its tokens, so that it keeps
none that could renew itself. connect sets that up, status shows it, disconnect
ends it; resolve is what OpenClaw runs.`,
		Args: usage(cobra.NoArgs),
		RunE: help,
	}
	cmd.AddCommand(a.connectCommand(), a.disconnectCommand(), a.linksCommand(), a.resolveCommand())
	return cmd
}

func (a *app) connectCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "connect [PROFILE...]",
		Short: "Have OpenClaw ask Keytray for the tokens of these logins, or of all",
		Long: `Have OpenClaw ask Keytray for the tokens of these logins, or of all of the agent.
OpenClaw gets references, no token and no refresh token, under names of their own
that come first in its order. Its own commands make the change, after a dry run,
and its audit tries every reference. Run it again after a new login.

A running OpenClaw gateway keeps what it has read. The tray or "keytray watch"
tell it of renewals.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.connect(cmd.Context(), path, args) },
	}
	cmd.Flags().StringVar(&path, "openclaw", "", "path of OpenClaw, if PATH does not lead to it")
	return cmd
}

func (a *app) disconnectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "disconnect",
		Short: "Have OpenClaw forget Keytray",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.disconnect(cmd.Context()) },
	}
}

func (a *app) linksCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which OpenClaw asks Keytray, and for what",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.links(cmd.Context(), check) },
	}
	cmd.Flags().BoolVar(&check, "check", false, "have OpenClaw try every reference")
	return cmd
}

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

func (a *app) connect(ctx context.Context, path string, names []string) error {
	c, err := a.meet(ctx, path)
	if err != nil {
		return err
	}
	if err := c.choose(ctx, names); err != nil {
		return err
	}
	a.say("resolver", c.link.Resolver)
	fmt.Fprintln(a.sys.stderr, "keytray: OpenClaw tries the change, makes it, and checks every reference; it takes its time")
	now := c.link.Current(c.k.Store)
	if err := c.apply(ctx); err != nil {
		return err
	}
	for _, x := range c.link.Profiles {
		a.say("connected", plain.Text(x.Name)+" is "+plain.Text(x.ID))
	}
	if err := a.audit(ctx, c.link, c.version); err != nil {
		return err
	}
	return setup.Reload(ctx, c.link, now)
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

// say prints what was done, as doctor does.
func (a *app) say(what, text string) { fmt.Fprintf(a.sys.stdout, "%-13s %s\n", what, text) }

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

// audit has OpenClaw try every reference, and fails if one does not resolve.
func (a *app) audit(ctx context.Context, l openclaw.Link, v openclaw.Version) error {
	found, err := l.Program.Audit(ctx, v)
	if err != nil {
		return err
	}
	if found.Unresolved > 0 {
		return setup.Hinted(fmt.Errorf("%d of OpenClaw's references do not resolve: %s", found.Unresolved, found.First), "`keytray doctor`, then `openclaw secrets audit --allow-exec`")
	}
	a.say("checked", "OpenClaw resolves all of its references")
	if found.Plaintext > 0 {
		a.say("note", fmt.Sprintf("OpenClaw's files have %d secrets in clear: `openclaw secrets audit` names them", found.Plaintext))
	}
	return nil
}

// disconnect ends the connections of the state folder.
func (a *app) disconnect(ctx context.Context) error {
	links, _, err := a.connected()
	if err != nil {
		return err
	}
	for _, l := range links {
		v, err := l.Program.Version(ctx)
		if err != nil {
			return err
		}
		if l.Shared() {
			return setup.Hinted(errors.New("OpenClaw reads its logins from the file that Keytray writes, and would not start without knowing Keytray"),
				"sign out of the logins, or use another folder: --state-dir")
		}
		if err := a.release(ctx, l, v); err != nil {
			return err
		}
		if err := l.Remove(); err != nil {
			return err
		}
		a.say("disconnected", l.Dir)
	}
	return nil
}

// release removes our profiles from OpenClaw and then Keytray itself, in this
// order: a reference to nobody keeps some versions from starting.
func (a *app) release(ctx context.Context, l openclaw.Link, v openclaw.Version) error {
	for _, x := range l.Profiles {
		if err := a.forget(ctx, l, x); err != nil {
			return err
		}
	}
	for _, g := range groups(l.Profiles) {
		if err := l.Program.SetOrder(ctx, g.agent, g.provider, g.before); err != nil {
			return err
		}
	}
	folder, err := a.world.LinkFolder()
	if err != nil {
		return err
	}
	return l.Program.Disconnect(ctx, v, l.Resolver, folder, time.Now())
}

// connected are the connections of the state folder; none at all is an error.
func (a *app) connected() ([]openclaw.Link, *keeper.Keeper, error) {
	k, err := a.keeper(true)
	if err != nil {
		return nil, nil, err
	}
	links, err := a.world.Links(k.Store.Dir())
	if err == nil && len(links) == 0 {
		err = setup.Hinted(errors.New("no OpenClaw is connected"), "keytray openclaw connect")
	}
	return links, k, err
}

// links shows the connections, from their files alone unless check is set.
func (a *app) links(ctx context.Context, check bool) error {
	links, k, err := a.connected()
	if err != nil {
		return err
	}
	wrong, err := a.resolverWrong()
	if err != nil {
		return err
	}
	for _, l := range links {
		a.say("openclaw", fmt.Sprintf("%s, by %s", l.Dir, l.Program.Path))
		a.say("resolver", l.Resolver+" "+cmp.Or(wrong, "is this version"))
		for _, x := range l.Profiles {
			state := "gone from Keytray"
			if p, err := k.Store.Profile(x.Login()); err == nil {
				state = keeper.ConditionOf(p, time.Now()).Word
			}
			a.say("connected", fmt.Sprintf("%s is %s: %s", plain.Text(x.Name), plain.Text(x.ID), state))
		}
		if l.Owed(l.Current(k.Store)) {
			a.say("owed", "a login was renewed, of which a running gateway does not know yet")
		}
		if !check {
			continue
		}
		v, err := l.Program.Version(ctx)
		if err != nil {
			return err
		}
		if err := a.audit(ctx, l, v); err != nil {
			return err
		}
	}
	if wrong != "" {
		return setup.Hinted(errors.New("the resolver "+wrong), "keytray openclaw connect")
	}
	return nil
}

// resolverWrong says what is wrong with the resolver's copy of this program.
func (a *app) resolverWrong() (string, error) {
	data, err := a.world.Data()
	if err != nil {
		return "", err
	}
	return openclaw.Wrong(a.sys.self, data)
}

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

// startled is what becomes of an OpenClaw that finds our references and does not
// know whom to ask.
const startled = "OpenClaw reads this profile file too, and its gateway will not start before it knows Keytray"

// startles reports whether an OpenClaw finds our references in its folder and was
// not told of Keytray.
func (a *app) startles(k *keeper.Keeper) bool {
	if links, err := a.world.Links(k.Store.Dir()); err != nil || len(links) > 0 || !k.Store.Shared() {
		return false
	}
	for _, agent := range k.Store.Agents() {
		for _, err := range k.Store.Profiles(agent) {
			if err == nil {
				return true
			}
		}
	}
	return false
}

// warnOfLinks says that OpenClaw still asks for a login that has gone.
func (a *app) warnOfLinks(k *keeper.Keeper, ref sink.Ref) {
	links, _ := a.world.Links(k.Store.Dir()) // those that can be read
	for _, l := range links {
		if slices.ContainsFunc(l.Profiles, func(x openclaw.Profile) bool { return x.Login() == ref }) {
			fmt.Fprintln(a.sys.stderr, "keytray: hint: OpenClaw still asks for it: `keytray openclaw connect` again, or `disconnect` if it was the last")
			return
		}
	}
}
