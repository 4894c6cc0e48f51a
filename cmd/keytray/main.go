// Command keytray keeps logins in the keychain and hands out access tokens.
package main

import (
	"log/slog"
	"os"

	"github.com/keytray/keytray/cmd/setup"
)

// version is set by the linker for releases.
var version = ""

func main() {
	ctx, stop, again := setup.Signals()
	self, _ := os.Executable()
	sys := system{
		args: os.Args[1:], environ: os.Environ(), self: self, version: setup.Version(version),
		again: again,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		quiet: slog.New(slog.DiscardHandler),
	}
	code := run(ctx, sys)
	stop()
	os.Exit(code)
}

// withoutTime: a command is over before anybody asks when a line was written.
func withoutTime(groups []string, at slog.Attr) slog.Attr {
	if at.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return at
}
