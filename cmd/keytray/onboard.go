package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// onboarding is what the flags of the guide say; what they do not say is asked.
type onboarding struct {
	signIn
	method, expiresIn      string
	nonInteractive, asJSON bool
}

func (a *app) onboardCommand() *cobra.Command {
	var o onboarding
	cmd := &cobra.Command{
		Use:   "onboard",
		Short: "Be guided to a working login",
		Long: `Choose a service and how to sign in, sign in, and see that it works. What a flag
says is not asked. With --non-interactive nothing is asked: --provider is needed,
and --method where there are several; a secret is one line of stdin.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.onboard(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.provider, "provider", "", "service to sign in to")
	cmd.Flags().StringVar(&o.method, "method", "", "how: browser, device, setup-token, token or api-key")
	cmd.Flags().StringVar(&o.expiresIn, "expires-in", "", "when a token ends, such as 365d or 12h")
	cmd.Flags().BoolVar(&o.nonInteractive, "non-interactive", false, "ask nothing")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	o.flags(cmd)
	return cmd
}

// method is a way to sign in.
type method struct {
	name  string
	words string // for people
	kind  keeper.Pasted
	hint  string
}

// methods are those that a provider has, the best first.
func methods(p provider.Provider) (all []method) {
	switch {
	case p.Browser():
		all = append(all, method{name: "browser", words: "sign in through the browser; it renews itself"})
	case p.Device():
		all = append(all, method{name: "device", words: "sign in with a code, in any browser; it renews itself"})
	}
	for _, m := range []struct {
		method
		static *provider.Static
	}{
		{method{name: "setup-token", words: "paste a setup-token", kind: keeper.SetupToken}, p.SetupToken},
		{method{name: "api-key", words: "paste an API key", kind: keeper.APIKey}, p.APIKey},
		{method{name: "token", words: "paste a token that was made elsewhere", kind: keeper.BearerToken}, p.Token},
	} {
		if m.static == nil {
			continue
		}
		if m.static.Command != "" {
			m.hint = "Run `" + m.static.Command + "` in another terminal; it prints the token."
		} else if m.static.Page != "" {
			m.hint = "Make one at " + m.static.Page
		}
		all = append(all, m.method)
	}
	return all
}

// onboard leads to a working login and prints the profile's id.
func (a *app) onboard(ctx context.Context, o onboarding) error {
	life, err := parseLife(o.expiresIn)
	if err != nil {
		return setup.Usage(fmt.Errorf("--expires-in: %w", err), "keytray onboard --expires-in 365d")
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	p, err := a.chooseProvider(ctx, k.Providers, o)
	if err != nil {
		return err
	}
	m, err := a.chooseMethod(ctx, p, o)
	if err != nil {
		return err
	}
	o.provider = p.ID
	var login sink.Profile
	if m.kind == "" {
		login, err = a.signIn(ctx, k, o.signIn)
	} else {
		if m.hint != "" && !o.nonInteractive {
			fmt.Fprintf(a.sys.stderr, "\n%s\n", plain.Text(m.hint))
		}
		login, err = a.keep(ctx, k, paste{kind: m.kind, provider: p.ID, profileID: o.profileID}, life)
	}
	if err != nil {
		return err
	}
	return a.prove(ctx, k, login, o.asJSON)
}

// onboardReport is what --json prints.
type onboardReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	Agent         string `json:"agent"`
	Profile       string `json:"profile"`
	Provider      string `json:"provider"`
	Type          string `json:"type"`
	Email         string `json:"email,omitempty"`
	ExpiresAt     string `json:"expiresAt,omitempty"` // RFC 3339
	Works         bool   `json:"works"`
}

// prove asks for a token as any tool would, and says what to do with the login.
func (a *app) prove(ctx context.Context, k *keeper.Keeper, p sink.Profile, asJSON bool) error {
	if _, err := k.Token(ctx, p, 0); err != nil {
		return fmt.Errorf("the login is kept, but hands out no token: %w", err)
	}
	if asJSON {
		return writeJSON(a.sys.stdout, onboardReport{1, p.Agent, p.ID, p.Provider, string(p.Kind), p.Account.Email, expiry(p), true})
	}
	fmt.Fprintf(a.sys.stderr, `
It works. From now on:

  keytray status         shows how your logins are
  keytray token --show   shows a token that works now
  keytray watch          keeps tokens fresh, where no tray icon does
  keytray --help         shows the rest

`)
	_, err := fmt.Fprintln(a.sys.stdout, p.ID)
	return err
}

func (a *app) chooseProvider(ctx context.Context, all provider.Catalog, o onboarding) (provider.Provider, error) {
	if o.provider != "" {
		p, ok := all.Find(o.provider)
		if !ok {
			return p, fmt.Errorf("%s: %w", o.provider, keeper.ErrUnknownProvider)
		}
		return p, nil
	}
	var choices []choice
	for _, p := range all {
		choices = append(choices, choice{p.ID, plain.Text(p.Name)})
	}
	i, err := a.choose(ctx, o, "--provider", "Which service do you want to sign in to?", choices)
	if err != nil {
		return provider.Provider{}, err
	}
	return all[i], nil
}

func (a *app) chooseMethod(ctx context.Context, p provider.Provider, o onboarding) (method, error) {
	all := methods(p)
	if o.method != "" {
		i := slices.IndexFunc(all, func(m method) bool { return m.name == o.method })
		if i < 0 {
			return method{}, setup.Usage(fmt.Errorf("%s has no method %q", p.ID, o.method), "keytray onboard --provider "+p.ID)
		}
		return all[i], nil
	}
	switch len(all) {
	case 0:
		return method{}, fmt.Errorf("%s: %w", p.ID, keeper.ErrNoBrowserLogin)
	case 1:
		return all[0], nil
	}
	var choices []choice
	for _, m := range all {
		choices = append(choices, choice{m.name, m.words})
	}
	i, err := a.choose(ctx, o, "--method", "How?", choices)
	if err != nil {
		return method{}, err
	}
	return all[i], nil
}

// choice is one of several: a name to be typed, and what it means.
type choice struct{ name, words string }

// choose lets the person choose by number or name, as often as it takes. Where
// nobody can be asked the flag is missing.
func (a *app) choose(ctx context.Context, o onboarding, flag, question string, choices []choice) (int, error) {
	var names []string
	width := 0
	for _, c := range choices {
		names = append(names, c.name)
		width = max(width, len(c.name))
	}
	if o.nonInteractive || !a.attended() {
		return 0, setup.Usage(fmt.Errorf("%s is missing", flag), "one of "+strings.Join(names, ", "))
	}
	w := a.sys.stderr
	fmt.Fprintf(w, "\n%s\n\n", question)
	for i, c := range choices {
		fmt.Fprintf(w, "%3d  %-*s  %s\n", i+1, width, c.name, c.words)
	}
	for {
		fmt.Fprint(w, "\nNumber or name: ")
		answer, err := a.readLine(ctx)
		if err != nil {
			return 0, err
		}
		answer = strings.TrimSpace(answer)
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(choices) {
			return n - 1, nil
		}
		if i := slices.Index(names, answer); i >= 0 {
			return i, nil
		}
		fmt.Fprintf(w, "Please answer with a number from 1 to %d, or one of the names.\n", len(choices))
	}
}

// readLine reads a line of stdin and nothing behind it: what follows may be a
// secret, and is read unseen. When ctx ends first, the read ends with the
// process.
func (a *app) readLine(ctx context.Context) (string, error) {
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := readToNewline(a.sys.stdin)
		done <- read{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func readToNewline(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if len(line) > 1000 {
			return "", errors.New("that line is too long")
		}
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
	}
}
