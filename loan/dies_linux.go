package loan

import "syscall"

// dieWithUs ends the program when we are killed: whoever kills us means it, and
// nobody would keep its home.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
