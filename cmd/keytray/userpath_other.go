//go:build !windows

package main

import "github.com/spf13/cobra"

// installerCommands: packages put the programs where they are found.
func (*app) installerCommands() []*cobra.Command { return nil }
