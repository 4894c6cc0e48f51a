package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

func (a *app) helperCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "helper",
		Short: "Answer programs that ask for a token by running a command",
		Long: `Answer a program that asks for a token by running a command, each in its own
protocol. With --setup a helper prints what has to be pasted, and where, so that
the program asks Keytray: for the login that is named, or for the only one.`,
		Args: usage(cobra.NoArgs),
		RunE: help,
	}
	for _, h := range a.hooks() {
		cmd.AddCommand(a.hookCommand(h))
	}
	cmd.AddCommand(a.gitCommand(), a.dockerCommand(), a.openclawHelper())
	return cmd
}

// hook is a helper that is asked by no more than its start.
type hook struct {
	name, short, long string
	setup             func(export.Setup) ([]export.Part, error)
	// spec is the form of the answer.
	spec func(l *request) (export.Spec, error)
	// vendor says that a plan's token may be for other vendors' programs, gateway
	// that there may be one.
	vendor, gateway bool
}

func (a *app) hooks() []hook {
	fixed := func(s export.Spec) func(*request) (export.Spec, error) {
		return func(*request) (export.Spec, error) { return s, nil }
	}
	curl, _ := export.Find("curl")
	return []hook{
		{
			name: "claude", short: "Answer Claude Code's apiKeyHelper", setup: export.ClaudeSetup, vendor: true, gateway: true,
			long: `Print a key or a gateway's token for Claude Code's apiKeyHelper. The token of a
Claude plan does not work that way and is refused, unless --gateway says that a
gateway takes it.`,
			spec: func(l *request) (export.Spec, error) { return export.ClaudeHook(l.gateway), nil },
		},
		{
			name: "codex", short: "Answer Codex's model_providers.ID.auth", setup: export.CodexSetup, vendor: true,
			long: `Print a token for Codex's model_providers.ID.auth.`, spec: fixed(export.CodexHook()),
		},
		{
			name: "pi", short: `Answer a "!command" in pi's auth.json`, setup: export.PiSetup, vendor: true,
			long: `Print a secret for a "!command" in pi's auth.json.`, spec: fixed(export.PiHook()),
		},
		{
			name: "aws", short: "Answer an AWS credential_process", setup: export.AWSSetup,
			long: `Print an AWS credential for a credential_process. No OAuth token is one: the
login is one whose pasted secret is AKIA...:SECRET, ASIA...:SECRET:SESSION, or the
JSON that "aws sts" prints. It is handed out as it is; nothing renews it.

  keytray models auth paste-api-key --provider aws`,
			spec: fixed(export.AWS()),
		},
		{
			name: "kube", short: "Answer kubectl with an ExecCredential", setup: export.KubeSetup,
			long: `Print an ExecCredential with a bearer token for kubectl and other clients of
Kubernetes, v1 or v1beta1, as KUBERNETES_EXEC_INFO has it.`,
			spec: func(*request) (export.Spec, error) {
				version, err := export.ReadKube(a.world.Getenv("KUBERNETES_EXEC_INFO"))
				if err != nil {
					return export.Spec{}, setup.Usage(err, "kubectl runs this: `keytray helper kube --setup`")
				}
				return export.Kube(version), nil
			},
		},
		{
			name: "curl", short: "Write an Authorization header for curl -K", setup: export.CurlSetup,
			long: `Write an Authorization header in the form that curl -K reads: no process list
shows it.

  keytray helper curl acme | curl -K - https://api.acme.example/v1/me`,
			spec: fixed(curl),
		},
	}
}

func (a *app) hookCommand(h hook) *cobra.Command {
	l := &request{app: a, name: h.name, snippet: h.setup}
	cmd := &cobra.Command{
		Use: h.name + " [PROVIDER|PROFILE]", Short: h.short, Long: h.long,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.login = first(args)
			spec, err := h.spec(l)
			if err != nil {
				return err
			}
			if l.setup {
				return l.printSetup(spec)
			}
			return l.answer(cmd.Context(), spec)
		},
	}
	l.flags(cmd)
	if h.vendor {
		cmd.Flags().BoolVar(&l.crossVendor, "allow-cross-vendor", false, "let a plan's token go to another vendor's tool")
	}
	if h.gateway {
		cmd.Flags().BoolVar(&l.gateway, "gateway", false, "a gateway takes the token of a Claude plan")
	}
	return cmd
}

// openclawHelper is `openclaw resolve` among the others.
func (a *app) openclawHelper() *cobra.Command {
	l := &request{app: a, name: "openclaw", snippet: export.OpenClawSetup}
	cmd := a.resolveCommand()
	resolve := cmd.RunE
	cmd.Use = "openclaw"
	cmd.Args = usage(cobra.MaximumNArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if l.login = first(args); l.setup {
			return l.printSetup(export.Spec{})
		}
		return resolve(cmd, args)
	}
	l.flags(cmd)
	return cmd
}

// request is one call of a helper.
type request struct {
	app *app
	// name is the helper's, login what the person says of the login, if anything.
	name, login string
	snippet     func(export.Setup) ([]export.Part, error)
	hosts       []string

	setup, crossVendor, gateway bool
}

func (l *request) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.setup, "setup", false, "print what has to be pasted, and where")
}

// answer hands the token to the program that asks.
func (l *request) answer(ctx context.Context, spec export.Spec) error {
	if isTerminal(l.app.sys.stdout) {
		return errTerminal()
	}
	k, err := l.app.keeper(false)
	if err != nil {
		return err
	}
	return l.lend(ctx, k, l.login, spec)
}

