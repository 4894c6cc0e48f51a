package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/sink"
)

const sealedHelp = `
With --sealed the access token, or those of --all logins, goes to another machine
as text that only the --recipient can open, until --expires or until the token
ends; keytray import --sealed reads it there. --move takes the login itself along,
into the file --out: it is not here any more then, and is renewed there at once.`

// sealedExport is how logins go to another machine.
type sealedExport struct {
	sealed, move, all bool
	recipients        []string
	expires           string
}

func (s *sealedExport) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.sealed, "sealed", false, "encrypt it for the --recipient")
	cmd.Flags().StringArrayVar(&s.recipients, "recipient", nil, "who can open it: age1… or \"ssh-ed25519 …\"; may be repeated")
	cmd.Flags().StringVar(&s.expires, "expires", "", "until when it can be opened, such as 12h")
	cmd.Flags().BoolVar(&s.all, "all", false, "with --sealed, all logins of the agent")
	cmd.Flags().BoolVar(&s.move, "move", false, "with --sealed, move the login itself")
}

// wanted reports whether any flag says that it is to be sealed.
func (s *sealedExport) wanted() bool {
	return s.sealed || s.move || s.all || len(s.recipients) > 0 || s.expires != ""
}

// refuse refuses flags that say nothing of what is sealed, rather than to let a
// person believe that they do.
func (s *sealedExport) refuse(cmd *cobra.Command) error {
	without := []string{"format", "shell", "show", "allow-cross-vendor", "min-ttl", "no-refresh"}
	if s.all {
		without = append(without, "profile", "model", "session")
	}
	for _, name := range without {
		if cmd.Flags().Changed(name) {
			return setup.Usage(fmt.Errorf("--%s says nothing of what is sealed", name), "leave it out")
		}
	}
	return nil
}

func (s *sealedExport) check(args []string, out string) (life time.Duration, to sealed.Address, err error) {
	const usage = "keytray export PROFILE --sealed --recipient age1…"
	switch {
	case !s.sealed:
		return 0, to, setup.Usage(errors.New("--sealed is missing"), usage)
	case len(s.recipients) == 0:
		return 0, to, setup.Usage(errors.New("--recipient is missing: nobody could open it"), usage)
	case s.all && (s.move || len(args) > 0):
		return 0, to, setup.Usage(errors.New("--all stands alone: a login that moves has to be named"), usage)
	case s.move && out == "":
		return 0, to, setup.Usage(errors.New("a login is moved into a file only, which is on the disk before it is deleted here"), "name one with --out FILE")
	case s.move && s.expires != "":
		return 0, to, setup.Usage(errors.New("a login that is moved does not expire: it would be nowhere then"), "leave out --expires")
	}
	if life, err = parseLife(s.expires); err != nil {
		return 0, to, setup.Usage(fmt.Errorf("--expires: %w", err), "write it as in --expires 12h")
	}
	to, err = sealed.ParseAddress(s.recipients)
	return life, to, err
}

func (a *app) exportSealed(cmd *cobra.Command, args []string, r sink.Request, s sealedExport, out string) error {
	life, to, err := s.check(args, out)
	if err != nil {
		return err
	}
	if err := s.refuse(cmd); err != nil {
		return err
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	ctx, by := cmd.Context(), keeper.Seal{From: hostname(), To: to}
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, k); err != nil {
			return err
		}
		profiles, err := a.chosen(ctx, k, args, r, s.all)
		if err != nil {
			return err
		}
		if s.move {
			return a.moveAway(ctx, k, profiles[0], by, out)
		}
		b, err := k.Lend(ctx, profiles, by, life)
		if b == nil {
			return err
		}
		return errors.Join(a.writeSealed(k.Store, b, out), err)
	})
	if err == nil {
		a.supply(ctx, k) // of what was renewed, or is not here any more
	}
	return err
}

