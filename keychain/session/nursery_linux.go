package session

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// nursery starts programs that end with this process, however it ends. The
// kernel ties that to the thread that started them, which Go may end at any
// time: so it is one thread of the nursery's own, until close.
type nursery struct {
	starts chan func()
	closed sync.WaitGroup
}

func newNursery() *nursery {
	n := &nursery{starts: make(chan func())}
	n.closed.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for start := range n.starts {
			start()
		}
	})
	return n
}

// close ends the thread, and with it what is still running.
func (n *nursery) close() {
	close(n.starts)
	n.closed.Wait()
}

// Program is a started program.
type Program struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read it after done
}

// start starts cmd without a terminal and with its output appended to the file log.
func (n *nursery) start(cmd *exec.Cmd, log string) (*Program, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	started := make(chan error)
	n.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Program{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the program's process, and the group of those it started; 0 for nil.
func (p *Program) PID() int {
	if p == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the program and returns what [exec.Cmd.Wait] does.
func (p *Program) Wait() error {
	<-p.done
	return p.err
}

// Kill ends the program and its group, stopped or not, and waits until it is
// gone. It does nothing for nil and for a program that has ended.
func (p *Program) Kill() {
	if p == nil {
		return
	}
	select {
	case <-p.done: // the number may be another's by now
		return
	default:
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}
