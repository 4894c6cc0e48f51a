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

// child is a started program.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read it after done
}

// start starts cmd with its output appended to the file log.
func (n *nursery) start(cmd *exec.Cmd, log string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	n.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

func (c *child) pid() int {
	if c == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// kill ends the program, stopped or not, and waits until it is gone. It does
// nothing for one that never started or has ended.
func (c *child) kill() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	<-c.done
}
