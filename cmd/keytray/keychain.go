package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/secret"
)

// chooseKeychain does what --keychain says, before the command runs that it was
// given to.
func (a *app) chooseKeychain(cmd *cobra.Command) error {
	if a.attended() {
		a.world.Ask = a.askUnseen
	}
	opens := cmd.Name() == "import" && cmd.Flags().Changed("sealed")
	if a.wanted.Identity != "" && a.wanted.Keychain == "" && !opens {
		return setup.Usage(errors.New("--identity is for the choice of a keychain, and for import --sealed"), "add --keychain file")
	}
	return a.world.Choose(cmd.Context(), a.wanted)
}

// askUnseen reads one line from the terminal without showing it.
func (a *app) askUnseen(ctx context.Context, what string) (secret.Text, error) {
	f, ok := a.sys.stdin.(*os.File)
	if !ok {
		return secret.Text{}, errors.New("there is no terminal to ask on")
	}
	fd := int(f.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return secret.Text{}, fmt.Errorf("asking for a passphrase: %w", err)
	}
	fmt.Fprintf(a.sys.stderr, "%s (it is not shown): ", what)
	defer fmt.Fprintln(a.sys.stderr)
	line := make(chan secret.Text, 1)
	go func() { // blocked in a read until the process ends, or the line does
		defer close(line)
		if b, err := term.ReadPassword(fd); err == nil {
			line <- secret.New(string(b))
		}
	}()
	select {
	case s, ok := <-line:
		if !ok {
			return s, setup.Usage(errors.New("no passphrase was given"), "run the command again")
		}
		return s, nil
	case <-ctx.Done():
		return secret.Text{}, errors.Join(context.Cause(ctx), term.Restore(fd, state))
	}
}
