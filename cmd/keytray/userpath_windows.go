package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sys/windows/registry"
)

// installerCommands are those that packaging/windows/keytray.nsi calls: a PATH can
// be longer than a text of an installer, and PowerShell writes one with its
// variables replaced.
func (*app) installerCommands() []*cobra.Command {
	command := func(use, short string, edit func(path, folder string) (string, error)) *cobra.Command {
		return &cobra.Command{
			Use: use + " FOLDER", Short: short, Hidden: true, Args: usage(cobra.ExactArgs(1)),
			RunE: func(_ *cobra.Command, args []string) error {
				if err := editUserPath(func(path string) (string, error) { return edit(path, args[0]) }); err != nil {
					return fmt.Errorf("changing the user's PATH: %w", err)
				}
				return nil
			},
		}
	}
	return []*cobra.Command{
		command("__path-add", "Put a folder at the end of the user's PATH", withFolder),
		command("__path-remove", "Take a folder out of the user's PATH", func(path, folder string) (string, error) {
			path, _ = withoutFolder(path, folder)
			return path, nil
		}),
	}
}

// editUserPath changes the variable, which stays of its kind; one that has become
// empty goes.
func editUserPath(edit func(string) (string, error)) error {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, "Environment", registry.QUERY_VALUE|registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	old, kind, err := k.GetStringValue("Path") // as it is written, variables and all
	if errors.Is(err, registry.ErrNotExist) {
		kind, err = registry.EXPAND_SZ, nil
	}
	if err != nil {
		return err
	}
	path, err := edit(old)
	switch {
	case err != nil || path == old:
		return err
	case path == "":
		return k.DeleteValue("Path")
	case kind == registry.SZ:
		return k.SetStringValue("Path", path)
	}
	return k.SetExpandStringValue("Path", path)
}
