//go:build linux

package timer

import (
	"errors"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// ErrDate is returned by At for the zero date.
var ErrDate = errors.New("timer: the date must not be zero")

// At calls f once, at a date by the wall clock, and at once if that has passed. It follows the clock: when that
// is set the timer fires earlier or later by as much, and at once if the date has been skipped; the time that
// the machine sleeps counts too. The timers of After and Every do none of that.
//
// For that it has a descriptor of its own, and each Reset is a system call. f is called on the loop's goroutine.
// The timer then leaves the loop, unless f has called Reset or ResetAt. An error that f returns is logged, as
// the cause of the timer's removal. Slack does not act on it. The errors of At are ErrDate, those of
// communicator.Add, and the kernel's: EMFILE, or ERANGE for a date that the machine can't count.
func At(loop *communicator.Communicator, date time.Time, f func(*Timer) error, o communicator.Options) (*Timer, error) {
	if f == nil {
		panic("timer: nil function")
	}
	if date.IsZero() {
		return nil, ErrDate
	}
	fd, err := sys.DateFD()
	if err != nil {
		return nil, err
	}
	t := &Timer{once: f, dated: true, fd: fd, due: date.Round(0)}
	if err = sys.DateArm(fd, date); err == nil {
		if o.Name == "" {
			o.Name = "timer"
		}
		o.Want, o.Deadline = communicator.Read, time.Time{}
		t.handle, err = loop.Add((*dated)(t), o)
	}
	if err != nil {
		_ = sys.Close(fd)
		return nil, err
	}
	return t, nil
}

// ResetAt lets a timer of At fire at another date instead. It returns false, and does nothing, for a timer that
// has left the loop or is none of At, for the zero date and for one that the machine can't count.
func (t *Timer) ResetAt(date time.Time) bool {
	if !t.dated || !t.handle.Active() || date.IsZero() || sys.DateArm(t.fd, date) != nil {
		return false
	}
	t.due = date.Round(0) // without the monotonic clock, which the date doesn't follow
	t.again = true
	return true
}

// dated is a Timer of At as the loop sees it.
type dated Timer

func (s *dated) FD() int { return s.fd }

func (s *dated) HandleRead(h *communicator.Handle) error {
	var expiries [8]byte
	if _, err := sys.Read(s.fd, expiries[:]); err != nil {
		if errors.Is(err, sys.ErrWouldBlock) {
			return nil // it was reset after it had been found readable
		}
		return err
	}
	t := (*Timer)(s)
	t.again = false
	if err := t.once(t); err != nil {
		return err
	}
	if !t.again {
		h.Remove(nil)
	}
	return nil
}

func (s *dated) Close() error { return sys.Close(s.fd) }
