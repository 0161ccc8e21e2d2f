//go:build linux

package signals

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// patience is how many signals Terminate takes before the next one ends the process.
const patience = 2

// sameWish is how long after a signal that counted another is the same wish: GNU timeout sends SIGTERM to its child,
// and some 10 µs later to its process group, in which the child is; a program that hands a Ctrl-C on does as much.
// Nobody presses a key again as soon as that.
const sameWish = 100 * time.Millisecond

// Terminate lets SIGINT (Ctrl-C) and SIGTERM (systemd, docker stop, kill) end the program in order:
//
//   - The first calls f, on the loop's goroutine and if it isn't nil, and then loop.Shutdown(limit).
//   - The second ends the loop at once: Run returns ErrInterrupted.
//   - The third ends the process as if nobody had asked for the signals, whatever the loop does; so a program
//     that is stuck in a callback can be ended.
//
// It doesn't matter which of the two they are. What comes within 100 ms of one that counted counts as the same, because
// GNU timeout, for one, sends each signal twice: to its child and to the group that the child is in.
//
// The source is in the background: it neither keeps Run from returning nor is removed by the shutdown. When the loop
// has ended the signals have their usual effect again; one that came too late for the loop to see it, and before that,
// is swallowed.
//
// A SIGINT that was ignored when the program began stays so: this is how a shell without job control starts what
// runs in the background.
func Terminate(loop *communicator.Communicator, limit time.Duration, f func(sig os.Signal), o communicator.Options) (*Signals, error) {
	s := &Signals{patience: patience, set: []os.Signal{syscall.SIGTERM}}
	if !signal.Ignored(syscall.SIGINT) {
		s.set = append(s.set, syscall.SIGINT)
	}
	s.pending.window = sameWish
	seen := 0
	s.handler = func(sig os.Signal, count int) error {
		if seen == 0 {
			if f != nil {
				f(sig)
			}
			loop.Shutdown(limit)
		}
		if seen += count; seen > 1 {
			loop.Stop(ErrInterrupted)
		}
		return nil
	}
	o.Background = true
	return s.add(loop, (*source)(s), o)
}

// Hangup calls f on the loop's goroutine when SIGHUP has come, on which services read their configuration again.
// Several signals that come together are one call.
//
// It differs from Notify in that the hook outlives failures, because a SIGHUP that nobody takes ends the process:
// an error from f is logged, at warning level, and the source stays. It is in the background, and when a shutdown
// has begun f isn't called any more, but the signal is still taken.
func Hangup(loop *communicator.Communicator, f func() error, o communicator.Options) (*Signals, error) {
	if f == nil {
		panic("signals: nil function")
	}
	s := &Signals{set: []os.Signal{syscall.SIGHUP}}
	s.handler = func(os.Signal, int) error {
		if err := f(); err != nil {
			loop.Logger().Warn("the hook of SIGHUP failed", "source", s.handle, "error", err)
		}
		return nil
	}
	o.Background = true
	return s.add(loop, &hangup{(*source)(s)}, o)
}

// hangup is the source of Hangup.
type hangup struct{ *source }

func (h *hangup) HandleShutdown(*communicator.Handle) {
	h.handler = func(os.Signal, int) error { return nil }
}
