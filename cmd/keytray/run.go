package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/loan"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// endError is the exit code of a program that we ran. It is not to be commented on.
type endError int

func (c endError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// borrower is how a program takes a token.
type borrower struct {
	name string
	// providers are those whose logins it uses, the preferred one first.
	providers []string
	// clashing are variables that would come before what it is lent.
	clashing []string
}

// borrowers are the programs that keytray run knows, by the name of their command
// and of their format.
var borrowers = []borrower{
	{"codex", []string{"openai-codex", "openai"}, []string{"CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "CODEX_HOME"}},
	{"claude", []string{"anthropic"}, []string{
		"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
		"CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR", "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
	}},
	{"gemini", []string{"google"}, []string{"GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_ACCESS_TOKEN"}},
	{"copilot", []string{"github-copilot", "github"}, nil},
	{"opencode", nil, nil},
	{"pi", nil, nil},
	{"aider", nil, nil},
	{"llm", nil, nil},
	{"litellm", nil, nil},
}

func borrowing() []string {
	var names []string
	for _, b := range borrowers {
		names = append(names, b.name)
	}
	return names
}

// known finds the program that a command is, or that --for names.
func known(name string) (borrower, bool) {
	i := slices.IndexFunc(borrowers, func(b borrower) bool { return b.name == name })
	if i < 0 {
		return borrower{}, false
	}
	return borrowers[i], true
}

// lending is one run of keytray run.
type lending struct {
	a       *app
	k       *keeper.Keeper
	to      borrower
	wants   wanted
	cross   bool
	command []string
	// token is what has been lent last.
	token keeper.Token
}

func (a *app) runCommand() *cobra.Command {
	l := lending{a: a}
	var program string
	cmd := &cobra.Command{
		Use:   "run [PROVIDER|PROFILE] [flags] -- COMMAND [ARG...]",
		Short: "Run a program that has an access token for as long as it runs",
		Long: `Run a program with an access token of the login, renewed first where that is due,
and with nothing that could renew it. Streams, terminal, signals and exit code
are the program's. The command's name tells which program it is; --for says it for
a script that starts one.

  codex      a private CODEX_HOME, whose entries are links to those of the real one,
             with an auth.json of its own that is renewed while Codex runs. What
             Codex makes new there ends in the real one
  claude     the token on a pipe, which Claude Code reads once (on Windows, where
             there is no such pipe, in the environment)
  others     the token in the environment, under the name that keytray export has;
             it lasts as long as it lasts: say --min-ttl

A codex or claude without a login named gets the first of its provider. Variables
that would come before what is lent are not passed on (ANTHROPIC_API_KEY to claude,
CODEX_API_KEY to codex). A plan's token goes to its vendor's own program; to
another's only with --allow-cross-vendor.

The exit code is the program's, 128 and the signal's number if a signal ended it;
those of keytray if the program was never started.`,
		Example: `  keytray run -- codex exec "what does this repository do?"
  keytray run anthropic:work -- claude
  keytray run --for codex -- ./nightly.sh`,
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.ArgsLenAtDash()
			if at < 0 || at == len(args) || at > 1 {
				return setup.Usage(errors.New("it is not clear what to run"), "keytray run [PROVIDER|PROFILE] -- COMMAND [ARG...]")
			}
			l.command = args[at:]
			if err := l.know(program); err != nil {
				return err
			}
			if err := a.complete(&l.wants.Request, args[:at]); err != nil {
				return err
			}
			return l.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&program, "for", "", "which program it is: "+strings.Join(borrowing(), ", "))
	cmd.Flags().BoolVar(&l.cross, "allow-cross-vendor", false, "let a plan's token go to another vendor's tool")
	l.wants.flags(cmd)
	return cmd
}

// know finds out which program is run; one that is not known takes a variable.
func (l *lending) know(name string) error {
	if name == "" {
		l.to, _ = known(commandName(l.command[0]))
		return nil
	}
	var ok bool
	if l.to, ok = known(name); !ok {
		return setup.Usage(fmt.Errorf("there is no program %q", name), "one of "+strings.Join(borrowing(), ", ")+"; without --for the token is in the environment")
	}
	return nil
}

// commandName is what people call a program. On Windows npm's have scripts of
// several kinds.
func commandName(path string) string {
	base := filepath.Base(path)
	if runtime.GOOS != "windows" {
		return base
	}
	base = strings.ToLower(base)
	if ext := filepath.Ext(base); slices.Contains([]string{".exe", ".cmd", ".bat", ".com"}, ext) {
		return strings.TrimSuffix(base, ext)
	}
	return base
}

func (l *lending) run(ctx context.Context) error {
	path, err := exec.LookPath(l.command[0])
	if err != nil {
		return fmt.Errorf("looking for the program: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if l.k, err = l.a.keeper(false); err != nil {
		return err
	}
	l.a.world.Sweep(ctx)
	if err := l.borrow(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // a signal before there was a program
		return err
	}
	c := loan.Child{Path: path, Args: l.command, Env: l.environ(), Stdin: file(l.a.sys.stdin), Stdout: file(l.a.sys.stdout), Stderr: file(l.a.sys.stderr)}
	switch {
	case l.to.name == "codex":
		return l.inHome(ctx, c)
	case l.to.name == "claude" && loan.CanPipe:
		text, err := l.text("plain", "anthropic")
		if err != nil {
			return err
		}
		return c.Become(l.descriptor(), text)
	}
	vars, err := l.variables()
	if err != nil {
		return err
	}
	c.Env = append(c.Env, vars...)
	if err := c.Become("", nil); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return ended(c.Run())
}

// ended makes a program's end ours.
func ended(code int, err error) error {
	if err == nil && code != 0 {
		return endError(code)
	}
	return err
}

// file is a standard stream as programs inherit it.
func file(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}

// borrow gets the token.
func (l *lending) borrow(ctx context.Context) error {
	if l.wants.Name+l.wants.Profile+l.wants.Model == "" {
		l.wants.Name = l.preferred()
	}
	t, renewed, err := l.a.fetch(ctx, l.k, l.wants)
	if err != nil {
		return err
	}
	l.token = t
	if renewed {
		l.a.supply(ctx, l.k)
	}
	return nil
}

// preferred is the first of the program's providers that has a login.
func (l *lending) preferred() string {
	for _, provider := range l.to.providers {
		for p, err := range l.k.Store.Profiles(l.a.agent) {
			if err == nil && p.Provider == provider {
				return provider
			}
		}
	}
	if len(l.to.providers) > 0 {
		return l.to.providers[0]
	}
	return ""
}

// environ is the program's environment without what would come before the token.
func (l *lending) environ() []string {
	return slices.DeleteFunc(slices.Clone(l.a.sys.environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(l.to.clashing, name)
	})
}

// item is the token as the formats take it.
func (l *lending) item() export.Item {
	it := setup.Item(l.k, l.token)
	it.CrossVendor = l.cross
	return it
}

// text is the token in a format, for a program of the vendor tool.
func (l *lending) text(format, tool string) ([]byte, error) {
	if err := export.Check(tool, l.item()); err != nil {
		return nil, err
	}
	spec, ok := export.Find(format)
	if !ok {
		return nil, fmt.Errorf("there is no format %q", format)
	}
	var b bytes.Buffer
	err := spec.Write(&b, l.item())
	return b.Bytes(), err
}

// descriptor is the variable in which Claude Code finds the number of a pipe.
func (l *lending) descriptor() string {
	if l.token.Profile.Kind == sink.KindAPIKey {
		return "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR"
	}
	return "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"
}

// variables are those that hold the token for a program that knows nothing else.
func (l *lending) variables() ([]string, error) {
	spec, _ := export.Find(l.to.name) // there is none for most programs
	if err := spec.Check(l.item()); err != nil {
		return nil, err
	}
	switch l.to.name {
	case "opencode":
		text, err := l.text("opencode", "opencode")
		return []string{"OPENCODE_AUTH_CONTENT=" + strings.TrimSpace(string(text))}, err
	case "gemini", "copilot":
		return spec.Environ(l.item())
	}
	env, _ := export.Find("env")
	return env.Environ(l.item())
}

// inHome runs Codex in a private home.
func (l *lending) inHome(ctx context.Context, c loan.Child) error {
	homes, err := l.a.world.Homes()
	if err != nil {
		return err
	}
	places, err := l.a.programs(false)
	if err != nil {
		return err
	}
	theirs, err := client.File("codex", places)
	if err != nil {
		return err
	}
	if err := keptElsewhere(filepath.Dir(theirs.Path), l.command); err != nil {
		return err
	}
	home, err := homes.Open(ctx, l.token.Profile.RefID(), theirs)
	if err != nil {
		return err
	}
	c.Env = append(c.Env, "CODEX_HOME="+home.Dir)
	err = l.fill(ctx, home)
	if err == nil {
		err = l.attend(ctx, home, c)
	}
	aside, closeErr := home.Close(context.WithoutCancel(ctx)) // whatever ended us, the token must go
	for _, path := range aside {
		fmt.Fprintf(l.a.sys.stderr, "keytray: both have changed, so that this is kept beside: %s\n", plain.Text(path))
	}
	if _, ran := errors.AsType[endError](err); ran && closeErr != nil { // its exit code is the program's
		l.a.report(closeErr)
		return err
	}
	return errors.Join(err, closeErr)
}

// fill writes Codex's file with the newest token, which is what is lent from then on.
func (l *lending) fill(ctx context.Context, home *loan.Home) error {
	lent := l.token
	err := home.Write(ctx, func() ([]byte, error) {
		p, err := l.k.Store.Profile(lent.Profile.Ref)
		if err != nil {
			return nil, err
		}
		if l.token, err = l.get(ctx, p); err != nil {
			return nil, err
		}
		return l.text("codex", "openai")
	})
	if err != nil {
		l.token = lent
	}
	return err
}

// get is the newest token of p, renewed if that is due and wanted.
func (l *lending) get(ctx context.Context, p sink.Profile) (keeper.Token, error) {
	if l.wants.noRefresh {
		return l.k.Kept(ctx, p, 0)
	}
	return l.k.Token(ctx, p, 0)
}

// attend runs the program and keeps its token fresh meanwhile. Nothing is said while
// the program has the terminal.
func (l *lending) attend(ctx context.Context, home *loan.Home, c loan.Child) error {
	if err := ctx.Err(); err != nil { // a signal before there was a program
		return err
	}
	l.k.Log = l.a.sys.quiet
	l.a.world.Again = nil // signals are the program's
	tending, stop := context.WithCancel(context.WithoutCancel(ctx))
	tended := make(chan error, 1)
	go func() { tended <- l.tend(tending, home) }() // waited for below
	code, err := c.Run()
	stop()
	if e := <-tended; e != nil && err == nil {
		fmt.Fprintf(l.a.sys.stderr, "keytray: the token was not kept fresh to the end: %s\n", plain.Text(setup.OneLine(e)))
	}
	return ended(code, err)
}

const (
	// tendRest is the longest time between two looks at a login: a laptop's sleep stops
	// timers, and tokens it does not.
	tendRest = 30 * time.Second
	// tendRetry is the pause after a failure; renewals have longer ones of their own.
	tendRetry = 5 * time.Second
)

// tend writes the home's file anew whenever the login has another token, and
// renews it where nobody else does, until ctx ends. It returns the last failure, if
// that was not mended: the program then goes on with what it has.
func (l *lending) tend(ctx context.Context, home *loan.Home) (failure error) {
	changes := make(<-chan setup.Change)
	if folders, err := setup.WatchFiles(l.k.Store); err == nil { // else by the clock alone
		defer folders.Close()
		changes = folders.Changes()
	}
	rest := time.NewTimer(l.rest(nil))
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return failure
		case <-changes:
		case <-rest.C:
		}
		err := l.freshen(ctx, home)
		switch {
		case errors.Is(err, loan.ErrOwn):
			return nil // it has signed in by itself
		case err != nil && ctx.Err() != nil: // which is no failure
			return failure
		}
		failure = err
		rest.Reset(l.rest(failure))
	}
}

// rest is how long nothing need be done of which no file tells.
func (l *lending) rest(failure error) time.Duration {
	if failure != nil {
		return tendRetry
	}
	return min(max(l.k.RipeIn(l.token.Profile), time.Second), tendRest)
}

// freshen writes the newest token, if that is another than was lent.
func (l *lending) freshen(ctx context.Context, home *loan.Home) error {
	p, err := l.k.Store.Profile(l.token.Profile.Ref)
	if err != nil {
		return err
	}
	before := l.token.Profile.Generation
	if p.Generation == before && l.k.RipeIn(p) > 0 {
		return nil
	}
	t, err := l.get(ctx, p) // before the lock, as it may take long
	if err != nil {
		return err
	}
	err = l.fill(ctx, home)
	if t.Profile.Generation != before {
		_ = l.a.world.Supply(ctx, l.k) // it is noted, and the status tells
	}
	return err
}

// keptElsewhere refuses a Codex that is told to look for its login elsewhere than
// in auth.json.
func keptElsewhere(home string, command []string) error {
	const setting = "cli_auth_credentials_store"
	if strings.Contains(strings.Join(command, " "), setting) {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(home, "config.toml"))
	if err != nil {
		return nil // the default is right
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(name) == setting && !strings.Contains(value, "file") {
			return setup.Hinted(errors.New("this Codex keeps its login elsewhere than in auth.json ("+setting+" in its config.toml)"),
				"say so after codex: -c '"+setting+"=\"file\"'")
		}
	}
	return nil
}

// lookAtHomes ends the private homes whose owners were killed.
func lookAtHomes(ctx context.Context, v *visit) []finding {
	homes, err := v.a.world.Homes()
	if err != nil {
		return []finding{broken(err)}
	}
	n, err := homes.Sweep(ctx)
	var found []finding
	if n > 0 {
		found = append(found, mended("took back what %d killed runs of `keytray run` had left", n))
	}
	if err != nil {
		found = append(found, broken(err))
	}
	return found
}
