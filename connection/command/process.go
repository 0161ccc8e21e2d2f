//go:build linux

package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Process is a command that runs, or has run. It belongs to the loop's goroutine, and keeps Run from returning until
// its Exit was called.
type Process struct {
	handle *communicator.Handle
	watch  *procwatch.Watch
	cmd    *exec.Cmd
	config Config
	title  string // its name in logs and listings

	stdin, stdout, stderr *connection.Stream
	outlets               []*outlet
	open                  int // outputs that are not closed

	stopAt, killAt, waitUntil time.Time // zero: never
	stopped, timedOut         bool
	ended                     bool // or the loop has let it go
	left                      bool // to itself: Config.Leave
	event                     procwatch.Event
	failed                    error // what closed a stream first
}

// Start starts a command. It has to be called on the loop or before Run, and blocks for as long as the kernel takes
// to make a process. Neither Start, Run nor Wait of the exec.Cmd may be called besides; its ProcessState is set when
// the command has ended.
//
// Its errors are those of Start of the exec.Cmd (exec.ErrNotFound, os.ErrPermission, ...), ErrNotFile, ErrTwice and
// ErrContext, what the kernel says when there is no descriptor left (EMFILE), and communicator.ErrClosed. Nothing
// runs then, and nothing is left open. Either way the exec.Cmd can't be used again.
func Start(loop *communicator.Communicator, cmd *exec.Cmd, config Config) (*Process, error) {
	if cmd == nil {
		panic("command: nil exec.Cmd")
	}
	config.setDefaults()
	if err := config.check(cmd); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, config: config}
	p.title = p.Name()
	var err error
	if p.handle, err = loop.Add((*source)(p), communicator.Options{Priority: config.Priority}); err != nil {
		return nil, err
	}
	if err = p.start(); err != nil {
		p.handle.Detach()
		return nil, fmt.Errorf("command: %s: %w", p.Name(), err)
	}
	if config.Timeout > 0 {
		p.stopAt = time.Now().Add(config.Timeout)
		p.arm()
	}
	return p, nil
}

