package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// signIn is what the flags of a login say.
type signIn struct {
	provider, profileID    string
	device, browser, paste bool
	secretFile             string
}

func (s *signIn) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.profileID, "profile-id", "", "id of the profile to sign in (default: made of provider and account)")
	f.BoolVar(&s.device, "device", false, "show a code, to be entered in a browser anywhere")
	f.BoolVar(&s.browser, "browser", false, "open the browser here, even if there seems to be none")
	f.BoolVar(&s.paste, "paste", false, "only print the address; what the browser ends on is pasted")
	f.BoolVar(&s.paste, "no-browser", false, "the same as --paste")
	f.StringVar(&s.secretFile, "client-secret-file", "", "file with the secret or private key of the provider's client, if it has one; without it, it is asked for once")
}

// loginHelp is what both spellings say of themselves.
const loginHelp = `Sign in and keep the login in the keychain. The browser is opened where there
is one. Where it cannot come back, paste the address it ended on, or the code it
shows; that works at any time while keytray waits.

Where there is no browser (over ssh, or without a display) a code is shown as
well, if the provider has such a login: enter it in any browser, on a telephone
for example. The first answer counts. --device, --browser and --paste insist on
one way.`

func (a *app) loginCommand(use string) *cobra.Command {
	var s signIn
	cmd := &cobra.Command{
		Use:   use,
		Short: "Sign in through the browser, or with a code",
		Long:  loginHelp,
		Args:  usage(cobra.ExactArgs(1)),
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
		Short: "Sign in through the browser, or with a code",
		Long:  loginHelp,
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
		return otherWay(err, k.Providers, s.provider)
	}
	_, err = fmt.Fprintln(a.sys.stdout, p.ID)
	return err
}

// otherWay adds to a sign-in that is not known what the person may have meant.
func otherWay(err error, catalog provider.Catalog, id string) error {
	p, known := catalog.Find(id)
	hint := ""
	switch {
	case !known && errors.Is(err, keeper.ErrUnknownProvider):
		if ids := alike(catalog, id); len(ids) > 0 {
			hint = "perhaps keytray login " + strings.Join(ids, ", or ") + "; `keytray providers list` shows all"
		}
	case !errors.Is(err, keeper.ErrNoBrowserLogin) && !errors.Is(err, keeper.ErrNoDeviceLogin):
	case p.Browser():
		hint = "keytray login " + id + ", or with --paste where no browser comes back"
	case p.Device():
		hint = "keytray login " + id + " --device"
	default:
		hint = "paste a secret of it: keytray models auth " + strings.Join(pastes(p), "|") + " --provider " + id
	}
	if hint == "" {
		return err
	}
	return setup.Usage(err, hint)
}

// pastes are the commands that keep a secret of p.
func pastes(p provider.Provider) []string {
	var commands []string
	for _, c := range []struct {
		takes *provider.Static
		name  string
	}{{p.SetupToken, "setup-token"}, {p.Token, "paste-token"}, {p.APIKey, "paste-api-key"}} {
		if c.takes != nil {
			commands = append(commands, c.name)
		}
	}
	return commands
}

