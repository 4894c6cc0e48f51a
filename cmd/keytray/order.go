package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// orderCommand has OpenClaw's words and output.
func (a *app) orderCommand() *cobra.Command {
	var o orderOf
	cmd := &cobra.Command{
		Use:   "order",
		Short: "Show or set which login of a provider comes first",
		Long: `Show, set or clear the stored order of a provider's logins. While one is stored,
logins that it does not name are used only if they are named. A login that is
new joins its end. The keychain is not asked.`,
		Args: usage(cobra.NoArgs),
		RunE: help,
	}
	cmd.PersistentFlags().StringVar(&o.provider, "provider", "", "provider whose logins are meant")
	cmd.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print JSON")
	cmd.AddCommand(
		&cobra.Command{
			Use: "get --provider PROVIDER", Short: "Show the stored order", Args: usage(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error { return a.order(o, nil) },
		},
		&cobra.Command{
			Use: "set --provider PROVIDER PROFILE...", Short: "Store an order, best first", Args: usage(cobra.MinimumNArgs(1)),
			RunE: func(cmd *cobra.Command, ids []string) error {
				return a.order(o, func(s *sink.Store) error { return s.SetOrder(cmd.Context(), a.agent, o.provider, ids...) })
			},
		},
		&cobra.Command{
			Use: "clear --provider PROVIDER", Short: "Forget the stored order", Args: usage(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.order(o, func(s *sink.Store) error { return s.SetOrder(cmd.Context(), a.agent, o.provider) })
			},
		},
	)
	return cmd
}

// orderOf says whose order is meant, and how it is shown.
type orderOf struct {
	provider string
	asJSON   bool
}

type orderReport struct {
	SchemaVersion int    `json:"schemaVersion"`
	AgentID       string `json:"agentId"`
	AgentDir      string `json:"agentDir"`
	Provider      string `json:"provider"`
	// StorePath is the file that has the order, and has OpenClaw's two names.
	StorePath string `json:"authStorePath"`
	StatePath string `json:"authStatePath"`
	// Order is null if none is stored.
	Order []string `json:"order"`
}

// order changes the stored order, if change is given, and shows it.
func (a *app) order(o orderOf, change func(*sink.Store) error) error {
	if strings.TrimSpace(o.provider) == "" {
		return setup.Usage(errors.New("--provider is missing"), "keytray models auth order get --provider openai-codex")
	}
	k, err := a.keeper(true)
	if err != nil {
		return err
	}
	if change != nil {
		if err := change(k.Store); err != nil {
			return err
		}
	}
	ids, err := k.Store.Order(a.agent, o.provider)
	if err != nil {
		return err
	}
	file := k.Store.OrderFile(a.agent)
	if o.asJSON {
		dir := k.Store.Agent(a.agent).Dir
		return writeJSON(a.sys.stdout, orderReport{1, a.agent, dir, o.provider, file, file, ids})
	}
	list := strings.Join(ids, ", ")
	if ids == nil {
		list = "(none)"
	}
	_, err = fmt.Fprintf(a.sys.stdout, "Agent: %s\nProvider: %s\nAuth file: %s\nOrder override: %s\n", a.agent, plain.Text(o.provider), file, plain.Text(list))
	return err
}
