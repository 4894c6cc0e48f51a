package keeper

import (
	"os/exec"
	"syscall"
)

// ownSession keeps a child alive when our console gets a Ctrl-C.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// end kills a child.
func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // or it has ended
