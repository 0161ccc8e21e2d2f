//go:build linux

// Package timer calls functions after a time, again and again, or at a date, on a loop.
//
//   - [After]: once, after a time. [Every]: again and again. Each is a source of its own, with a name, a
//     priority, a switch and a line in the loop's listing. Adding and stopping one costs O(log n) and no
//     system call.
//   - [Set]: very many light timers behind one source, such as some for each connection. They share its name
//     and priority; one has 48 bytes, and starting and stopping it costs the same however many there are.
//   - [At]: at a date by the wall clock, whose steps it follows, with a descriptor of its own. The others run on
//     the monotonic clock, as all deadlines of the loop do.
//
// With [communicator.Options] Slack a timer of After or Every, or all of a Set, may fire that much later than
// it is due. Timers whose spans overlap widely then share a wake-up of the process. Slack does not add up: Every
// stays on its multiples, and Due is without it.
//
// All of it belongs to the loop's goroutine: also from callbacks of other sources, timers may be stopped, reset
// and switched off, and one that was is not called for what it was due in the same turn.
//
// A source that already is in the loop needs no timer for its own deadline: see
// [communicator.Handle.SetDeadline]. A time-out outside of a loop is a matter for package time.
package timer

import (
	"errors"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// ErrPeriod is returned by Every for a period that is not positive.
var ErrPeriod = errors.New("timer: the period must be more than 0")

// Timer is a timer in a loop.
type Timer struct {
	handle *communicator.Handle
	once   func(*Timer) error
	every  func(t *Timer, missed int) error
	period time.Duration
	due    time.Time
	fd     int  // of At
	dated  bool // made by At
	again  bool // reset since it was called: At
}

// After calls f once, after d; a d of 0 or less means as soon as the loop comes to it. f is called
// on the loop's goroutine. The timer then leaves the loop, unless f has called Reset. An error that
// f returns is logged, as the cause of the timer's removal.
func After(loop *communicator.Communicator, d time.Duration, f func(*Timer) error, o communicator.Options) (*Timer, error) {
	t := &Timer{once: f}
	return t.add(loop, d, o)
}

// Every calls f every period, for the first time after one period. The times are multiples of the
// period from the start: a late call doesn't shift the next one. A timer that was kept waiting for
// longer than a period fires once, and missed says how many calls were left out. An error that f
// returns ends the timer and is logged.
func Every(loop *communicator.Communicator, period time.Duration, f func(t *Timer, missed int) error, o communicator.Options) (*Timer, error) {
	if period <= 0 {
		return nil, ErrPeriod
	}
	t := &Timer{every: f, period: period}
	return t.add(loop, period, o)
}

func (t *Timer) add(loop *communicator.Communicator, d time.Duration, o communicator.Options) (*Timer, error) {
	if t.once == nil && t.every == nil {
		panic("timer: nil function")
	}
	if o.Name == "" {
		o.Name = "timer"
	}
	t.due = time.Now().Add(d)
	o.Deadline = t.due
	handle, err := loop.Add((*source)(t), o)
	if err != nil {
		return nil, err
	}
	t.handle = handle
	return t, nil
}

// Name is the timer's name, for logs and listings.
func (t *Timer) Name() string { return t.handle.Name() }

// Handle is the timer's place in its loop.
func (t *Timer) Handle() *communicator.Handle { return t.handle }

// SetPriority changes the timer's priority in the loop.
func (t *Timer) SetPriority(priority int) { t.handle.SetPriority(priority) }

// SetEnabled switches the timer on or off. One that becomes due while it is off fires when it is
// switched on.
func (t *Timer) SetEnabled(on bool) { t.handle.SetEnabled(on) }

// Due is when the timer fires next; within a call, when it ought to have fired. That of At is a time of the wall
// clock.
func (t *Timer) Due() time.Time { return t.due }

// Active tells whether the timer is in the loop.
func (t *Timer) Active() bool { return t.handle.Active() }

// Stop takes the timer out of the loop: it is not called any more, not even if it is due in this
// turn.
func (t *Timer) Stop() { t.handle.Remove(nil) }

// Reset lets the timer fire after d from now instead of when it would have; a periodic one goes on
// with its period from there, and one of At is set to the date that is d from now. It returns false,
// and does nothing, for a timer that has left the loop.
func (t *Timer) Reset(d time.Duration) bool {
	if t.dated {
		return t.ResetAt(time.Now().Add(d))
	}
	if !t.handle.Active() {
		return false
	}
	t.due = time.Now().Add(d)
	t.handle.SetDeadline(t.due)
	return true
}

// source is a Timer of After or Every as the loop sees it.
type source Timer

func (s *source) FD() int { return communicator.NoFD }

func (s *source) HandleTimeout(h *communicator.Handle) error {
	t := (*Timer)(s)
	if t.once != nil {
		if err := t.once(t); err != nil {
			return err
		}
		if h.Deadline().IsZero() {
			h.Remove(nil)
		}
		return nil
	}
	missed := int(time.Since(t.due) / t.period)
	t.due = t.due.Add(time.Duration(missed) * t.period)
	fired := t.due
	if err := t.every(t, missed); err != nil {
		return err
	}
	if h.Deadline().IsZero() { // f has not called Reset
		t.due = fired.Add(t.period)
		h.SetDeadline(t.due)
	}
	return nil
}
