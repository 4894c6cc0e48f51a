package worker

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// ownSession keeps a child alive when our console gets a Ctrl-C, and from having
// a window with a console, which one that is built without -H=windowsgui would
// get from a parent that has none.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
}

// end kills a child.
func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // or it has ended
