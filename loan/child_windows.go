package loan

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
)

// CanPipe is false: programs inherit no descriptors here.
const CanPipe = false

// Become is impossible here.
func (c Child) Become(string, []byte) error { return errors.ErrUnsupported }

// Run runs the program to its end and returns its exit code. A Ctrl-C reaches both,
// as they have one console, and is the program's.
func (c Child) Run() (code int, err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt) // so that it does not end us
	defer signal.Stop(signals)
	p, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{Env: c.Env, Files: []*os.File{c.Stdin, c.Stdout, c.Stderr}})
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	state, err := p.Wait()
	if err != nil {
		return 0, fmt.Errorf("waiting for %s: %w", c.Path, err)
	}
	return state.ExitCode(), nil
}
