package openclaw

import (
	"os/exec"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{HideWindow: true} }

func endGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
