package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) importCommand() *cobra.Command {
	var dryRun bool
	var sealedFile string
	cmd := &cobra.Command{
		Use:   "import PROGRAM",
		Short: "Move another program's logins into the keychain",
		Long: `Move the logins of another program into the keychain: of openclaw, codex,
claude, pi or opencode. (Those of gemini and copilot stay: they do not rotate, so
copies do no harm.) A login is never in two places that could renew it: what
renews it leaves the program's file, which keeps an access token for as long as
that lives; a key or a setup token leaves it altogether. Whatever ends the
command, each login is here or there in the end.

A login stays where it is if Keytray cannot renew it, or while the program may be
renewing it: five minutes before its access token ends.

With --sealed FILE, or - for stdin, it takes over what another machine's keytray
export --sealed wrote, opened by --identity: an age identity or an SSH key of
ed25519, else the one of the file keychain.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if sealedFile != "" {
				return usage(cobra.NoArgs)(cmd, args)
			}
			return usage(cobra.ExactArgs(1))(cmd, args)
		},
		ValidArgs: client.Programs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if sealedFile != "" {
				return a.importSealed(cmd.Context(), sealedFile, dryRun)
			}
			return a.importFrom(cmd.Context(), args[0], dryRun)
		},
	}
	cmd.Flags().StringVar(&sealedFile, "sealed", "", "a file of keytray export --sealed, - for stdin")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be moved, and what not and why")
	return cmd
}

// importFrom moves what can be moved and prints the ids of the profiles. What
// stays is said on stderr; it is an error only if nothing could be moved.
func (a *app) importFrom(ctx context.Context, program string, dryRun bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	if !dryRun {
		a.warn(a.unlocking(ctx, func() error { return k.FinishImports(ctx) }))
	}
	found, err := a.look(k, program)
	if err != nil {
		return err
	}
	moved, stays := 0, error(nil)
	for _, f := range found {
		err := a.importOne(ctx, k, f, dryRun)
		if err != nil && !remains(err) {
			return err
		}
		if err != nil {
			stays = errors.Join(stays, fmt.Errorf("%s: %w", plain.Line(f.Name, 80), err))
			continue
		}
		moved++
		if _, err := fmt.Fprintln(a.sys.stdout, plain.Text(f.ID)); err != nil {
			return err
		}
	}
	if moved == 0 {
		return stays
	}
	if stays != nil {
		fmt.Fprintf(a.sys.stderr, "keytray: not moved: %s\n", setup.OneLine(stays))
	}
	return nil
}

// look finds all logins of a program; none is an error.
func (a *app) look(k *keeper.Keeper, program string) ([]keeper.Found, error) {
	places, err := a.programs(a.world.StateDir != "")
	if err != nil {
		return nil, err
	}
	sources, err := client.Find(program, places)
	if err != nil {
		return nil, err
	}
	var all []keeper.Found
	var looked error
	for _, s := range sources {
		found, err := k.Look(a.agent, s)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			looked = errors.Join(looked, fmt.Errorf("%w in %s", client.ErrNothing, s.Path))
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, looked
	}
	return all, nil
}

// programs is where other programs keep their files; OpenClaw in the state root if
// here is set.
func (a *app) programs(here bool) (client.Places, error) {
	home, err := a.world.Home()
	if err != nil {
		return client.Places{}, err
	}
	find := a.world.OpenClaw
	if here {
		find = a.world.Root
	}
	p := client.Places{Home: home, Agent: a.agent, Getenv: a.world.Getenv}
	claw, err := find()
	if claw.Dir != "" {
		p.OpenClaw, p.AgentDir, p.Credentials = claw.Dir, claw.AgentDir(a.agent), claw.Credentials()
	}
	return p, err
}

// remains reports whether err says why one login stays where it is, so that the
// others may go.
func remains(err error) bool {
	for _, e := range []error{keeper.ErrStays, keeper.ErrNear, sink.ErrExists, client.ErrNothing} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// importOne moves a login, or with dryRun only says that it would.
func (a *app) importOne(ctx context.Context, k *keeper.Keeper, f keeper.Found, dryRun bool) error {
	if dryRun || f.Why != nil {
		a.foretell(f)
		return f.Why
	}
	var p sink.Profile
	err := a.unlocking(ctx, func() (err error) {
		p, err = k.Import(ctx, a.agent, f)
		return err
	})
	if err != nil {
		return err
	}
	a.supply(ctx, k)
	fmt.Fprintf(a.sys.stderr, "moved %s from %s; %s\n", plain.Text(p.ID), f.Source.Path, remainder(f))
	return nil
}

// foretell says what an import would do.
func (a *app) foretell(f keeper.Found) {
	switch {
	case f.Why != nil:
	case f.Here:
		fmt.Fprintf(a.sys.stderr, "would take %s out of %s, if it is a copy of the one here\n", plain.Text(f.ID), f.Source.Path)
	default:
		fmt.Fprintf(a.sys.stderr, "would move %s from %s\n", plain.Text(f.ID), f.Source.Path)
	}
}

// remainder says what the program has afterwards.
func remainder(f keeper.Found) string {
	switch {
	case f.Kind != sink.KindOAuth, f.Source.IsLegacy(), f.Ends.IsZero():
		return "nothing of it is left there"
	default:
		return "what is left there is an access token that ends at " + f.Ends.Local().Format(time.DateTime) + " and cannot be renewed"
	}
}

// takeIn is what the first command that needs a credential does before anything
// else: it ends the imports that did not live to do so, and takes over OpenClaw's
// oldest file. Only a locked keychain is an error; the rest is said. The tray ends
// such imports as well, but leaves that file to commands: nobody asked for it.
func (a *app) takeIn(ctx context.Context, k *keeper.Keeper) error {
	a.tookIn = true
	err := k.FinishImports(ctx)
	if a.agent == sink.DefaultAgent {
		moved, legacyErr := k.ImportLegacy(ctx, a.agent)
		for _, p := range moved {
			fmt.Fprintf(a.sys.stderr, "keytray: moved %s from %s into the keychain\n", plain.Text(p.ID), filepath.Join(k.Store.Credentials(), "oauth.json"))
		}
		err = errors.Join(err, legacyErr)
	}
	if errors.Is(err, keychain.ErrLocked) {
		return err
	}
	a.warn(err)
	return nil
}

func (a *app) warn(err error) {
	if err != nil {
		a.sys.log.Warn("a login could not be moved", "err", setup.OneLine(err))
	}
}