func (p *Process) start() error {
	var ends pipes
	defer ends.close()
	if err := ends.open(p, p.cmd, &p.config); err != nil {
		return err
	}
	if p.config.Group {
		ownGroup(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if p.config.Name == "" {
		p.title = fmt.Sprintf("%s %d", p.Name(), p.PID())
	}
	ends.started()
	err := p.follow()
	if err == nil {
		err = ends.streams(p)
	}
	if err != nil {
		p.letGo(err)
		p.kill()
	}
	return err
}

// follow watches the process. In the background, as a shutdown of the loop is to leave the watch alone.
func (p *Process) follow() (err error) {
	o := procwatch.Options{BeforeReap: p.killRest}
	o.Name, o.Background, o.Beside = p.title+" process", true, p.handle
	p.watch, err = procwatch.Child(p.handle.Loop(), p.cmd.Process, p.changed, o)
	return err
}

// letGo ends all that the loop has to do with the process.
func (p *Process) letGo(cause error) {
	p.ended = true
	if p.watch != nil {
		p.watch.Close()
	}
	for _, s := range []*connection.Stream{p.stdin, p.stdout, p.stderr} {
		if s != nil {
			s.Abort(cause)
		}
	}
}

// kill kills a process that the loop has let go. It may hang in the kernel, which must not hold up the loop.
func (p *Process) kill() {
	if p.config.Group {
		_ = p.signalGroup(syscall.SIGKILL) // if there is nobody any more, all the better
	}
	_ = p.cmd.Process.Kill()
	go func() { _, _ = p.cmd.Process.Wait() }()
}

// killRest kills what is left of the group. The process has ended, and its number is still the group's.
func (p *Process) killRest() {
	if p.config.Group && p.config.KillRest {
		p.send(syscall.SIGKILL)
	}
}

// Handle is the command's place in its loop, the streams have their own. While it is disabled the end of the command
// isn't told, and it is not stopped by its times; one in the background doesn't keep Run from returning. To remove it
// is for the command as if the loop ended.
func (p *Process) Handle() *communicator.Handle { return p.handle }

// Name is the name given by Config, or else the last element of the command's path.
func (p *Process) Name() string {
	if p.config.Name != "" {
		return p.config.Name
	}
	return filepath.Base(p.cmd.Path)
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running tells whether the loop still waits for the end of the process. Its output may be open for longer.
func (p *Process) Running() bool { return !p.ended }

// TimedOut tells whether Config.Timeout has passed while the process ran.
func (p *Process) TimedOut() bool { return p.timedOut }

// Err is the first error that closed one of the streams, such as one of a handler, connection.ErrInputLimit,
// io.ErrUnexpectedEOF, ErrWaitDelay; nil if there was none. That the command hasn't read all of its input is none, nor
// is the end of the loop.
func (p *Process) Err() error { return p.failed }

// Stdin is the command's standard input; nil without Config.Input. Its Close is the end of the input, when all that
// was written has gone; CloseWrite is not. After the command has ended, or has closed its input, Write returns
// connection.ErrClosed.
func (p *Process) Stdin() *connection.Stream { return p.stdin }

// Stdout is the command's standard output, to be paused and resumed; nil without Config.Stdout. While it is paused
// Exit isn't called: see Config.WaitDelay.
func (p *Process) Stdout() *connection.Stream { return p.stdout }

// Stderr is the command's standard error; nil without Config.Stderr.
func (p *Process) Stderr() *connection.Stream { return p.stderr }

// Signal sends a signal to the process; with Config.Group to all of its group. It never reaches another process that
// has got the same number: the error is os.ErrProcessDone when the process has ended, EPERM when it has got another
// user, EINVAL for a signal that there is none, and procwatch.ErrClosed when the loop has left it to itself
// (Config.Leave).
func (p *Process) Signal(sig syscall.Signal) error {
	switch {
	case p.left:
		return procwatch.ErrClosed
	case p.ended:
		return os.ErrProcessDone
	case p.config.Group:
		return p.signalGroup(sig)
	}
	return p.watch.Signal(sig)
}

// signalGroup sends a signal to the group. Its number is that of the process, and nobody else's as long as nobody has
// taken the status of the process.
func (p *Process) signalGroup(sig syscall.Signal) (err error) {
	taken := p.cmd.Process.WithHandle(func(pidfd uintptr) { _, err = sys.PeekChild(int(pidfd), false) })
	if errors.Is(taken, os.ErrNoHandle) { // package os could make no pidfd
		_, err = sys.PeekChildPID(p.PID())
	} else if taken != nil {
		return taken
	}
	if err == nil {
		err = sys.SignalGroup(p.PID(), sig)
	}
	if errors.Is(err, syscall.ECHILD) || errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Stop sends SIGTERM, and SIGKILL if the process has not ended after delay; of 0 or less SIGKILL at once. Once more
// it can only shorten the delay. To a process that has ended, or was left to itself, it does nothing. That a signal
// can't be sent is logged.
func (p *Process) Stop(delay time.Duration) {
	if p.ended {
		return
	}
	if delay <= 0 {
		p.killAt = time.Time{}
		p.send(syscall.SIGKILL)
		p.arm()
		return
	}
	if killAt := time.Now().Add(delay); !p.stopped || !p.killAt.IsZero() && killAt.Before(p.killAt) {
		p.killAt = killAt
	}
	if !p.stopped {
		p.send(syscall.SIGTERM)
	}
	p.arm()
}

func (p *Process) send(sig syscall.Signal) {
	p.stopped = true
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.handle.Loop().Logger().Warn("a command can't be stopped", "source", p.handle.Name(), "signal", sig, "error", err)
	}
}

// changed is told by the watch that the process has ended.
func (p *Process) changed(_ *procwatch.Watch, e procwatch.Event) error {
	p.ended, p.event = true, e
	p.cmd.ProcessState = e.State
	p.waitUntil = time.Now().Add(p.config.WaitDelay)
	p.outputEnded() // maybe long ago
	return nil
}

// outputEnded is told by an output that it has ended or is closed, which may be what is waited for.
func (p *Process) outputEnded() {
	if p.ended {
		p.handle.SetDeadline(time.Now())
	}
}

// arm sets the deadline of a process that runs to what comes first.
func (p *Process) arm() {
	next := p.killAt
	if next.IsZero() || !p.stopAt.IsZero() && p.stopAt.Before(next) {
		next = p.stopAt
	}
	p.handle.SetDeadline(next)
}

// closed notes with what cause one of the streams has closed, and tells whether that is a failure.
func (p *Process) closed(cause error) (failure bool) {
	if cause == nil || errors.Is(cause, communicator.ErrClosed) {
		return false
	}
	if p.failed == nil {
		p.failed = cause
	}
	return true
}

// source is a Process as the loop sees it.
type source Process

func (s *source) FD() int { return communicator.NoFD }

func (s *source) String() string { return s.title }

func (s *source) HandleTimeout(h *communicator.Handle) error {
	p, now := (*Process)(s), time.Now()
	if p.ended {
		return p.finish(now)
	}
	if passed(p.stopAt, now) {
		p.stopAt, p.timedOut = time.Time{}, true
		p.Stop(p.config.KillDelay)
	}
	if passed(p.killAt, now) {
		p.killAt = time.Time{}
		p.send(syscall.SIGKILL)
	}
	p.arm()
	return nil
}

func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// finish calls Exit, when the outputs are closed.
func (p *Process) finish(now time.Time) error {
	if p.open > 0 { // each that closes comes back here
		late := passed(p.waitUntil, now)
		for _, o := range p.outlets {
			switch {
			case o.ended:
				o.stream.Abort(nil) // its handler may have kept it, for which there is no use
			case late:
				o.cut()
			}
		}
		if !late {
			p.handle.SetDeadline(p.waitUntil)
		}
		return nil
	}
	if p.stdin != nil {
		p.stdin.Abort(nil)
	}
	p.handle.Remove(nil)
	if p.config.Exit == nil {
		return nil
	}
	return p.config.Exit(p, p.event)
}

// HandleShutdown stops the command, unless it may finish, and waits for its end.
func (s *source) HandleShutdown(h *communicator.Handle) {
	p := (*Process)(s)
	switch {
	case p.ended, p.config.Finish: // Run waits; the input ends by itself
	case p.config.Leave:
		h.Remove(nil)
	default:
		p.Stop(p.config.KillDelay)
	}
}

// Close is called when Exit has been, or when the loop ends before.
func (s *source) Close() error {
	p := (*Process)(s)
	if p.ended {
		return nil
	}
	p.letGo(nil)
	if p.left = p.config.Leave; !p.left {
		p.kill()
	}
	return nil
}
