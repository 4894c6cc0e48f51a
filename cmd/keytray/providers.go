package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/oauth/discovery"
	"github.com/keytray/keytray/oauth/wire"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

func (a *app) providersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "providers", Short: "Show and add the services that one can sign in to", Args: usage(cobra.NoArgs), RunE: help,
		Long: `Show the services that one can sign in to, and add others. Some are built in; yours
are files in providers/ of the state folder, which add writes for a server that
describes itself. docs/providers.md says what such a file may have.`,
	}
	var asJSON bool
	list := &cobra.Command{
		Use: "list", Short: "List them, and how to sign in to each", Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return a.listProviders(asJSON) },
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(list, a.providersAddCommand(), &cobra.Command{
		Use: "show PROVIDER", Short: "Print the entry of one, as a provider file", Args: usage(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return a.showProvider(args[0]) },
	}, &cobra.Command{
		Use: "remove PROVIDER", Short: "Remove the file of one of yours, and the secret of its client", Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.removeProvider(cmd.Context(), args[0]) },
	}, &cobra.Command{
		Use: "validate FILE...", Short: "Check provider files, and name line and field of what is wrong", Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return a.validateProviders(args) },
	})
	return cmd
}

// catalog are the providers of the state root; a bad file is said and left out.
func (a *app) catalog() (provider.Catalog, sink.Root, error) {
	root, err := a.root(true)
	if err != nil {
		return nil, root, err
	}
	return a.world.Providers(root), root, nil
}

// listedProvider is one line of providers list.
type listedProvider struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	BuiltIn bool     `json:"builtIn"`
	Ways    []string `json:"ways"`
	Page    string   `json:"page,omitempty"`
}

func (a *app) listProviders(asJSON bool) error {
	catalog, _, err := a.catalog()
	if err != nil {
		return err
	}
	report := struct {
		SchemaVersion int              `json:"schemaVersion"`
		Providers     []listedProvider `json:"providers"`
	}{SchemaVersion: 1}
	for _, p := range catalog {
		_, builtIn := provider.Builtin().Find(p.ID)
		report.Providers = append(report.Providers, listedProvider{p.ID, p.Name, builtIn, p.Ways(), p.Page})
	}
	if asJSON {
		return writeJSON(a.sys.stdout, report)
	}
	t := tabwriter.NewWriter(a.sys.stdout, 0, 0, 2, ' ', 0)
	for _, p := range report.Providers {
		from := "built in"
		if !p.BuiltIn {
			from = "yours"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.ID, plain.Text(p.Name), strings.Join(p.Ways, ", "), from)
	}
	return t.Flush()
}

func (a *app) showProvider(id string) error {
	catalog, _, err := a.catalog()
	if err != nil {
		return err
	}
	p, ok := catalog.Find(id)
	if !ok {
		return setup.Usage(fmt.Errorf("there is no provider %q", id), "see `keytray providers list`")
	}
	b, err := entryText(p)
	if err != nil {
		return err
	}
	_, err = a.sys.stdout.Write(b)
	return err
}

// entryText is p as a provider file.
func entryText(p provider.Provider) ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	return append(b, '\n'), err
}

func (a *app) validateProviders(files []string) error {
	var problems []error
	for _, name := range files {
		if err := validateProvider(name); err != nil {
			problems = append(problems, err)
			continue
		}
		if _, err := fmt.Fprintf(a.sys.stdout, "%s: good\n", name); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return setup.Hinted(errors.Join(problems...), "the members are described in docs/providers.md")
	}
	return nil
}

// validateProvider checks a file that a person named: theirs or not, but no pipe,
// which would be waited for.
func validateProvider(name string) error {
	fi, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return &disk.UnsafeError{Path: name, Reason: "is not a regular file"}
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, provider.MaxFile+1))
	if err != nil {
		return err
	}
	_, err = provider.Read(name, b, provider.Builtin())
	return err
}

// newProvider is what the flags of providers add say.
type newProvider struct {
	issuer, id, name, client, auth, path, redirectHost string
	scopes                                             []string
	ports                                              []int
	allowHTTP, assumePKCE, dryRun, gemini              bool
}

