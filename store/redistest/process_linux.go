package redistest

import "syscall"

// dieWithUs ends the server also when the test binary crashes or runs out of its time, which runs no Cleanup.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
