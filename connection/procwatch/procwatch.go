//go:build linux

package procwatch

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// tracedPause is the time between two looks at a child that has ended and that its tracer has not let go yet: the
// kernel reports its end all the time, and to its parent only later.
const tracedPause = 10 * time.Millisecond

// Options say how a process is watched. The zero value is right for most. Want is not used.
type Options struct {
	communicator.Options
	// Stops lets Child tell also when the process is stopped and when it goes on. Of what happens faster than the
	// loop looks only the last is told. It costs a goroutine, two more descriptors, and a look at the child
	// whenever any child of this process changes.
	Stops bool
	// BeforeReap is called by a watch of Child, on the loop's goroutine, when the child has ended and its status has
	// not been taken yet: its number, and that of a process group it leads, can't be somebody else's. It must not
	// close the watch. It isn't called if somebody else has waited for the child. Nil: nothing is called.
	BeforeReap func()
}

// Watch is a process that is watched. It belongs to the loop's goroutine.
type Watch struct {
	handle  *communicator.Handle
	handler func(*Watch, Event) error
	process *os.Process // nil: not a child
	pid     int
	pidfd   int
	ended   bool
	stops   *stops // nil: not told of
	before  func() // Options.BeforeReap
}

// Child watches a child of this process, and waits for it when it has ended: see the package's section on os/exec.
//
// f is called on the loop's goroutine with what has become of the child: Exited or Killed, exactly once. Then the
// watch leaves the loop. If somebody else has waited for it f is called with Gone and ErrReaped. With Stops, Stopped
// and Continued may come before. f may close this watch and any other. An error from f removes the watch with that
// cause. The watch keeps Run from returning.
//
// It panics for a nil process, as that of an exec.Cmd is before its Start.
//
// A child that has ended already is fine, as long as nobody has waited for it; else Child returns os.ErrProcessDone,
// or ErrNotChild. When no descriptor is left (EMFILE, ENFILE) or the loop has ended (communicator.ErrClosed) the
// child is as it was, and the caller can still wait for it.
func Child(loop *communicator.Communicator, p *os.Process, f func(*Watch, Event) error, o Options) (*Watch, error) {
	if f == nil {
		panic("procwatch: nil function")
	}
	if p == nil {
		panic("procwatch: nil process: the command was not started")
	}
	pidfd, err := openChild(p)
	if err != nil {
		return nil, err
	}
	w := &Watch{handler: f, process: p, pid: p.Pid, pidfd: pidfd}
	if _, err := sys.PeekChild(pidfd, false); err != nil {
		_ = w.close()
		if errors.Is(err, syscall.ECHILD) {
			return nil, fmt.Errorf("%w: %d", ErrNotChild, w.pid)
		}
		return nil, err
	}
	return w.add(loop, o)
}

// openChild makes a pidfd of our own from that of p, which p closes when it was waited for.
func openChild(p *os.Process) (pidfd int, err error) {
	withHandle := p.WithHandle(func(handle uintptr) { pidfd, err = sys.Dup(int(handle)) })
	switch {
	case errors.Is(withHandle, os.ErrNoHandle):
		return sys.OpenProcess(p.Pid)
	case withHandle != nil:
		return sys.NoFD, withHandle
	}
	return pidfd, err
}

// PID watches any process by its number, and needs no rights on it. f is called once, with Gone, when the process
// has ended, whether or not its parent has waited for it; then the watch leaves the loop. The rules for f are those
// of Child.
//
// Whether the number is still that of the process that was meant is for the caller to find out, after PID has
// returned: from then on the number can go to another, and the watch stays with the process that it had. The errors
// are ErrNoProcess, ErrThread, ErrSelf, ErrNotChild if o.Stops, EMFILE and ENFILE, communicator.ErrClosed.
func PID(loop *communicator.Communicator, pid int, f func(*Watch, Event) error, o Options) (*Watch, error) {
	if f == nil {
		panic("procwatch: nil function")
	}
	switch {
	case pid <= 0:
		return nil, fmt.Errorf("%w: %d", ErrNoProcess, pid)
	case pid == os.Getpid():
		return nil, ErrSelf
	case o.Stops:
		return nil, fmt.Errorf("%w: %d, of which only its parent learns of stops", ErrNotChild, pid)
	}
	pidfd, err := sys.OpenProcess(pid)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return nil, fmt.Errorf("%w: %d", ErrNoProcess, pid)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOENT):
		return nil, fmt.Errorf("%w: %d", ErrThread, pid)
	case err != nil:
		return nil, err
	}
	w := &Watch{handler: f, pid: pid, pidfd: pidfd}
	return w.add(loop, o)
}

