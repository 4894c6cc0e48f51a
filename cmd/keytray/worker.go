package main

import "github.com/spf13/cobra"

// workerCommand is for the tray: one operation in a process of its own.
func (a *app) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "__worker",
		Short:  "Do one operation for the tray",
		Hidden: true,
		Args:   usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.world.Work(cmd.Context(), a.sys.stdin, a.sys.stdout)
		},
	}
}
