// Command keytray keeps logins in the keychain and hands out access tokens.
package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keytray/keytray/cmd/setup"
)

// version is set by the linker for releases.
var version = ""

func main() {
	ctx, stop, again := setup.Signals()
	self, _ := os.Executable()
	sys := system{
		args: arguments(os.Args), environ: os.Environ(), self: self, version: setup.Version(version),
		again: again,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		quiet: slog.New(slog.DiscardHandler),
	}
	code := run(ctx, sys)
	stop()
	os.Exit(code)
}

// arguments are what the program was called with. Git and docker find a helper by
// its name; under that we are this helper.
func arguments(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	for _, name := range []string{"git", "docker"} {
		if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == name+"-credential-keytray" {
			return slices.Concat([]string{"helper", name}, args[1:])
		}
	}
	return args[1:]
}

// withoutTime: a command is over before anybody asks when a line was written.
func withoutTime(groups []string, at slog.Attr) slog.Attr {
	if at.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return at
}
