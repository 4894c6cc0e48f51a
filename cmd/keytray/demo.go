package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

const (
	demoLife    = 20 * time.Second // of an access token
	demoCallers = 8
	demoUser    = "ada"
	// demoSize is the length of a token in bytes: that of the large providers' JWTs.
	demoSize = 4000
)

func (a *app) demoCommand() *cobra.Command {
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show one login from browser to export, and leave nothing behind",
		Long: `Sign in to an authorization server made for the occasion, see where the secrets
are and that no file has them, let the token expire, and have eight programs ask
for a new one at once. It takes half a minute. What it prints it has checked, and
nothing stays: neither in the keychain nor in your home folder. Where there is no
desktop it starts a session bus and a GNOME Keyring of its own; with --keychain
file it keeps its secrets in encrypted files, and needs neither.`,
		Args:              usage(cobra.NoArgs),
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkDemoKeychain() }, // it chooses nothing for good
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := demo{out: a.sys.stdout, live: isTerminal(a.sys.stdout), self: a.sys.self, environ: a.sys.environ, inFiles: a.wanted.Keychain == setup.KeychainFile, log: a.sys.log}
			if a.hasBrowser() && !noBrowser {
				d.browser = a.openBrowser
			}
			return d.run(cmd.Context(), a.world.Getenv("DBUS_SESSION_BUS_ADDRESS"))
		},
	}
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "sign in by a scripted browser")
	return cmd
}

// checkDemoKeychain refuses what the demo would pass over.
func (a *app) checkDemoKeychain() error {
	switch {
	case !slices.Contains([]string{"", setup.KeychainOS, setup.KeychainFile}, a.wanted.Keychain):
		return setup.Usage(fmt.Errorf("there is no keychain %q", a.wanted.Keychain), "choose one of os, file")
	case a.wanted.Identity != "" || a.wanted.Passphrase:
		return setup.Usage(errors.New("the demo makes an identity of its own"), "leave out --identity and --passphrase")
	}
	return nil
}

// demo is one performance of `keytray demo`: everything that Keytray is for, on
// real parts. The first check that fails ends it.
type demo struct {
	out     io.Writer
	live    bool   // out is a terminal, so that a line may change
	self    string // path of this program
	environ []string
	inFiles bool             // the keychain is to be in encrypted files
	browser func(url string) // the person's, if there is one
	log     *slog.Logger

	stage   *stage
	server  *oauthtest.Server
	keeper  *keeper.Keeper
	profile sink.Profile
	steps   int
}

// run takes the stage down whatever happens, a Ctrl-C included.
func (d *demo) run(ctx context.Context, bus string) error {
	fmt.Fprint(d.out, "\nOne login, from browser to export, against a server made for this demo.\n\n")
	var err error
	if d.stage, err = buildStage(ctx, bus, d.inFiles, d.log, d.more); err != nil {
		return err
	}
	err, left := d.play(ctx), d.stage.strike(ctx)
	if left == nil && ctx.Err() != nil {
		return errors.New("interrupted; nothing was left behind")
	}
	if err := errors.Join(err, left); err != nil {
		return err
	}
	d.step("Clean-up", "signed out; the keychain's items and %s are gone", d.stage.dir)
	fmt.Fprint(d.out, "\nEvery line above was checked.\n\n")
	return nil
}

