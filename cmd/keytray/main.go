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
	ctx, stop, again := signals()
	// A reader that left must not kill us between two writes: writing to it is
	// an ordinary error then.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	self, _ := os.Executable()
	sys := system{
		args: os.Args[1:], environ: os.Environ(), self: self, version: buildVersion(),
		again: again,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	}
	code := run(ctx, sys)
	stop()
	os.Exit(code)
}

// signals gives a context that ends with the first signal. What cannot be ended
// then, a renewal whose token has been sent, is finished first. Again is closed
// by a second signal, for the one case that could take for ever; a hang-up does
// not count as one, since a lost terminal sends several.
func signals() (ctx context.Context, stop func(), again <-chan struct{}) {
	ctx, stop = context.WithCancel(context.Background())
	arrived := make(chan os.Signal, 1)
	second := make(chan struct{})
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() { // for as long as the process lives
		<-arrived
		stop()
		for s := range arrived {
			if s != syscall.SIGHUP {
				close(second)
				return
			}
		}
	}()
	return ctx, stop, second
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