func (a *app) providersAddCommand() *cobra.Command {
	var n newProvider
	cmd := &cobra.Command{
		Use:   "add --issuer URL --client-id ID",
		Short: "Add an OAuth or OpenID provider that describes itself",
		Long: `Ask an authorization server for its metadata (RFC 8414, OpenID Connect
Discovery) and write a provider file of it into providers/ of the state folder.
Nobody asks again: what is in the file holds until somebody changes it.

The client is one that you have registered with the server, as a native app with
the redirect URI http://127.0.0.1/callback. If it has a secret or a key, say with
--client-auth how it is used: the first sign-in asks for it, and it is kept in the
keychain.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.addProvider(cmd.Context(), n) },
	}
	f := cmd.Flags()
	f.BoolVar(&n.gemini, "gemini-cli", false, "experimental: the Google login of Gemini CLI, with the client of the one that is installed")
	f.StringVar(&n.issuer, "issuer", "", "the server's issuer, letter by letter")
	f.StringVar(&n.client, "client-id", "", "id of the registered client")
	f.StringVar(&n.id, "id", "", "what the provider is called in commands (default: made of the host)")
	f.StringVar(&n.name, "name", "", "what it is called for people (default: the host)")
	f.StringVar(&n.auth, "client-auth", "none", "none, client_secret_basic, client_secret_post or private_key_jwt")
	f.StringSliceVar(&n.scopes, "scope", nil, "scope to ask for; repeatable (default: openid, email and offline_access, as the server has them)")
	f.IntSliceVar(&n.ports, "port", nil, "port of the redirect URI; repeatable (default: any that is free)")
	f.StringVar(&n.path, "redirect-path", "/callback", "path of the redirect URI")
	f.StringVar(&n.redirectHost, "redirect-host", "127.0.0.1", "host of the redirect URI: 127.0.0.1, [::1] or localhost")
	f.BoolVar(&n.allowHTTP, "allow-http-loopback", false, "take http from a server on this machine, for development")
	f.BoolVar(&n.assumePKCE, "assume-pkce", false, "take a server that does not say that it does PKCE")
	f.BoolVar(&n.dryRun, "dry-run", false, "print the file instead of writing it")
	return cmd
}

func (a *app) addProvider(ctx context.Context, n newProvider) error {
	if n.gemini {
		return a.addGemini(ctx, n.dryRun)
	}
	if n.issuer == "" || n.client == "" {
		return setup.Usage(errors.New("--issuer or --client-id is missing"), "keytray providers add --help")
	}
	catalog, root, err := a.catalog()
	if err != nil {
		return err
	}
	m, err := discovery.Find(ctx, wire.Client{}, n.issuer, n.allowHTTP)
	if errors.Is(err, discovery.ErrIssuer) && strings.HasPrefix(n.issuer, "http://") {
		return setup.Usage(err, "for a server on this machine: --allow-http-loopback")
	}
	if err != nil {
		return setup.Hinted(err, findHint(err, n))
	}
	p, err := n.entry(m)
	if err != nil {
		return err
	}
	if _, taken := catalog.Find(p.ID); taken {
		return setup.Usage(fmt.Errorf("there is a provider %s already", p.ID), "call the new one something else with --id")
	}
	if !m.ConfirmsPKCE() {
		if !n.assumePKCE {
			return setup.Hinted(errors.New("the server does not say that it does PKCE, without which a stolen code is worth a login"), "if you know that it does: --assume-pkce")
		}
		fmt.Fprintln(a.sys.stderr, "keytray: the server does not say that it does PKCE")
	}
	if len(m.AuthMethods) > 0 && !m.Takes(p.OAuth.ClientAuth) { // one that says nothing often takes others too
		fmt.Fprintf(a.sys.stderr, "keytray: the server does not say that it takes clients with %s; it says %s\n", n.auth, plain.Text(strings.Join(m.AuthMethods, ", ")))
	}
	file, err := a.writeProvider(root, p, n.dryRun)
	if err != nil || n.dryRun {
		return err
	}
	return a.added(p, file)
}

// findHint is what helps where a server was not found to describe itself.
func findHint(err error, n newProvider) string {
	switch {
	case errors.Is(err, discovery.ErrUnusable):
		return ""
	case errors.Is(err, discovery.ErrIssuer) && !n.allowHTTP && strings.HasPrefix(n.issuer, "http://"):
		return "https is needed; for a server on this machine there is --allow-http-loopback"
	case errors.Is(err, discovery.ErrIssuer), errors.Is(err, discovery.ErrOtherIssuer):
		return "the issuer is an https address, letter by letter as the server writes it in its own metadata"
	case errors.Is(err, discovery.ErrNotFound):
		return "ask the server's operator for its issuer, or write the file by hand: docs/providers.md"
	default:
		return "look at the address, and whether this machine can reach it"
	}
}

// addGemini writes the entry of Gemini CLI's login. Its client comes from the
// environment, or from the program.
func (a *app) addGemini(ctx context.Context, dryRun bool) error {
	c := client.GoogleClient{
		ID:     a.world.Getenv("GEMINI_CLI_OAUTH_CLIENT_ID"),
		Secret: secret.New(a.world.Getenv("GEMINI_CLI_OAUTH_CLIENT_SECRET")),
	}
	if c.ID == "" || c.Secret.Empty() {
		var err error
		if c, err = client.FindGoogleClient(a.world.Getenv("PATH")); err != nil {
			return setup.Hinted(err, "install it (npm install -g @google/gemini-cli), or set GEMINI_CLI_OAUTH_CLIENT_ID and GEMINI_CLI_OAUTH_CLIENT_SECRET")
		}
		fmt.Fprintf(a.sys.stderr, "the client is that of %s\n", c.From)
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	p := provider.GeminiCLI(c.ID)
	if err := p.Validate(); err != nil {
		return err
	}
	if _, taken := k.Providers.Find(p.ID); taken {
		return setup.Usage(fmt.Errorf("there is a provider %s already", p.ID), "keytray providers remove "+p.ID)
	}
	root, err := a.root(false)
	if err != nil {
		return err
	}
	file, err := a.writeProvider(root, p, dryRun)
	if err != nil || dryRun {
		return err
	}
	err = a.unlocking(ctx, func() error { return k.KeepClient(ctx, *p.OAuth, c.Secret) })
	if err != nil { // an entry whose client's secret is missing is of no use
		return errors.Join(err, disk.Remove(file))
	}
	return a.added(p, file)
}

// entry is what the metadata and the flags make together.
func (n newProvider) entry(m discovery.Metadata) (provider.Provider, error) {
	host := hostOf(n.issuer)
	if n.name == "" {
		n.name = host
	}
	if n.id == "" {
		n.id = idOf(host)
	}
	if n.scopes != nil {
		m.Scopes = n.scopes
	}
	p, err := m.Provider(n.id, n.name, n.client, n.allowHTTP)
	if err != nil {
		return p, err
	}
	p.OAuth.ClientAuth = provider.ClientAuth(n.auth)
	p.OAuth.Redirect = provider.Redirect{Host: n.redirectHost, Path: n.path, Ports: n.ports}
	if n.scopes != nil {
		p.OAuth.Scopes = n.scopes
	}
	if err := p.Validate(); err != nil {
		return p, setup.Usage(err, "keytray providers add --help")
	}
	return p, nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// idOf makes an id of a host.
func idOf(host string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(host)), "-")
}

// writeProvider says where tokens will go, and writes the file, or with dryRun
// prints it.
func (a *app) writeProvider(root sink.Root, p provider.Provider, dryRun bool) (file string, err error) {
	text, err := entryText(p)
	if err != nil {
		return "", err
	}
	for _, to := range []struct{ what, address string }{{"the browser", p.OAuth.AuthorizationEndpoint}, {"tokens", p.OAuth.TokenEndpoint}} {
		if host := hostOf(to.address); host != hostOf(p.OAuth.Issuer) {
			fmt.Fprintf(a.sys.stderr, "keytray: this issuer sends %s to another host, %s\n", to.what, plain.Text(host))
		}
	}
	if dryRun {
		_, err := a.sys.stdout.Write(text)
		return "", err
	}
	if err := disk.Prepare(root.Dir, provider.Folder); err != nil {
		return "", err
	}
	file = filepath.Join(root.Dir, provider.Folder, p.ID+".json")
	if _, err := os.Lstat(file); err == nil {
		return "", setup.Usage(fmt.Errorf("%s is there already", file), "choose another name with --id, or remove the file")
	}
	return file, disk.Replace(file, text)
}

// added says what was added.
func (a *app) added(p provider.Provider, file string) error {
	fmt.Fprintf(a.sys.stderr, "wrote %s\nsign in with: keytray login %s\n", file, p.ID)
	_, err := fmt.Fprintln(a.sys.stdout, p.ID)
	return err
}

// removeProvider removes a provider of the person's own that nobody is signed in
// to.
func (a *app) removeProvider(ctx context.Context, id string) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	p, ok := k.Providers.Find(id)
	if _, builtIn := provider.Builtin().Find(id); !ok || builtIn {
		return setup.Usage(fmt.Errorf("%s is no provider of yours", id), "see `keytray providers list`")
	}
	for _, agent := range k.Store.AllAgents() {
		for login, err := range k.Store.Profiles(agent.ID) {
			if err == nil && login.Provider == id {
				return setup.Hinted(fmt.Errorf("%s is signed in", login.ID), "keytray logout "+login.ID+" --agent "+agent.ID)
			}
		}
	}
	file, err := provider.FileOf(os.DirFS(k.Store.Dir()), id)
	if err != nil {
		return err
	}
	name := filepath.Join(k.Store.Dir(), filepath.FromSlash(file))
	if err := a.unlocking(ctx, func() error { return k.ForgetClient(ctx, p) }); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.sys.stderr, "removed", name)
	return err
}