func (d *demo) play(ctx context.Context) error {
	d.server = oauthtest.New(oauthtest.Options{Lifetime: demoLife, Size: demoSize})
	if err := d.server.Start(ctx, "127.0.0.1:0"); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	defer d.server.Close()
	for _, act := range []func(context.Context) error{
		d.introduce, d.signIn, d.showSecrets, d.waitForExpiry, d.callAtOnce, d.goOn, d.signOut,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step prints the first line of a step, more the others.
func (d *demo) step(title, format string, args ...any) {
	d.steps++
	fmt.Fprintln(d.out, d.line(title, fmt.Sprintf(format, args...)))
}

func (d *demo) more(text string) { fmt.Fprintf(d.out, "%19s%s\n", "", text) }

func (d *demo) line(title, text string) string {
	return fmt.Sprintf("%3d  %-14s%s", d.steps, title, text)
}

func (d *demo) introduce(context.Context) error {
	switch {
	case d.inFiles:
		d.step("Keychain", "files of its own, encrypted, as --keychain file says")
	case d.stage.private == nil:
		d.step("Keychain", "yours; what the demo puts there it takes away again")
	default:
		d.step("Keychain", "none to use here: a private session bus with a GNOME Keyring")
	}
	d.step("Server", "%s: rotates refresh tokens, revokes the", d.server.URL)
	d.more(fmt.Sprintf("login when a spent one comes again; access tokens live %s", demoLife))
	d.keeper = &keeper.Keeper{
		Store:     sink.Open(d.stage.root(), d.stage.place(), d.stage.keys),
		Client:    &oauth.Client{},
		Providers: provider.Catalog{d.server.Provider()},
		Log:       d.log,
	}
	return d.stage.writeProvider(d.server)
}

// signIn signs in with the person's browser, or with one that needs no desktop.
func (d *demo) signIn(ctx context.Context) error {
	how, show := "in your browser", d.showPerson
	page := make(chan string, 1)
	if d.stage.private != nil || d.browser == nil {
		how = "by a scripted browser"
		show = func(url string, _ error) error {
			go func() { // ends when the login does, which closes its page
				last, err := oauthtest.Browser{User: demoUser}.Open(ctx, url)
				page <- fmt.Sprint(last.Body, err)
			}()
			return nil
		}
	}
	p, err := d.keeper.Login(ctx, keeper.LoginRequest{Agent: sink.DefaultAgent, Provider: "demo", Show: show})
	if err != nil {
		return err
	}
	if how != "in your browser" && !strings.Contains(<-page, "Signed in") {
		return errors.New("the page after the login does not say signed in")
	}
	if p.Account.Email == "" || p.Expires.IsZero() {
		return errors.New("the login has no account or no expiry")
	}
	d.profile = p
	d.step("Sign-in", "%s, as %s", how, plain.Text(p.ID))
	return nil
}

func (d *demo) showPerson(url string, _ error) error {
	if err := oauth.CheckBrowserURL(url); err != nil {
		return err
	}
	d.more("your browser opens: please allow the sign-in there, or visit")
	d.more(url)
	d.browser(url)
	return nil
}

func (d *demo) showSecrets(context.Context) error {
	itemHash := regexp.MustCompile(`[0-9a-f]{20,}`) // says nothing to a person
	var names []string
	for _, item := range d.stage.keys.items {
		names = append(names, itemHash.ReplaceAllStringFunc(item, func(h string) string { return h[:6] + "…" }))
	}
	if len(names) == 0 {
		return errors.New("nothing was stored in the keychain")
	}
	d.step("Secrets", "in the keychain, under hashed names:")
	for _, name := range names {
		d.more("  " + name)
	}
	return d.searchFiles()
}

// searchFiles fails if a file of the demo holds a secret, the keyring's own
// file (which is encrypted) included.
func (d *demo) searchFiles() error {
	secrets := d.server.Secrets()
	files, found, err := search(secrets, d.stage.dir)
	if err != nil {
		return fmt.Errorf("searching the files: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("a secret lies in %s", strings.Join(found, ", "))
	}
	d.more(fmt.Sprintf("in %d files: none (searched for %d codes, verifiers and tokens)", files, len(secrets)))
	return nil
}

// waitForExpiry lets the first token run out.
func (d *demo) waitForExpiry(ctx context.Context) error {
	first, err := d.token(ctx)
	if err != nil {
		return err
	}
	if !d.server.Valid(first) {
		return errors.New("the server does not know the first token")
	}
	d.steps++
	if !d.live {
		fmt.Fprintln(d.out, d.line("Expiry", fmt.Sprintf("waiting %s for the token to expire", left(d.profile.Expires))))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for d.server.Valid(first) || left(d.profile.Expires) > 0 {
		if d.live {
			fmt.Fprintf(d.out, "\r%s ", d.line("Expiry", fmt.Sprintf("the token expires in %s ", left(d.profile.Expires))))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintln(d.out)
			return ctx.Err()
		}
	}
	if d.live {
		fmt.Fprintf(d.out, "\r%s\n", d.line("Expiry", "the token has expired            "))
	}
	return nil
}

// left is how long it is until then, in whole seconds.
func left(then time.Time) time.Duration { return max(0, time.Until(then)).Round(time.Second) }

// callAtOnce lets programs that know nothing of each other ask for a token at
// the same moment.
func (d *demo) callAtOnce(ctx context.Context) error {
	type answer struct {
		token string
		err   error
	}
	answers := make(chan answer)
	for range demoCallers {
		go func() { // each is waited for below
			token, err := d.token(ctx)
			answers <- answer{token, err}
		}()
	}
	var errs []error
	different := make(map[string]bool)
	valid := 0
	for range demoCallers {
		a := <-answers
		errs = append(errs, a.err)
		different[a.token] = true
		if d.server.Valid(a.token) {
			valid++
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	refreshes := d.server.Stats().Refreshes
	if len(different) != 1 || valid != demoCallers || refreshes != 1 {
		return fmt.Errorf("%d programs got %d different answers, %d of them valid, and the server saw %d refreshes; want 1, %d and 1",
			demoCallers, len(different), valid, refreshes, demoCallers)
	}
	d.step("At once", "%d × keytray token: %[1]d equal answers, and the server saw 1 refresh", demoCallers)
	return nil
}

// token runs `keytray token` as a program of its own.
func (d *demo) token(ctx context.Context) (string, error) {
	// A Ctrl-C reaches it from the terminal; it knows best when to stop.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), d.self, "--state-dir", d.stage.root(), "token", d.profile.ID) //nolint:gosec // this program
	cmd.Env = d.stage.environ(d.environ)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("keytray token: exit %d: %s", exit.ExitCode(), lastLine(string(exit.Stderr)))
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// goOn renews once more: the server has taken the new refresh token, and has
// never seen the old one again.
func (d *demo) goOn(ctx context.Context) error {
	p, err := d.keeper.Store.Profile(d.profile.Ref)
	if err != nil {
		return err
	}
	t, err := d.keeper.Refresh(ctx, p)
	if err != nil {
		return err
	}
	s := d.server.Stats()
	if s.Reuses != 0 || s.Refused != 0 || s.Refreshes != 2 || t.Profile.Generation != 3 {
		return fmt.Errorf("after another refresh the server saw %d refreshes, %d spent tokens and %d refused requests, and the login is of generation %d; want 2, 0, 0 and 3",
			s.Refreshes, s.Reuses, s.Refused, t.Profile.Generation)
	}
	d.step("Rotation", "refreshed again: the login lives; no spent refresh token was sent")
	return d.searchFiles()
}

func (d *demo) signOut(ctx context.Context) error {
	_, _, err := d.keeper.Logout(ctx, d.profile.Ref, false)
	return err
}
