package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/sink"
)

// output is how a token is handed out. Of the formats the first is usual.
type output struct {
	formats []string
	format  string
	shell   string
	file    string
	show    bool
	// crossVendor lets a plan's token go to other vendors' tools.
	crossVendor bool
}

func (o *output) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.format, "format", o.formats[0], strings.Join(o.formats, ", "))
	cmd.Flags().BoolVar(&o.show, "show", false, "print it even to a terminal")
	must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(o.formats, cobra.ShellCompDirectiveNoFileComp)))
}

func (o *output) exportFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.shell, "shell", "", strings.Join(shells(), ", ")+": what variables are written for")
	cmd.Flags().StringVar(&o.file, "out", "", "file to write instead of stdout")
	cmd.Flags().BoolVar(&o.crossVendor, "allow-cross-vendor", false, "let a plan's token go to another vendor's tool")
	must(cmd.MarkFlagFilename("out"))
	must(cmd.RegisterFlagCompletionFunc("shell", cobra.FixedCompletions(shells(), cobra.ShellCompDirectiveNoFileComp)))
}

func shells() []string {
	var names []string
	for _, s := range export.Shells() {
		names = append(names, string(s))
	}
	return names
}

// exported are the formats of export, the usual one first.
func exported() []string {
	const usual = "env"
	others := slices.DeleteFunc(formatNames(), func(name string) bool { return name == usual })
	return append([]string{usual}, others...)
}

// must is for mistakes in our own wiring.
func must(err error) {
	if err != nil {
		panic("keytray: " + err.Error())
	}
}

// spec is the format that is meant. There may be a Unix shell on Windows, too.
func (o *output) spec(terminal, unixShell bool) (export.Spec, error) {
	s, ok := export.Find(o.format)
	switch {
	case !ok || !slices.Contains(o.formats, o.format):
		return s, setup.Usage(fmt.Errorf("there is no format %q", o.format), "choose one of "+strings.Join(o.formats, ", "))
	case o.file == "" && terminal && !o.show:
		return s, setup.Usage(errors.New("a token is not printed to a terminal"), "add --show, or pipe it to where it is needed")
	case o.shell == "":
		return usual(s, unixShell), nil
	case !slices.Contains(shells(), o.shell):
		return s, setup.Usage(fmt.Errorf("there is no shell %q", o.shell), "choose one of "+strings.Join(shells(), ", "))
	}
	s, ok = s.In(export.Shell(o.shell))
	if !ok {
		return s, setup.Usage(fmt.Errorf("the format %s is not written for a shell", o.format), "leave out --shell")
	}
	return s, nil
}

// usual is a format for the shell that is usual on this system.
func usual(s export.Spec, unixShell bool) export.Spec {
	if runtime.GOOS != "windows" || unixShell {
		return s
	}
	if p, ok := s.In(export.PowerShell); ok {
		return p
	}
	return s
}

// writeOut writes to a file, or to stdout where none is named. What a program
// keeps in its file beside is not lost.
func (a *app) writeOut(store *sink.Store, s export.Spec, it export.Item, file string) error {
	if file == "" {
		return s.Write(a.sys.stdout, it)
	}
	var b bytes.Buffer
	if err := s.Write(&b, it); err != nil {
		return err
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("finding the file: %w", err)
	}
	if s.File != "" {
		if err := client.Replaceable(s.Program(), path, b.Bytes()); err != nil {
			return err
		}
	}
	return deliver(store, path, b.Bytes())
}

// deliver replaces a file that the person named, but no login on its way to another
// machine.
func deliver(store *sink.Store, path string, b []byte) error {
	if old, err := disk.Read(path, maxSealed); err == nil && store.Departed(old) {
		err := fmt.Errorf("%s: %w, with a login that was moved into it", path, sink.ErrFileExists)
		return setup.Hinted(err, "name another file; when the login has arrived, delete this one")
	}
	err := disk.Deliver(path, b)
	if errors.Is(err, fs.ErrNotExist) {
		return setup.Hinted(err, fmt.Sprintf("make the folder first: mkdir -p %q", filepath.Dir(path)))
	}
	return err
}
