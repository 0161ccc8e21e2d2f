//go:build linux

package notify

import (
	"errors"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// The pauses after which Attach says again that the service is ready. Somebody waits for it, so the first is short;
// after a manager that isn't there they double.
const (
	retryReady = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// Attach lets the loop say READY=1 in its first turn, and STOPPING=1 once, when Shutdown is called or else when the
// loop ends. While the manager is behind, READY=1 is sent again every 100 ms. While it isn't there (ENOENT,
// ECONNREFUSED), as when it is started anew, it is sent again after pauses that grow from 100 ms to 5 s; that is logged
// once. What else goes wrong is logged, and not tried again. The source is in the background. Before Run, or on the
// loop; its errors are those of the loop's Add.
//
// A service that needs more than a running loop to be ready doesn't use it, but calls Ready and Stopping.
func (n *Notifier) Attach(loop *communicator.Communicator) error {
	if n.path == "" {
		return nil
	}
	_, err := loop.Add(&states{notifier: n}, communicator.Options{Name: "notify", Background: true, Deadline: time.Now()})
	return err
}

// states is the source of Attach.
type states struct {
	notifier *Notifier
	pause    time.Duration // of the last failure; 0: the manager was there each time
	stopped  bool
}

func (*states) FD() int { return communicator.NoFD }

func (s *states) HandleTimeout(h *communicator.Handle) error {
	switch err := s.notifier.Ready(); {
	case err == nil:
	case errors.Is(err, ErrFull):
		h.SetDeadline(time.Now().Add(retryReady))
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		if s.pause == 0 {
			warn(h, "READY=1", err)
		}
		s.pause = min(max(retryReady, 2*s.pause), retryMost)
		h.SetDeadline(time.Now().Add(s.pause))
	default:
		warn(h, "READY=1", err)
	}
	return nil
}

func (s *states) HandleShutdown(h *communicator.Handle) {
	h.SetDeadline(time.Time{})
	s.stop(h)
}

func (s *states) HandleClose(h *communicator.Handle, _ error) { s.stop(h) }

func (s *states) stop(h *communicator.Handle) {
	if s.stopped {
		return
	}
	s.stopped = true
	if err := s.notifier.Stopping(); err != nil {
		warn(h, "STOPPING=1", err)
	}
}

// least is the shortest time between two signs of life, whatever the manager allows.
const least = time.Millisecond

// Watchdog lets the loop say WATCHDOG=1, that it is alive: now, and then twice in the time that the manager allows;
// without a watchdog it does nothing. A loop that is stuck in a callback, or serves nothing of this priority any
// more, goes silent, and the manager ends the service and starts it again.
//
// The source is in the background, and goes on during a shutdown. A failure, such as ErrFull, doesn't end it: the
// next try comes sooner, and the first failure of a row is logged. Before Run, or on the loop; its errors are those
// of the loop's Add.
func (n *Notifier) Watchdog(loop *communicator.Communicator, o communicator.Options) error {
	if n.path == "" || n.watchdog == 0 {
		return nil
	}
	if o.Name == "" {
		o.Name = "watchdog"
	}
	o.Background = true
	o.Deadline = time.Now()
	_, err := loop.Add(&watchdog{notifier: n}, o)
	return err
}

// watchdog is the source of Watchdog.
type watchdog struct {
	notifier *Notifier
	failing  bool
}

func (*watchdog) FD() int { return communicator.NoFD }

func (w *watchdog) HandleTimeout(h *communicator.Handle) error {
	err := w.notifier.send("WATCHDOG=1")
	if err != nil && !w.failing {
		warn(h, "WATCHDOG=1", err)
	}
	w.failing = err != nil
	next := w.notifier.watchdog / 2
	if w.failing {
		next /= 5 // there are some tries left
	}
	h.SetDeadline(time.Now().Add(max(next, least)))
	return nil
}

func warn(h *communicator.Handle, what string, err error) {
	h.Loop().Logger().Warn("the service manager was not told", "source", h, "what", what, "error", err)
}
