package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/sink"
)

// system is the world as main found it.
type system struct {
	args    []string
	environ []string
	self    string // path of the running program
	version string
	again   <-chan struct{} // closed by a second signal

	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger
	quiet          *slog.Logger // says nothing
}

// app is one run of the command.
type app struct {
	sys    system
	world  *setup.World
	agent  string
	wanted setup.Wanted
	tookIn bool // killed imports were to be ended, see takeIn
}

func newApp(sys system) *app {
	return &app{sys: sys, world: &setup.World{Environ: sys.environ, Self: sys.self, Again: sys.again, Stderr: sys.stderr, Log: sys.log}}
}

func run(ctx context.Context, sys system) int {
	a := newApp(sys)
	cmd := a.command() //nolint:contextcheck // cobra hands ctx to the command it runs
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return setup.ExitDone
	}
	if code, ok := errors.AsType[endError](err); ok { // of a program that had its say
		return int(code)
	}
	return a.report(err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "keytray",
		Short: "Keep logins in the keychain, refreshed, and hand out access tokens",
		Long: `Keytray keeps the logins of AI providers, and of any OAuth service, in the
keychain of the operating system. It signs in through the browser, renews
tokens before they expire, and hands access tokens to the tools that need them.
What renews a login goes to its provider and to nobody else.

Most commands take a PROVIDER (its first login is meant) or a PROFILE, which is
the id of one login, such as openai-codex:ada@example.org; without either the
only login is meant.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 keychain locked or absent,
4 sign-in needed, 5 try again later.`,
		Example: `  keytray login openai-codex     sign in through the browser
  keytray status                 see how the logins are
  keytray run -- codex           run a program with a token of yours
  eval "$(keytray export)"       or have it in the shell`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.chooseKeychain(cmd)
		},
	}
	root.SetArgs(a.sys.args)
	root.SetIn(a.sys.stdin)
	root.SetOut(a.sys.stdout)
	root.SetErr(a.sys.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return setup.Usage(err, cmd.CommandPath()+" --help")
	})
	root.PersistentFlags().StringVar(&a.world.StateDir, "state-dir", "", "folder of what is known of the logins, where no secret is (keytray doctor shows it)")
	root.PersistentFlags().StringVar(&a.agent, "agent", sink.DefaultAgent, "set of logins that is meant, see keytray agents")
	root.PersistentFlags().StringVar(&a.wanted.Keychain, "keychain", "", "where secrets are kept from now on: os (the system's keychain) or file (encrypted files)")
	root.PersistentFlags().StringVar(&a.wanted.Identity, "identity", "", "file of the age identity that opens the encrypted files, or what was sealed for it")
	root.PersistentFlags().BoolVar(&a.wanted.Passphrase, "passphrase", false, "with --keychain file, lock the new identity by a passphrase")
	a.addCommands(root)
	root.AddCommand(a.packagerCommands()...)
	root.AddCommand(a.installerCommands()...)
	return root
}

// addCommands adds the commands of the first level to root, in the groups that its
// help shows. Where the first argument is the name of one, it is made alone: to make
// them all takes 0.4 ms, and there are programs that start us for every request that
// they send.
func (a *app) addCommands(root *cobra.Command) {
	const (
		logins   = "Logins:"
		tokens   = "Tokens for programs:"
		upkeep   = "Upkeep:"
		services = "Services, and several logins:"
		openclaw = "OpenClaw:"
		rest     = "The rest:"
	)
	type maker struct {
		name  string
		group string
		make  func() *cobra.Command
	}
	makers := []maker{
		{"onboard", logins, a.onboardCommand},
		{"login", logins, func() *cobra.Command { return a.loginCommand("login PROVIDER") }},
		{"logout", logins, a.logoutCommand},
		{"status", logins, a.statusCommand},
		{"refresh", logins, a.refreshCommand},
		{"import", logins, a.importCommand},
		{"token", tokens, a.tokenCommand},
		{"export", tokens, a.exportCommand},
		{"run", tokens, a.runCommand},
		{"sync", tokens, a.syncCommand},
		{"helper", tokens, a.helperCommand},
		{"watch", upkeep, a.watchCommand},
		{"doctor", upkeep, a.doctorCommand},
		{"providers", services, a.providersCommand},
		{"which", services, a.whichCommand},
		{"report", services, a.reportCommand},
		{"agents", services, a.agentsCommand},
		{"openclaw", openclaw, a.openclawCommand},
		{"models", openclaw, a.modelsCommand},
		{"channels", openclaw, a.channelsCommand},
		{"demo", rest, a.demoCommand},
		{"version", rest, a.versionCommand},
		{"__worker", rest, a.workerCommand},
	}
	if i := slices.IndexFunc(makers, func(m maker) bool { return len(a.sys.args) > 0 && a.sys.args[0] == m.name }); i >= 0 {
		makers = makers[i : i+1]
		root.CompletionOptions.DisableDefaultCmd = true // it would have commands of its own
	}
	for _, m := range makers {
		if !root.ContainsGroup(m.group) {
			root.AddGroup(&cobra.Group{ID: m.group, Title: m.group})
		}
		c := m.make()
		c.GroupID = m.group
		root.AddCommand(c)
	}
	if root.ContainsGroup(rest) {
		root.SetHelpCommandGroupID(rest)
		root.SetCompletionCommandGroupID(rest)
	}
}

