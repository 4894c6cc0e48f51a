//go:build !windows

package worker

import (
	"os/exec"
	"syscall"
)

// ownSession keeps a child alive when our terminal or our group goes.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// end kills a child and what it started: on macOS a program does the keychain's
// work and would outlive it.
func end(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // or it has ended
