//go:build !man

package main

import "github.com/spf13/cobra"

// packagerCommands: see packager_man.go.
func (*app) packagerCommands() []*cobra.Command { return nil }
