package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for another process.
const patience = 20 * time.Second

// A process is a program that this one has started and will end.
type process struct {
	name    string
	command *exec.Cmd
	output  string // the file with everything it wrote
	ended   chan struct{}
}

// launch starts a program on these cores, in a folder and a process group of
// its own: Ctrl-C reaches this process alone, which then ends the others. Should
// this process die, the kernel ends them.
func launch(set unix.CPUSet, folder, name, program string, args ...string) (*process, error) {
	p := &process{name: name, output: filepath.Join(folder, name+".log"), ended: make(chan struct{})}
	output, err := os.Create(p.output)
	if err != nil {
		return nil, err
	}
	defer output.Close() //nolint:errcheck // the process has it
	p.command = exec.Command(program, args...)
	p.command.Dir = folder
	p.command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder} // nothing of the caller's that could change a figure
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := on(set, p.command.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // how it ended matters only to who waits for something else
	}()
	return p, nil
}

// await waits for a line of the output that holds mark, and returns it.
func (p *process) await(ctx context.Context, mark string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		text, err := os.ReadFile(p.output)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, mark) && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(line), nil
			}
		}
		if err := p.rest(ctx); err != nil {
			return "", err
		}
	}
}

// rest waits a moment. The error says that the process or the waiting is over.
func (p *process) rest(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.failure("ended unexpectedly")
	case <-ctx.Done():
		return p.failure("is not ready: " + context.Cause(ctx).Error())
	case <-time.After(10 * time.Millisecond):
		return nil
	}
}

// failure is an error with the end of what the process wrote.
func (p *process) failure(what string) error {
	const most = 2000
	text, err := os.ReadFile(p.output)
	if err != nil {
		return errors.Join(fmt.Errorf("%s %s", p.name, what), err)
	}
	return fmt.Errorf("%s %s; the end of what it wrote:\n%s", p.name, what, text[max(0, len(text)-most):])
}

// alive is nil as long as the process runs.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return p.failure("ended unexpectedly")
	default:
		return nil
	}
}

// stop ends the process, in good order if it lets itself be asked, and returns
// when it is gone. Stopping again does nothing.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // its whole group: nginx has workers
	<-p.ended
	return fmt.Errorf("%s had to be killed: it did not end within %s of SIGTERM", p.name, patience)
}
