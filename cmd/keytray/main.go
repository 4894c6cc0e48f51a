// Command keytray keeps logins in the keychain and hands out access tokens.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// version is set by the linker for releases.
var version = ""

func main() {
	// A signal ends what can be ended. A renewal whose token has been sent is
	// finished first, whatever is pressed meanwhile; kill -9 remains.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A reader that left must not kill us between two writes: writing to it is
	// an ordinary error then.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	self, _ := os.Executable()
	sys := system{
		args: os.Args[1:], environ: os.Environ(), self: self, version: buildVersion(),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	}
	code := run(ctx, sys)
	stop()
	os.Exit(code)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// withoutTime: a command is over before anybody asks when a line was written.
func withoutTime(groups []string, at slog.Attr) slog.Attr {
	if at.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return at
}
