//go:build unix

package loan

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanPipe reports whether [Child.Become] can hand a text to the program on a
// descriptor.
const CanPipe = true

// pipeRoom is what every pipe takes without a reader, bytes.
const pipeRoom = 4096

// Become puts the program in the place of this process: whatever happens to this
// process from now on happens to the program. With a variable, the program finds
// text on a pipe that ends with it, whose number is the variable's value. It
// returns only with an error.
func (c Child) Become(variable string, text []byte) error {
	env := c.Env
	if variable != "" {
		fd, err := pipe(text)
		if err != nil {
			return err
		}
		env = append(slices.Clone(env), variable+"="+strconv.Itoa(fd))
	}
	return fmt.Errorf("starting %s: %w", c.Path, syscall.Exec(c.Path, c.Args, env)) //nolint:gosec // the person says which
}

// pipe is the reading end of a pipe with text in it and no writer. The program that
// comes next inherits it.
func pipe(text []byte) (int, error) {
	if len(text) > pipeRoom {
		return 0, fmt.Errorf("a token of %d bytes does not fit into a pipe", len(text))
	}
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	_, err := syscall.Write(ends[1], text)
	if err := errors.Join(err, syscall.Close(ends[1])); err != nil {
		return 0, fmt.Errorf("filling a pipe: %w", err)
	}
	return ends[0], nil
}

// passed are the signals that a program expects and we hand on. Those of the
// terminal reach it by themselves: the kernel sends them to all of our group.
var (
	passed = []os.Signal{
		syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH,
		syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP,
	}
	terminals = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH}
)

// Run runs the program to its end and returns its exit code, which for one that a
// signal ended is 128 and the signal's number. Signals that reach this process
// alone are handed on; one that the terminal sends to both, the program gets once.
// Where the program is stopped in front of a terminal this process stops too, so
// that the shell gets the terminal back.
func (c Child) Run() (code int, err error) {
	runtime.LockOSThread() // on Linux the program dies with this thread
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(passed), func(s os.Signal) bool { return signal.Ignored(s) })...)
	p, err := os.StartProcess(c.Path, c.Args, &os.ProcAttr{Env: c.Env, Files: []*os.File{c.Stdin, c.Stdout, c.Stderr}, Sys: dieWithUs()})
	if err != nil {
		signal.Stop(signals)
		return 0, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	over := make(chan struct{})
	go func() { // ends with Run
		defer close(over)
		for s := range signals {
			if !slices.Contains(terminals, s) || !inFront() {
				_ = p.Signal(s) // or it has ended
			}
		}
	}()
	status, err := await(p.Pid)
	signal.Stop(signals)
	close(signals)
	<-over
	switch {
	case err != nil:
		return 0, fmt.Errorf("waiting for %s: %w", c.Path, err)
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	default:
		return status.ExitStatus(), nil
	}
}

// await waits for the end of a child. While that is stopped, so are we.
func await(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case !status.Stopped():
			return status, nil
		case inFront():
			// The shell continues us all, which is when this returns.
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGSTOP); err != nil {
				return 0, err
			}
			_ = syscall.Kill(pid, syscall.SIGCONT) // if it was continued by itself, no harm
		}
	}
}

// inFront reports whether our group of processes is the one that the terminal sends
// its signals to.
func inFront() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == syscall.Getpgrp()
}
