package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) agentsCommand() *cobra.Command {
	agents := &cobra.Command{
		Use: "agents", Short: "Add and list agents, each with logins of its own", Args: usage(cobra.NoArgs), RunE: help,
	}
	agents.AddCommand(a.agentsAddCommand(), a.agentsListCommand())
	return agents
}

// newAgent is what the flags of agents add say.
type newAgent struct {
	workspace, copyFrom string
	asJSON              bool
}

func (a *app) agentsAddCommand() *cobra.Command {
	var n newAgent
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an agent without logins",
		Long: `Add an agent, which has no logins yet: keytray login PROVIDER --agent NAME signs
it in. With --copy-from it also gets the tokens and API keys of another agent.
Logins that renew themselves are never copied: two copies of a refresh token
sign each other out.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.addAgent(cmd.Context(), args[0], n) },
	}
	cmd.Flags().StringVar(&n.workspace, "workspace", "", "folder that the agent works in")
	cmd.Flags().StringVar(&n.copyFrom, "copy-from", "", "agent whose tokens and API keys are copied")
	cmd.Flags().BoolVar(&n.asJSON, "json", false, "print JSON")
	cmd.Flags().Bool("non-interactive", true, "ask nothing, which is always so")
	return cmd
}

func (a *app) addAgent(ctx context.Context, name string, n newAgent) error {
	for _, agent := range []string{name, cmp.Or(n.copyFrom, name)} {
		if err := sink.CheckAgent(agent); err != nil {
			return setup.Usage(err, "keytray agents add --help")
		}
	}
	if n.workspace != "" {
		abs, err := filepath.Abs(n.workspace)
		if err != nil {
			return fmt.Errorf("finding the workspace: %w", err)
		}
		n.workspace = abs
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	there := func(x sink.Agent) bool { return x.ID == n.copyFrom }
	if n.copyFrom != "" && !slices.ContainsFunc(k.Store.AllAgents(), there) {
		return setup.Usage(fmt.Errorf("there is no agent %s", n.copyFrom), "see `keytray agents list`")
	}
	added, err := k.Store.AddAgent(ctx, name, n.workspace)
	if err != nil {
		return err
	}
	var copied []string
	if n.copyFrom != "" {
		if copied, err = a.copyLogins(ctx, k, n.copyFrom, name); err != nil {
			return fmt.Errorf("agent %s was added, but copying the logins of %s ended: %w", name, n.copyFrom, err)
		}
	}
	if n.asJSON {
		return writeJSON(a.sys.stdout, newAgentReport(added, copied))
	}
	for _, id := range copied {
		fmt.Fprintf(a.sys.stderr, "copied %s\n", plain.Text(id))
	}
	_, err = fmt.Fprintln(a.sys.stdout, name)
	return err
}

// copyLogins copies what does not renew itself.
func (a *app) copyLogins(ctx context.Context, k *keeper.Keeper, from, to string) (copied []string, err error) {
	for p, err := range k.Store.Profiles(from) {
		if errors.Is(err, sink.ErrMirrorMissing) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if p.Kind != sink.KindToken && p.Kind != sink.KindAPIKey {
			continue
		}
		if err := a.unlocking(ctx, func() error { return k.Store.Copy(ctx, p.Ref, sink.Ref{Agent: to, ID: p.ID}) }); err != nil {
			return copied, err
		}
		copied = append(copied, p.ID)
	}
	return copied, nil
}

// agentReport is what OpenClaw prints for a new agent. Bindings are its own and
// stay empty.
type agentReport struct {
	AgentID   string   `json:"agentId"`
	Name      string   `json:"name"`
	Workspace string   `json:"workspace"`
	AgentDir  string   `json:"agentDir"`
	Bindings  bindings `json:"bindings"`
	// Copied are the ids of the logins that were copied.
	Copied []string `json:"copied,omitempty"`
}

type bindings struct {
	Added     []string `json:"added"`
	Updated   []string `json:"updated"`
	Skipped   []string `json:"skipped"`
	Conflicts []string `json:"conflicts"`
}

func newAgentReport(a sink.Agent, copied []string) agentReport {
	none := []string{}
	return agentReport{AgentID: a.ID, Name: a.ID, Workspace: a.Workspace, AgentDir: a.Dir, Bindings: bindings{none, none, none, none}, Copied: copied}
}

func (a *app) agentsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the agents",
		Args:  usage(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return a.listAgents(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listedAgent is an agent as OpenClaw's `agents list --json` shows it.
type listedAgent struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	AgentDir  string `json:"agentDir"`
	Bindings  int    `json:"bindings"`
	IsDefault bool   `json:"isDefault"`
	Logins    int    `json:"logins"`
}

func (a *app) listAgents(asJSON bool) error {
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	var list []listedAgent
	for _, agent := range k.Store.AllAgents() {
		l := listedAgent{ID: agent.ID, Workspace: agent.Workspace, AgentDir: agent.Dir, IsDefault: agent.ID == sink.DefaultAgent}
		for _, err := range k.Store.Profiles(agent.ID) {
			if err == nil {
				l.Logins++
			}
		}
		list = append(list, l)
	}
	if asJSON {
		return writeJSON(a.sys.stdout, list)
	}
	for _, l := range list {
		if _, err := fmt.Fprintf(a.sys.stdout, "%s\t%d logins\n", l.ID, l.Logins); err != nil {
			return err
		}
	}
	return nil
}
