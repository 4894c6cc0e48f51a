package setup

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals gives a context that ends with the first signal. What cannot be ended
// then, a renewal whose token has been sent, is finished first. Again is closed
// by a second signal, for the one case that could take for ever; a hang-up does
// not count as one, since a lost terminal sends several.
//
// A reader that left must not kill the program between two writes: writing to it
// is an ordinary error from then on.
func Signals() (ctx context.Context, stop func(), again <-chan struct{}) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop = context.WithCancel(context.Background())
	arrived := make(chan os.Signal, 1)
	second := make(chan struct{})
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as under nohup, also for the programs that we run
			signal.Notify(arrived, s)
		}
	}
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
