// Command keytray-tray is Keytray's icon in the panel: it shows how the logins
// are, signs in, keeps tokens fresh, and tells its person what needs them.
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/keytray/keytray/cmd/setup"
)

// version is set by the linker for releases.
var version = ""

func main() {
	ctx, stop, again := setup.Signals()
	self, _ := os.Executable()
	p := program{
		world: &setup.World{Environ: os.Environ(), Self: self, Again: again, Stderr: os.Stderr},
		args:  os.Args[1:], name: os.Args[0], version: setup.Version(version),
		stdin: os.Stdin, stdout: os.Stdout, logger: logger,
	}
	code, anew := p.run(ctx)
	stop()
	if anew != nil {
		err := p.begin(anew)
		fmt.Fprintf(os.Stderr, "keytray-tray: starting anew: %s\n", err)
		code = setup.ExitFailed
	}
	os.Exit(code)
}

// logger writes to w and, for whoever started us by hand, to stderr. What
// libraries print goes there too.
func logger(w io.Writer) *slog.Logger {
	l := slog.New(slog.NewMultiHandler(slog.NewTextHandler(w, nil), slog.NewTextHandler(os.Stderr, nil)))
	log.SetFlags(0)                                                        //nolint:forbidigo // libraries print there
	log.SetOutput(slog.NewLogLogger(l.Handler(), slog.LevelWarn).Writer()) //nolint:forbidigo // and this is where it goes
	return l
}