// modelsCommand are the spellings of OpenClaw's page.
func (a *app) modelsCommand() *cobra.Command {
	models := &cobra.Command{Use: "models", Short: "The same commands under OpenClaw's names", Args: usage(cobra.NoArgs), RunE: help}
	auth := &cobra.Command{Use: "auth", Short: "Sign in and out, keep pasted secrets, and order logins", Args: usage(cobra.NoArgs), RunE: help}
	auth.AddCommand(
		a.authLoginCommand(), a.setupTokenCommand(), a.pasteTokenCommand(), a.pasteAPIKeyCommand(),
		a.authListCommand(), a.orderCommand(), a.logoutCommand(),
	)
	models.AddCommand(auth, a.statusCommand())
	return models
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usage makes a wrong number of arguments a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil:
			return nil
		case len(args) == 0:
			return setup.Usage(errors.New("an argument is missing"), cmd.UseLine())
		default:
			return setup.Usage(err, cmd.CommandPath()+" --help")
		}
	}
}

// root finds the state root, and says on stderr when it is not the expected
// one and loud is set.
func (a *app) root(loud bool) (sink.Root, error) {
	r, err := a.world.Root()
	if err == nil && loud && r.Notice != "" {
		fmt.Fprintf(a.sys.stderr, "keytray: %s\n", r.Notice)
	}
	return r, err
}

// keeper opens the store, with a keychain behind it that asks nobody, and the
// providers. With loud it says on stderr when another root than the expected
// one is used.
func (a *app) keeper(loud bool) (*keeper.Keeper, error) {
	if err := sink.CheckAgent(a.agent); err != nil {
		return nil, setup.Usage(err, "keytray --help")
	}
	root, err := a.root(loud)
	if err != nil {
		return nil, err
	}
	secrets, err := a.world.Secrets()
	if err != nil {
		return nil, err
	}
	return a.world.Keeper(root, secrets)
}

// report tells a person what went wrong and what helps, and returns the exit
// code.
func (a *app) report(err error) int {
	code, hint := setup.Explain(err)
	if setup.IsSilent(err) {
		return code
	}
	message := setup.OneLine(err)
	if errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	fmt.Fprintf(a.sys.stderr, "keytray: %s\n", message)
	if hint != "" {
		fmt.Fprintf(a.sys.stderr, "keytray: hint: %s\n", hint)
	}
	return code
}

// unlocking runs f, and should the keychain be locked while somebody sits in
// front of us, asks for it to be unlocked and runs f again. The dialog comes
// before any lock is taken.
func (a *app) unlocking(ctx context.Context, f func() error) error {
	err := f()
	if !errors.Is(err, keychain.ErrLocked) || !a.attended() {
		return err
	}
	if _, inFiles := a.world.KeychainName(); !inFiles {
		fmt.Fprintln(a.sys.stderr, "keytray: the keychain is locked; please unlock it in the dialog")
	}
	if err := a.world.Unlock(ctx); err != nil {
		return err
	}
	return f()
}

// attended reports whether a person sits at the terminal.
func (a *app) attended() bool { return isTerminal(a.sys.stdin) && isTerminal(a.sys.stderr) }

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
