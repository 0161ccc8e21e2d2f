//go:build linux

package procwatch

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// stops learns by SIGCHLD that a child may have been stopped or continued, which a pidfd doesn't tell. The signal
// doesn't say reliably whose it is, as the kernel makes one of several, so the child is looked at each time.
type stops struct {
	epoll   int // what the loop watches: the pidfd and the eventfd
	eventfd int // readable: look at the child
	signals chan os.Signal
	done    chan struct{} // closed when the goroutine has ended
}

func newStops(pidfd int) (_ *stops, err error) {
	s := &stops{epoll: sys.NoFD}
	if s.eventfd, err = sys.EventFD(); err != nil {
		return nil, err
	}
	if s.epoll, err = sys.EpollCreate(); err == nil {
		err = errors.Join(sys.EpollAdd(s.epoll, pidfd, sys.Readable, 0, 0), sys.EpollAdd(s.epoll, s.eventfd, sys.Readable, 0, 0))
	}
	if err != nil {
		s.closeDescriptors()
		return nil, err
	}
	s.signals = make(chan os.Signal, 1) // one that waits stands for all that follow
	s.done = make(chan struct{})
	signal.Notify(s.signals, syscall.SIGCHLD)
	go func() {
		defer close(s.done)
		for range s.signals {
			if found, err := sys.PeekStop(pidfd); found && err == nil {
				s.lookAgain()
			}
		}
	}()
	s.lookAgain() // it may have been stopped before
	return s, nil
}

// lookAgain lets the loop look at the child. It can't fail: the count would have to be near 2⁶⁴.
func (s *stops) lookAgain() { _ = sys.Signal(s.eventfd) }

// seen empties the eventfd.
func (s *stops) seen() {
	var count [8]byte
	_, _ = sys.Read(s.eventfd, count[:]) // there may be nothing
}

func (s *stops) close() {
	signal.Stop(s.signals)
	close(s.signals)
	<-s.done
	s.closeDescriptors()
}

func (s *stops) closeDescriptors() {
	_ = sys.Close(s.eventfd)
	if s.epoll != sys.NoFD {
		_ = sys.Close(s.epoll)
	}
}

// stopped takes a stop or its end.
func (w *Watch) stopped(e Event) (Event, error) {
	state, sig, err := sys.TakeStop(w.pidfd)
	e.Signal = sig
	switch state {
	case sys.ChildStopped:
		e.Kind = Stopped
	case sys.ChildContinued:
		e.Kind = Continued
	}
	if errors.Is(err, syscall.ECHILD) {
		err = nil // it has ended since, and the pidfd tells
	}
	return e, err
}