// chosen are the login that is meant, or all.
func (a *app) chosen(ctx context.Context, k *keeper.Keeper, args []string, r sink.Request, all bool) ([]sink.Profile, error) {
	if !all {
		if err := a.complete(&r, args); err != nil {
			return nil, err
		}
		x, err := a.resolve(ctx, k, r)
		return []sink.Profile{x.Profile}, err
	}
	profiles, err := k.Store.InOrder(a.agent)
	if err != nil {
		return nil, err
	}
	var usable []sink.Profile
	for _, p := range profiles {
		if p.State != sink.StateMoved && p.Lender == "" {
			usable = append(usable, p)
		}
	}
	if len(usable) == 0 {
		return nil, fmt.Errorf("agent %s: %w", a.agent, sink.ErrUnknownProfile)
	}
	return usable, nil
}

func (a *app) moveAway(ctx context.Context, k *keeper.Keeper, p sink.Profile, by keeper.Seal, out string) error {
	file, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	err = k.HandOver(ctx, p, by, file)
	if errors.Is(err, sink.ErrNoRefresh) {
		return setup.Hinted(err, "leave out --move: keys and access tokens are copied")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.sys.stderr, "moved %s into %s; it is not here any more. There: keytray import --sealed %s\n", plain.Text(p.ID), file, filepath.Base(file))
	_, err = fmt.Fprintln(a.sys.stdout, plain.Text(p.ID))
	return err
}

func (a *app) writeSealed(store *sink.Store, b []byte, out string) error {
	if out == "" {
		_, err := a.sys.stdout.Write(b)
		return err
	}
	file, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("finding the file: %w", err)
	}
	return deliver(store, file, b)
}

// hostname is this machine for the people at the other one.
func hostname() string {
	name, err := os.Hostname()
	if name = plain.Line(name, 80); err != nil || name == "" {
		return "another machine"
	}
	return name
}

// importSealed takes over what another machine sealed and prints the ids of the
// profiles.
func (a *app) importSealed(ctx context.Context, file string, dryRun bool) error {
	b, err := a.readSealed(file)
	if err != nil {
		return err
	}
	keys, err := a.world.Opener(ctx, a.wanted.Identity)
	if err != nil {
		return err
	}
	bundle, err := sealed.Open(b, keys, time.Now())
	if err != nil {
		return fmt.Errorf("opening %s: %w", file, err)
	}
	if dryRun {
		return a.foretellSealed(bundle)
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	var got []sink.Profile
	err = a.unlocking(ctx, func() (err error) {
		got, err = k.Receive(ctx, a.agent, bundle)
		return err
	})
	if len(got) > 0 {
		a.supply(ctx, k)
	}
	for _, p := range got {
		fmt.Fprintf(a.sys.stderr, "from %s: %s, %s\n", plain.Text(bundle.From), plain.Text(p.ID), plain.Text(keeper.ConditionOf(p, time.Now()).Sentence))
		if _, printErr := fmt.Fprintln(a.sys.stdout, plain.Text(p.ID)); printErr != nil {
			return errors.Join(err, printErr)
		}
	}
	a.supply(ctx, k)
	return err
}

// maxSealed is more than any sealed file has.
const maxSealed = 2 << 20

func (a *app) readSealed(file string) ([]byte, error) {
	from := a.sys.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxSealed))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return b, nil
}

// foretellSealed says what is in a sealed file.
func (a *app) foretellSealed(b sealed.Bundle) error {
	verb := "lends"
	if b.Move {
		verb = "moves"
	}
	for _, l := range b.Logins {
		whose := ""
		if l.Email != "" {
			whose = " of " + plain.Text(l.Email)
		}
		fmt.Fprintf(a.sys.stderr, "%s %s %s%s, sealed on %s\n", plain.Text(b.From), verb, plain.Text(l.Profile), whose, b.Made.Local().Format(time.DateTime))
		if _, err := fmt.Fprintln(a.sys.stdout, plain.Text(l.Profile)); err != nil {
			return err
		}
	}
	return nil
}