// alike are the providers that go by a word in their id, their name or their
// program.
func alike(catalog provider.Catalog, word string) []string {
	var ids []string
	for _, p := range catalog {
		names := p.ID + " " + p.Name
		if p.SetupToken != nil {
			names += " " + p.SetupToken.Command
		}
		if len(word) > 2 && strings.Contains(strings.ToLower(names), strings.ToLower(word)) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// signIn signs in and says as whom.
func (a *app) signIn(ctx context.Context, k *keeper.Keeper, s signIn) (sink.Profile, error) {
	if s.device && s.browser || s.device && s.paste || s.browser && s.paste {
		return sink.Profile{}, setup.Usage(errors.New("--device, --browser and --paste exclude each other"), "keytray login --help")
	}
	if p, ok := k.Providers.Find(s.provider); ok && s.secretFile != "" && (p.OAuth == nil || !p.OAuth.ClientAuth.Confidential()) {
		return sink.Profile{}, setup.Usage(fmt.Errorf("the client of %s has no secret", s.provider), "leave out --client-secret-file, or say in the provider's file how it is used: token_endpoint_auth_method")
	}
	lines, restore := a.pasted()
	defer restore()
	r := keeper.LoginRequest{
		Agent: a.agent, Provider: s.provider, ProfileID: s.profileID, Pasted: lines,
		Refused: func(err error) {
			fmt.Fprintf(a.sys.stderr, "\nkeytray: %s; still waiting\n", err)
		},
		NewClientKey: s.secretFile != "",
	}
	a.ways(&r, k.Providers, s)
	r.ClientKey = func(ctx context.Context) (secret.Text, error) { return a.clientKey(ctx, s, lines) }
	if err := a.unlocking(ctx, func() error { return k.Store.Ready(ctx) }); err != nil {
		return sink.Profile{}, err
	}
	login, err := k.Login(ctx, r)
	if err != nil {
		return sink.Profile{}, err
	}
	a.supply(ctx, k)
	who := cmp.Or(login.Account.Email, login.Account.ID, login.ID)
	fmt.Fprintf(a.sys.stderr, "signed in to %s as %s\n", login.Provider, plain.Text(who))
	if a.startles(k) {
		fmt.Fprintf(a.sys.stderr, "keytray: %s\nkeytray: hint: keytray openclaw connect\n", startled)
	}
	return login, nil
}

// ways sets the ways to sign in that the person is shown.
func (a *app) ways(r *keeper.LoginRequest, providers provider.Catalog, s signIn) {
	p, _ := providers.Find(s.provider) // the keeper says so if there is none
	here := s.browser || !s.paste && a.hasBrowser()
	if !s.device {
		r.Show = func(url string, why error) error { return a.show(url, why, here, !s.browser) }
	}
	far := !s.browser && !s.paste && (!here || !p.Browser() || a.remote())
	if s.device || far {
		last := "Waiting for you to sign in."
		if !s.device && p.Browser() {
			last = "Or without the code:"
		}
		r.Code = func(c oauth.DeviceCode) error {
			a.showCode(c)
			_, err := fmt.Fprintf(a.sys.stderr, "\n%s\n", last)
			return err
		}
	}
}

// clientKey gets the secret of a provider's client: from the file that was named,
// or from the person at the terminal.
func (a *app) clientKey(ctx context.Context, s signIn, lines <-chan secret.Text) (secret.Text, error) {
	if s.secretFile != "" {
		return readSecretFile(s.secretFile)
	}
	if !a.attended() || lines == nil { // nobody can be asked unseen
		return secret.Text{}, setup.Hinted(sink.ErrNoClientKey, "keytray login "+s.provider+" --client-secret-file FILE")
	}
	fmt.Fprintf(a.sys.stderr, "Paste the secret of this client of %s (it is not shown, and asked for once): ", plain.Text(s.provider))
	defer fmt.Fprintln(a.sys.stderr)
	select {
	case text := <-lines:
		return text, nil
	case <-ctx.Done():
		return secret.Text{}, context.Cause(ctx)
	}
}

const maxSecretFile = 16 << 10

func readSecretFile(name string) (secret.Text, error) {
	f, err := os.Open(name)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the client's secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the client's secret: %w", err)
	}
	return secret.New(string(b)), nil
}

// show brings the sign-in page before the person. Elsewhere lets it tell of a
// browser on the machine that they came from.
func (a *app) show(url string, why error, open, elsewhere bool) error {
	if err := oauth.CheckBrowserURL(url); err != nil {
		return err
	}
	w := a.sys.stderr
	if why != nil {
		fmt.Fprintf(w, "The browser cannot come back by itself: %s.\n", why)
	}
	if open {
		fmt.Fprintf(w, "Opening your browser. If nothing happens, visit\n\n  %s\n\n", url)
		a.openBrowser(url)
	} else {
		fmt.Fprintf(w, "Visit\n\n  %s\n\n", url)
	}
	if tunnel := a.tunnel(url); tunnel != "" && elsewhere && why == nil {
		fmt.Fprintf(w, "A browser on the machine that you came from comes back by itself if you first run there\n\n  %s\n\n", tunnel)
	}
	fmt.Fprintln(w, "Waiting for you to sign in. You may also paste the address that the browser ends on, or the code, here:")
	return nil
}

// tunnel is the command that lets a browser on the other end of this ssh session
// reach our page; empty where there is no such session.
func (a *app) tunnel(page string) string {
	session := strings.Fields(a.world.Getenv("SSH_CONNECTION"))
	u, err := url.Parse(page)
	if err != nil || len(session) != 4 {
		return ""
	}
	redirect, err := url.Parse(u.Query().Get("redirect_uri"))
	if err != nil || redirect.Port() == "" {
		return ""
	}
	port, err := strconv.ParseUint(session[3], 10, 16)
	host, unnamed := os.Hostname()
	if err != nil || unnamed != nil {
		return ""
	}
	tunnel := "ssh -L " + redirect.Port() + ":127.0.0.1:" + redirect.Port()
	if port != 22 {
		tunnel += " -p " + session[3]
	}
	return tunnel + " " + plain.Text(host)
}

// remote reports whether the person came over ssh. A display that came along may
// have no browser behind it.
func (a *app) remote() bool { return a.world.Getenv("SSH_CONNECTION") != "" }

// hasBrowser reports whether there is a chance that a browser appears.
func (a *app) hasBrowser() bool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return !a.remote()
	}
	for _, name := range []string{"DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"} {
		if a.world.Getenv(name) != "" {
			return hasOpener()
		}
	}
	return false
}

// hasOpener reports whether there is a program that package browser would start.
func hasOpener() bool {
	for _, program := range []string{"xdg-open", "x-www-browser", "www-browser"} {
		if _, err := exec.LookPath(program); err == nil {
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
