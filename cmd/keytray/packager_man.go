//go:build man

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// packagerCommands are those of a build that packages are made with: the writer
// of the man pages, which brings libraries that nobody needs at home.
func (a *app) packagerCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "__man FOLDER",
		Short:  "Write a man page for each command",
		Hidden: true,
		Args:   usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			head := &doc.GenManHeader{Section: "1", Source: "Keytray", Manual: "Keytray"} // dated by SOURCE_DATE_EPOCH
			if err := doc.GenManTree(root, head, args[0]); err != nil {
				return fmt.Errorf("writing man pages: %w", err)
			}
			return nil
		},
	}}
}