func (w *Watch) add(loop *communicator.Communicator, o Options) (_ *Watch, err error) {
	w.before = o.BeforeReap
	o.Want = communicator.Read
	if o.Stops {
		if w.stops, err = newStops(w.pidfd); err != nil {
			_ = w.close()
			return nil, err
		}
	}
	if w.handle, err = loop.Add((*source)(w), o.Options); err != nil {
		_ = w.close()
		return nil, err
	}
	return w, nil
}

// PID is the number of the process.
func (w *Watch) PID() int { return w.pid }

// Handle is the watch's place in its loop.
func (w *Watch) Handle() *communicator.Handle { return w.handle }

// Close takes the watch out of the loop: f is not called any more. The process is left alone, and a child has to be
// waited for by the caller.
func (w *Watch) Close() { w.handle.Remove(nil) }

// Signal sends a signal to the process, never to another that got its number: os.ErrProcessDone when it is gone,
// EPERM without the right to, ErrClosed when the watch has left the loop before the process ended. A process that has ended
// and was not waited for takes a signal without an error, and without an effect. Signal 0 only asks.
func (w *Watch) Signal(sig syscall.Signal) error {
	switch {
	case w.ended:
		return os.ErrProcessDone
	case !w.handle.Active():
		return ErrClosed
	}
	err := sys.SignalProcess(w.pidfd, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// look finds out what has happened, and takes it. The kind is 0 if there is nothing to tell.
func (w *Watch) look() (Event, error) {
	e := Event{PID: w.pid, Code: -1}
	if w.process == nil {
		e.Kind = Gone
		return e, nil
	}
	state, err := sys.PeekChild(w.pidfd, w.stops != nil)
	if errors.Is(err, syscall.ECHILD) {
		e.Kind, e.Err = Gone, ErrReaped
		return e, nil
	}
	if err != nil {
		return e, err
	}
	switch state {
	case sys.ChildEnded:
		return w.reap(e), nil
	case sys.ChildStopped, sys.ChildContinued:
		return w.stopped(e)
	}
	return e, nil
}

// reap waits for a child that has ended.
func (w *Watch) reap(e Event) Event {
	if w.before != nil {
		w.before()
	}
	state, err := w.process.Wait()
	if errors.Is(err, syscall.ECHILD) {
		err = ErrReaped
	}
	if err != nil {
		e.Kind, e.Err = Gone, err
		return e
	}
	e.Kind, e.Code, e.State = Exited, state.ExitCode(), state
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Kind, e.Signal, e.CoreDumped = Killed, status.Signal(), status.CoreDump()
	}
	return e
}

// close closes what the watch has; the process lives on.
func (w *Watch) close() error {
	if w.stops != nil {
		w.stops.close()
	}
	return sys.Close(w.pidfd)
}

// source is a Watch as the loop sees it.
type source Watch

func (s *source) FD() int {
	if s.stops != nil {
		return s.stops.epoll
	}
	return s.pidfd
}

func (s *source) String() string {
	if s.process == nil {
		return fmt.Sprintf("process %d", s.pid)
	}
	return fmt.Sprintf("child %d", s.pid)
}

func (s *source) HandleRead(h *communicator.Handle) error {
	w := (*Watch)(s)
	if w.stops != nil {
		w.stops.seen()
	}
	e, err := w.look()
	if err != nil {
		return err
	}
	switch e.Kind {
	case 0:
		return w.again(h)
	case Stopped, Continued:
		return w.handler(w, e)
	}
	w.ended = true
	if err := w.handler(w, e); err != nil {
		return err
	}
	h.Remove(nil)
	return nil
}

// again is for a call without an event. If the process has ended all the same, somebody traces it.
func (w *Watch) again(h *communicator.Handle) error {
	events, err := sys.Poll(w.pidfd)
	if err != nil || events&sys.Readable == 0 {
		return err
	}
	h.Want(communicator.Nothing)
	h.SetDeadline(h.Loop().Now().Add(tracedPause))
	return nil
}

func (s *source) HandleTimeout(h *communicator.Handle) error {
	h.Want(communicator.Read)
	return nil
}

func (s *source) Close() error { return (*Watch)(s).close() }