func errTerminal() error {
	return setup.Usage(errors.New("a token is not printed to a terminal"), "`keytray token --show` shows it; --setup shows how a program gets it")
}

// lend writes the token of a login.
func (l *request) lend(ctx context.Context, k *keeper.Keeper, login string, spec export.Spec) error {
	r := l.app.resolver(k)
	t, renewed, err := l.app.lend(ctx, r, login)
	if err != nil {
		return err
	}
	it := setup.Item(k, t)
	it.CrossVendor = l.crossVendor
	if err := spec.Write(l.app.sys.stdout, it); err != nil {
		return err
	}
	if renewed {
		l.app.leaveSupply(r)
	}
	return nil
}

// lend is a token for a program that may end us at any time: only a worker renews,
// which goes on alone.
func (a *app) lend(ctx context.Context, r *resolver, login string) (t keeper.Token, renewed bool, err error) {
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, r.k); err != nil {
			return err
		}
		x, err := a.resolve(ctx, r.k, sink.Request{Agent: a.agent, Name: login})
		if err != nil {
			return err
		}
		t, err = r.k.Stored(ctx, x.Profile)
		switch {
		case !errors.Is(err, sink.ErrStale):
		case x.Profile.Kind != sink.KindOAuth: // nothing is renewed there
			t, err = r.k.Token(ctx, x.Profile, 0)
		default:
			ctx, cancel := context.WithTimeout(ctx, lendLimit)
			defer cancel()
			t, err = r.renewed(ctx, x.Profile)
		}
		renewed = t.Profile.Generation != x.Profile.Generation
		return err
	})
	return t, renewed, err
}

// printSetup prints what has to be pasted, and says where on stderr.
func (l *request) printSetup(spec export.Spec) error {
	a := l.app
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	s, err := l.settings(k)
	if err != nil {
		return err
	}
	if s.Login.Profile != "" { // what is not there yet may become a key
		if err := spec.Check(s.Login); err != nil {
			return err
		}
	}
	parts, err := l.snippet(s)
	if errors.Is(err, export.ErrNoSetup) {
		return setup.Usage(fmt.Errorf("%s: %w", l.name, err), noSetupHint(l.name))
	}
	if err != nil {
		return setup.Usage(err, "")
	}
	for i, p := range parts {
		if i > 0 {
			fmt.Fprintln(a.sys.stdout)
		}
		fmt.Fprintf(a.sys.stderr, "keytray: for %s:\n", p.Place)
		if _, err := io.WriteString(a.sys.stdout, p.Text); err != nil {
			return fmt.Errorf("writing the setup: %w", err)
		}
	}
	return nil
}

func noSetupHint(name string) string {
	switch name {
	case "codex":
		return "name a login of openai or openai-codex, or of a provider file that has an api"
	case "docker":
		if runtime.GOOS == "windows" {
			return "copy keytray.exe to docker-credential-keytray.exe, name the hosts in a provider file, and keytray in credHelpers"
		}
	}
	return "name the host: --host HOST"
}

// settings are what the snippet is made of. The login need not be there yet, if its
// provider is known.
func (l *request) settings(k *keeper.Keeper) (export.Setup, error) {
	a := l.app
	x, err := k.Store.Resolve(sink.Request{Agent: a.agent, Name: l.login})
	p, known := k.Providers.Find(l.login)
	if err != nil && (!isLost(err) || !known) {
		return export.Setup{}, err
	}
	it := export.Item{Provider: p, CrossVendor: l.crossVendor}
	if err == nil {
		it = setup.Item(k, keeper.Token{Profile: x.Profile})
		it.CrossVendor = l.crossVendor
	} else {
		fmt.Fprintf(a.sys.stderr, "keytray: there is no login of %s yet\n", plain.Text(p.Name))
	}
	hosts, err := l.told(it.Provider)
	if err != nil {
		return export.Setup{}, err
	}
	command, err := l.command(cmp.Or(l.login, it.Profile), hosts)
	return export.Setup{Command: command, Login: it, Hosts: hosts, Windows: runtime.GOOS == "windows"}, err
}

// command is how the program has to run us to get what this call is about, whatever
// its working folder and its environment.
func (l *request) command(login string, hosts []provider.Host) ([]string, error) {
	a := l.app
	if !filepath.IsAbs(a.sys.self) {
		return nil, errors.New("the path of this program is not known")
	}
	words := []string{a.sys.self}
	if dir := cmp.Or(a.world.StateDir, a.world.Getenv("KEYTRAY_STATE_DIR")); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("finding the state folder: %w", err)
		}
		words = append(words, "--state-dir", abs)
	}
	if a.agent != sink.DefaultAgent {
		words = append(words, "--agent", a.agent)
	}
	if l.name == "openclaw" {
		return append(words, "openclaw", "connect", login), nil
	}
	words = append(words, "helper", l.name)
	if l.crossVendor {
		words = append(words, "--allow-cross-vendor")
	}
	if l.gateway {
		words = append(words, "--gateway")
	}
	for _, h := range hosts {
		words = append(words, "--host", h.String())
	}
	if strings.HasPrefix(login, "-") {
		words = append(words, "--")
	}
	return append(words, login), nil
}

// told are the hosts that the person names, else those of the provider's entry.
func (l *request) told(p provider.Provider) ([]provider.Host, error) {
	names := l.hosts
	if len(names) == 0 {
		names = p.Hosts
	}
	var hosts []provider.Host
	for _, s := range names {
		h, err := provider.ParseHost(s)
		if err != nil {
			return nil, setup.Usage(err, "write it as git.example.com, or name@git.example.com:8443")
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}
