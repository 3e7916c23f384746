package redistest

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// patience bounds every wait. A healthy machine needs a hundredth of it; a Sentinel that got no time for two seconds
// does nothing for another thirty.
const patience = 2 * time.Minute

// pollEvery is how often a wait looks again.
const pollEvery = 10 * time.Millisecond

// process is a running program; done is closed once it has ended and was waited for.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithUs()
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the child with the thread that started it, so the thread stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.done)
	}()
	return p, <-started
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// end asks the program to end, and makes it once patience has run out.
func (p *process) end(first syscall.Signal) {
	p.signal(first)
	p.signal(syscall.SIGCONT) // one that is paused takes no other signal
	select {
	case <-p.done:
	case <-time.After(patience):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}
