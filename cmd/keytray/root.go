package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
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
}

// getenv is os.Getenv on what main found.
func (s system) getenv(name string) string {
	for _, entry := range slices.Backward(s.environ) {
		if k, v, ok := strings.Cut(entry, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// app is one run of the command.
type app struct {
	sys      system
	stateDir string
	agent    string

	stuckOnce sync.Once
}

func run(ctx context.Context, sys system) int {
	a := &app{sys: sys}
	cmd := a.command() //nolint:contextcheck // cobra hands ctx to the command it runs
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitDone
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
Refresh tokens never leave the keychain.

Exit codes: 0 done, 1 failed, 2 usage, 3 keychain locked or absent,
4 sign-in needed, 5 try again later.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(a.sys.args)
	root.SetIn(a.sys.stdin)
	root.SetOut(a.sys.stdout)
	root.SetErr(a.sys.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err, cmd.CommandPath() + " --help"}
	})
	root.PersistentFlags().StringVar(&a.stateDir, "state-dir", "", "folder of the profiles' metadata")
	root.PersistentFlags().StringVar(&a.agent, "agent", sink.DefaultAgent, "agent whose logins are meant")
	root.AddCommand(
		a.loginCommand("login PROVIDER"), a.logoutCommand(), a.statusCommand(), a.tokenCommand(), a.exportCommand(), a.refreshCommand(), a.watchCommand(), a.workerCommand(),
		a.doctorCommand(), a.modelsCommand(), a.demoCommand(), a.versionCommand(),
	)
	return root
}

// modelsCommand are the spellings of OpenClaw's page.
func (a *app) modelsCommand() *cobra.Command {
	models := &cobra.Command{Use: "models", Short: "The same commands under OpenClaw's names", Args: usage(cobra.NoArgs), RunE: help}
	auth := &cobra.Command{Use: "auth", Short: "Sign in", Args: usage(cobra.NoArgs), RunE: help}
	auth.AddCommand(a.authLoginCommand())
	models.AddCommand(auth, a.statusCommand())
	return models
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usage makes a wrong number of arguments a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err, cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// root finds the state root, and says on stderr when it is not the expected
// one and loud is set.
func (a *app) root(loud bool) (sink.Root, error) {
	home, err := a.home()
	if err != nil {
		return sink.Root{}, err
	}
	if err := a.checkSudo(home); err != nil {
		return sink.Root{}, err
	}
	r := sink.FindRoot(sink.Places{
		Flag: a.stateDir, Keytray: a.sys.getenv("KEYTRAY_STATE_DIR"), OpenClaw: a.sys.getenv("OPENCLAW_STATE_DIR"),
		Home: home, State: a.stateHome(home),
	})
	if loud && r.Notice != "" {
		fmt.Fprintf(a.sys.stderr, "keytray: %s\n", r.Notice)
	}
	return r, nil
}

// home is the person's home folder, from the user database where HOME is unset.
func (a *app) home() (string, error) {
	if runtime.GOOS == "windows" {
		if h := a.sys.getenv("USERPROFILE"); h != "" {
			return h, nil
		}
	}
	if h := a.sys.getenv("HOME"); filepath.IsAbs(h) {
		return h, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	return u.HomeDir, nil
}

// stateHome is the platform's folder for state that is neither configuration
// nor cache.
func (a *app) stateHome(home string) string {
	if x := a.sys.getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return x
	}
	return a.fixedStateHome(home)
}

// fixedStateHome is the same whatever the XDG variables say: a tray, a cron job
// and an ssh shell of one person must meet on the same locks.
func (a *app) fixedStateHome(home string) string {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support")
	case "windows":
		if l := a.sys.getenv("LOCALAPPDATA"); l != "" {
			return l
		}
		return filepath.Join(home, "AppData", "Local")
	default:
		return filepath.Join(home, ".local", "state")
	}
}

// checkSudo refuses root on another person's home: it would leave files there
// that the person cannot write, and use root's keychain.
func (a *app) checkSudo(home string) error {
	if os.Geteuid() != 0 || a.sys.getenv("SUDO_UID") == "" {
		return nil
	}
	u, err := user.LookupId("0")
	if err == nil && filepath.Clean(u.HomeDir) == filepath.Clean(home) {
		return nil
	}
	return &hintedError{errors.New("running as root in another user's home would spoil their files"), "run keytray without sudo"}
}

// keeper opens the store, with a keychain behind it that asks nobody, and the
// providers. With loud it says on stderr when another root than the expected
// one is used.
func (a *app) keeper(loud bool) (*keeper.Keeper, error) {
	if err := sink.CheckAgent(a.agent); err != nil {
		return nil, &usageError{err, "keytray --help"}
	}
	root, err := a.root(loud)
	if err != nil {
		return nil, err
	}
	home, err := a.home()
	if err != nil {
		return nil, err
	}
	catalog, err := provider.Load(os.DirFS(root.Dir), provider.Builtin())
	if err != nil { // the other providers are good
		a.sys.log.Warn("a provider file is left out", "err", err)
	}
	place := filepath.Join(a.fixedStateHome(home), "keytray", "locks")
	store := sink.Open(root.Dir, place, a.keychain(false))
	store.Stuck = a.stuck
	return &keeper.Keeper{
		Store:     store,
		Client:    &oauth.Client{},
		Providers: catalog,
		Log:       a.sys.log,
	}, nil
}

// stuck says, once, why the command does not end.
func (a *app) stuck(ref sink.Ref, err error) (abandon <-chan struct{}) {
	a.stuckOnce.Do(func() {
		fmt.Fprintf(a.sys.stderr, "keytray: %s was renewed, and neither the keychain nor the disk takes it: %s\n", ref.ID, oneLine(err))
		fmt.Fprintf(a.sys.stderr, "keytray: hint: keep this running and unlock the keyring; interrupting twice loses the login\n")
	})
	return a.sys.again
}

func (a *app) keychain(prompt bool) *keychain.Keychain {
	return keychain.Open(keychain.Options{Prompt: prompt, Bus: a.sys.getenv("DBUS_SESSION_BUS_ADDRESS")})
}

// unlocking runs f, and should the keychain be locked while somebody sits in
// front of us, asks for it to be unlocked and runs f again. The dialog comes
// before any lock is taken.
func (a *app) unlocking(ctx context.Context, f func() error) error {
	err := f()
	if !errors.Is(err, keychain.ErrLocked) || !a.attended() {
		return err
	}
	fmt.Fprintln(a.sys.stderr, "keytray: the keychain is locked; please unlock it in the dialog")
	if _, err := a.keychain(true).Get(ctx, "unlock"); err != nil && !errors.Is(err, keychain.ErrNotFound) {
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
