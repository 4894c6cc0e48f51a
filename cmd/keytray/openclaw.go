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

// say prints what was done, as doctor does.
func (a *app) say(what, text string) { fmt.Fprintf(a.sys.stdout, "%-13s %s\n", what, text) }

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
