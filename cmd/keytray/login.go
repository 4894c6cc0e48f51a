package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// signIn is what the flags of a login say.
type signIn struct {
	provider, profileID string
	noBrowser           bool
}

func (s *signIn) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.profileID, "profile-id", "", "id of the profile to sign in (default: made of provider and account)")
	cmd.Flags().BoolVar(&s.noBrowser, "no-browser", false, "only print the address")
}

func (a *app) loginCommand(use string) *cobra.Command {
	var s signIn
	cmd := &cobra.Command{
		Use:   use,
		Short: "Sign in through the browser",
		Long: `Sign in through the browser and keep the login in the keychain. Where the
browser cannot come back, paste the address it ended on, or the code it shows;
that works at any time while keytray waits.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.provider = args[0]
			return a.login(cmd.Context(), s)
		},
	}
	s.flags(cmd)
	return cmd
}

func (a *app) authLoginCommand() *cobra.Command {
	var s signIn
	cmd := &cobra.Command{
		Use:   "login --provider PROVIDER",
		Short: "Sign in through the browser",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.provider == "" {
				return setup.Usage(errors.New("--provider is missing"), "keytray models auth login --provider openai-codex")
			}
			return a.login(cmd.Context(), s)
		},
	}
	cmd.Flags().StringVar(&s.provider, "provider", "", "service to sign in to")
	s.flags(cmd)
	return cmd
}

// login signs in and prints the profile's id.
func (a *app) login(ctx context.Context, s signIn) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	p, err := a.signIn(ctx, k, s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.sys.stdout, p.ID)
	return err
}

// signIn signs in and says as whom.
func (a *app) signIn(ctx context.Context, k *keeper.Keeper, s signIn) (sink.Profile, error) {
	lines, restore := a.pasted()
	defer restore()
	r := keeper.LoginRequest{
		Agent: a.agent, Provider: s.provider, ProfileID: s.profileID,
		Show:   func(url string, why error) error { return a.show(url, why, !s.noBrowser) },
		Pasted: lines,
		Refused: func(err error) {
			fmt.Fprintf(a.sys.stderr, "\nkeytray: %s; still waiting\n", err)
		},
	}
	if err := a.unlocking(ctx, func() error { return k.Store.Ready(ctx) }); err != nil {
		return sink.Profile{}, err
	}
	p, err := k.Login(ctx, r)
	if err != nil {
		return sink.Profile{}, err
	}
	a.supply(ctx, k)
	who := p.Account.Email
	if who == "" {
		who = p.Account.ID
	}
	fmt.Fprintf(a.sys.stderr, "signed in to %s as %s\n", p.Provider, plain.Text(who))
	if a.startles(k) {
		fmt.Fprintf(a.sys.stderr, "keytray: %s\nkeytray: hint: keytray openclaw connect\n", startled)
	}
	return p, nil
}

// show brings the sign-in page before the person.
func (a *app) show(url string, why error, open bool) error {
	if err := oauth.CheckBrowserURL(url); err != nil {
		return err
	}
	w := a.sys.stderr
	if why != nil {
		fmt.Fprintf(w, "The browser cannot come back by itself: %s.\n", why)
	}
	if open && a.hasBrowser() {
		fmt.Fprintf(w, "Opening your browser. If nothing happens, visit\n\n  %s\n\n", url)
		a.openBrowser(url)
	} else {
		fmt.Fprintf(w, "Visit\n\n  %s\n\n", url)
	}
	fmt.Fprintln(w, "Waiting for you to sign in. You may also paste the address that the browser ends on, or the code, here:")
	return nil
}

// hasBrowser reports whether there is a chance that a browser appears.
func (a *app) hasBrowser() bool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return a.world.Getenv("SSH_CONNECTION") == ""
	}
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"} {
		if a.world.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// openBrowser starts the person's browser and does not wait for it: some
// openers live as long as the window does, and so the goroutine ends with the
// opener or with the process. What openers print is dropped.
func (a *app) openBrowser(url string) {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	go func() {
		if err := browser.OpenURL(url); err != nil {
			fmt.Fprintf(a.sys.stderr, "keytray: the browser could not be opened: %s\n", err)
		}
	}()
}

// pasted delivers the lines that arrive on stdin, unseen where it is a
// terminal: a pasted address holds a code. Restore gives the terminal back.
func (a *app) pasted() (lines <-chan secret.Text, restore func()) {
	c := make(chan secret.Text)
	if f, ok := a.sys.stdin.(*os.File); ok && isTerminal(f) {
		fd := int(f.Fd())
		state, err := term.GetState(fd)
		if err != nil {
			return nil, func() {}
		}
		go readHidden(fd, c) // blocked in a read until the process ends
		return c, func() { _ = term.Restore(fd, state) }
	}
	go readLines(a.sys.stdin, c) // likewise
	return c, func() {}
}

func readHidden(fd int, to chan<- secret.Text) {
	defer close(to)
	for {
		line, err := term.ReadPassword(fd)
		if err != nil {
			return
		}
		if len(line) > 0 {
			to <- secret.New(string(line))
		}
	}
}

func readLines(from io.Reader, to chan<- secret.Text) {
	defer close(to)
	s := bufio.NewScanner(from)
	for s.Scan() {
		if s.Text() != "" {
			to <- secret.New(s.Text())
		}
	}
}
