package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startLimit = 10 * time.Second
	stopLimit  = 3 * time.Second
)

// Server is a program that has said where it listens.
type Server struct {
	Addrs []string // ports of TCP and UDP and paths of Unix sockets, in the order they were printed

	cmd    *exec.Cmd
	stderr bytes.Buffer
	output []string      // the other lines of standard output
	eof    chan struct{} // closed when standard output has ended
}

// StartServer starts argv pinned to a CPU, with nothing but GOMAXPROCS=1 in its
// environment, and waits until it has printed as many lines "listening tcp HOST:PORT",
// "listening udp HOST:PORT" or "listening unix PATH" as addrs says. The end of ctx kills it; Stop has
// to be called in any case.
func StartServer(ctx context.Context, cpu, addrs int, argv ...string) (*Server, error) {
	return StartServerOn(ctx, []int{cpu}, 1, addrs, argv...)
}

// StartServerOn is StartServer for several CPUs and another GOMAXPROCS.
func StartServerOn(ctx context.Context, cpus []int, processors, addrs int, argv ...string) (*Server, error) {
	s := &Server{eof: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	s.cmd.Env = []string{fmt.Sprintf("GOMAXPROCS=%d", processors)}
	s.cmd.Stderr = &s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startPinned(s.cmd, cpus...); err != nil {
		return nil, err
	}
	listening := make(chan string)
	go s.read(out, listening)
	limit := time.After(startLimit)
	for len(s.Addrs) < addrs {
		select {
		case addr, ok := <-listening:
			if !ok {
				return nil, fmt.Errorf("%s ended without listening: %w", argv[0], s.Stop())
			}
			s.Addrs = append(s.Addrs, addr)
		case <-limit:
			go drain(listening)
			return nil, errors.Join(fmt.Errorf("%s does not listen", argv[0]), s.Stop())
		}
	}
	go drain(listening)
	return s, nil
}

func drain(c <-chan string) {
	for range c {
	}
}

func (s *Server) read(out io.Reader, listening chan<- string) {
	defer close(s.eof)
	defer close(listening)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if path, ok := strings.CutPrefix(line, "listening unix "); ok {
			listening <- path
			continue
		}
		addr, ok := strings.CutPrefix(line, "listening tcp ")
		if !ok {
			addr, ok = strings.CutPrefix(line, "listening udp ")
		}
		if _, port, err := net.SplitHostPort(addr); ok && err == nil {
			listening <- port
		} else {
			s.output = append(s.output, line)
		}
	}
}

// PID returns the process ID.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Output returns the other lines it has printed, after Stop.
func (s *Server) Output() []string { return s.output }

// Stop ends the server: SIGTERM, after a time limit SIGKILL. It is an error if it
// had ended before, or had to be killed. A second call does nothing.
func (s *Server) Stop() error {
	if s.cmd.ProcessState != nil {
		return nil
	}
	// Not reaped yet, so the process ID can't be another's.
	signalErr := s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopLimit, func() { _ = s.cmd.Process.Kill() })
	<-s.eof // Wait closes the pipe, so all has to be read before
	err := s.cmd.Wait()
	kill.Stop()
	if signalErr != nil {
		return fmt.Errorf("server: %w %s", signalErr, s.stderr.String())
	}
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
		return nil
	}
	if err != nil {
		return fmt.Errorf("server: %w %s", err, s.stderr.String())
	}
	return nil
}

// startPinned starts cmd on some CPUs: a child inherits the affinity of the thread
// that forks it. The child is killed when this program dies.
func startPinned(cmd *exec.Cmd, cpus ...int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	for _, cpu := range cpus {
		some.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return fmt.Errorf("CPU %d: %w", cpus, os.NewSyscallError("sched_setaffinity", err))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = stopLimit
	err := cmd.Start()
	if e := unix.SchedSetaffinity(0, &before); e != nil && err == nil {
		return errors.Join(os.NewSyscallError("sched_setaffinity", e), cmd.Process.Kill(), cmd.Wait())
	}
	return err
}
