package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

func (a *app) gitCommand() *cobra.Command {
	l := &request{app: a, name: "git", snippet: export.GitSetup}
	cmd := &cobra.Command{
		Use:   "git [PROVIDER|PROFILE] get|store|erase",
		Short: "Be a credential helper of git",
		Long: `Answer git, for the hosts that are named with --host, or, where none is, for those
that provider files name. For any other host there is no answer. Nothing is stored
or erased: git has no say in what Keytray keeps.

Git 2.46 and later are given a bearer token, unless the server wants none; before,
the token is the password of oauth2, or of another name: --host NAME@HOST.`,
		Args: usage(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args, l.git) },
	}
	l.hostFlags(cmd)
	return cmd
}

func (a *app) dockerCommand() *cobra.Command {
	l := &request{app: a, name: "docker", snippet: export.DockerSetup}
	cmd := &cobra.Command{
		Use:   "docker [PROVIDER|PROFILE] get|list",
		Short: "Be a credential helper of docker",
		Long: `Answer docker, for the registries that are named with --host, or, where none is,
for those that provider files name. Docker's store and erase are refused: sign in
with Keytray.

The token is the password of oauth2, or of another name: --host NAME@HOST.`,
		Args: usage(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args, l.docker) },
	}
	l.hostFlags(cmd)
	return cmd
}

func (l *request) hostFlags(cmd *cobra.Command) {
	l.flags(cmd)
	cmd.Flags().StringArrayVar(&l.hosts, "host", nil, "a host that the login is for: [NAME@]HOST[:PORT]")
}

// run tells the verb, which the program adds at the end, from the login.
func (l *request) run(cmd *cobra.Command, args []string, do func(context.Context, string) error) error {
	if l.setup {
		if len(args) > 1 {
			return setup.Usage(errors.New("--setup takes one login"), cmd.CommandPath()+" --help")
		}
		l.login = first(args)
		return l.printSetup(export.Spec{})
	}
	if len(args) == 0 {
		return setup.Usage(errors.New("what to do is not said"), cmd.CommandPath()+" --help")
	}
	if len(args) == 2 {
		l.login = args[0]
	}
	return do(cmd.Context(), args[len(args)-1])
}

// git does what https://git-scm.com/docs/gitcredentials#_custom_helpers demands: of
// any verb but get nothing, silently, whatever state we are in.
func (l *request) git(ctx context.Context, verb string) error {
	if verb != "get" {
		return nil
	}
	if isTerminal(l.app.sys.stdout) {
		return errTerminal()
	}
	q, err := export.ReadGit(l.app.sys.stdin)
	if err != nil {
		return setup.Usage(err, "git runs this: `keytray helper git --setup`")
	}
	asked, err := provider.ParseHost(q.Protocol + "://" + q.Host)
	if err != nil {
		return nil //nolint:nilerr // not one of ours: git asks the next helper
	}
	k, err := l.app.keeper(false)
	if err != nil {
		return err
	}
	s, err := l.serving(k, asked)
	if err != nil || s == nil {
		return err
	}
	return l.lend(ctx, k, s.login, export.Git(q, s.host.User))
}

// docker does what docker-credential-helpers says, errors on stdout included:
// docker shows them.
func (l *request) docker(ctx context.Context, verb string) error {
	err := l.dockerVerb(ctx, verb)
	if err != nil {
		fmt.Fprintln(l.app.sys.stdout, setup.OneLine(err))
	}
	return err
}

func (l *request) dockerVerb(ctx context.Context, verb string) error {
	switch verb {
	case "get":
		return l.dockerGet(ctx)
	case "list":
		return l.dockerList()
	case "store", "erase":
		return setup.Hinted(errors.New("keytray takes no credentials of docker's"), "sign in with `keytray login`, sign out with `keytray logout`")
	default:
		return setup.Hinted(fmt.Errorf("there is no %q", verb), "docker asks for get or list")
	}
}

func (l *request) dockerGet(ctx context.Context) error {
	if isTerminal(l.app.sys.stdout) {
		return errTerminal()
	}
	server, err := export.ReadServer(l.app.sys.stdin)
	if err != nil {
		return setup.Usage(err, "docker runs this: `keytray helper docker --setup`")
	}
	k, err := l.app.keeper(false)
	if err != nil {
		return err
	}
	for _, host := range export.RegistryHosts(server) {
		asked, err := provider.ParseHost(host)
		if err != nil {
			continue // not one of ours
		}
		s, err := l.serving(k, asked)
		if err != nil {
			return err
		}
		if s != nil {
			return l.lend(ctx, k, s.login, export.Docker(server, s.host.User))
		}
	}
	return setup.Silent(errors.New(export.DockerNotFound))
}

func (l *request) dockerList() error {
	k, err := l.app.keeper(false)
	if err != nil {
		return err
	}
	all, err := l.services(k)
	if err != nil {
		return err
	}
	users := map[string]string{}
	for _, s := range all {
		users[s.host.Address()] = export.RegistryUser(s.host.User)
	}
	return export.DockerList(l.app.sys.stdout, users)
}

// service is a host that is answered for, and with which login.
type service struct {
	login string
	host  provider.Host
}

// serving is who serves a host; nil if we were not told that anybody does.
func (l *request) serving(k *keeper.Keeper, asked provider.Host) (*service, error) {
	all, err := l.services(k)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.host.Is(asked) {
			return &s, nil
		}
	}
	return nil, nil
}

// services are those that the person named in the call. Without any they are those of
// the login's provider, and without a login those of all providers that have one.
func (l *request) services(k *keeper.Keeper) ([]service, error) {
	if len(l.hosts) > 0 {
		return l.servicesOf(provider.Provider{}, l.login)
	}
	if l.login != "" {
		x, err := k.Store.Resolve(sink.Request{Agent: l.app.agent, Name: l.login})
		if err != nil {
			return nil, err
		}
		p, _ := k.Providers.Find(x.Profile.Provider)
		return l.servicesOf(p, l.login)
	}
	var all []service
	for _, p := range k.Providers {
		if len(p.Hosts) == 0 || !l.signedIn(k, p.ID) {
			continue
		}
		some, err := l.servicesOf(p, p.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (l *request) servicesOf(p provider.Provider, login string) ([]service, error) {
	hosts, err := l.told(p)
	if err != nil {
		return nil, err
	}
	all := make([]service, len(hosts))
	for i, h := range hosts {
		all[i] = service{login, h}
	}
	return all, nil
}

// signedIn reports whether there is a login of the provider, of whatever state.
func (l *request) signedIn(k *keeper.Keeper, id string) bool {
	for p, err := range k.Store.Profiles(l.app.agent) {
		if err == nil && p.Provider == id {
			return true
		}
	}
	return false
}
