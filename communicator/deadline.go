//go:build linux

package communicator

import (
	"math"
	"math/bits"
	"time"
)

// Deadline is when HandleTimeout will be called; zero for never.
func (h *Handle) Deadline() time.Time {
	if h.deadline == 0 {
		return time.Time{}
	}
	return h.loop.start.Add(time.Duration(h.deadline))
}

// SetDeadline sets when HandleTimeout is called, once; the zero time clears it. It means nothing to
// a source without HandleTimeout. A moment that has passed fires in this turn or the next. A time
// made by time.Now and Add keeps its distance even when the date is changed.
func (h *Handle) SetDeadline(t time.Time) {
	if h.state&gone != 0 {
		return
	}
	h.state &^= due
	h.deadline = 0
	if !t.IsZero() {
		h.deadline = max(1, h.loop.at(t))
	}
	h.schedule()
}

// schedule makes the deadline queue agree with the deadline, or with the end of the silence that the rate
// of the source has put on it.
func (h *Handle) schedule() {
	switch {
	case h.state&limited != 0:
		h.loop.deadlines.Set(&h.node, h.extra.resume, h)
	case h.deadline == 0 || h.can&canTimeout == 0 || h.state&disabled != 0:
		h.loop.deadlines.Remove(&h.node)
	default:
		when := h.wake()
		if h.state &^= overdue; when <= h.loop.clock() {
			h.state |= overdue
		}
		h.loop.deadlines.Set(&h.node, when, h)
	}
}

// wake is when the loop is to wake up for the deadline.
func (h *Handle) wake() int64 {
	if h.extra == nil || h.extra.slack == 0 {
		return h.deadline
	}
	return roundest(h.deadline, h.extra.slack)
}

// roundest is the moment from first to first+span that is a multiple of the largest power of two, so that
// spans which overlap widely have the same.
func roundest(first, span int64) int64 {
	last := first + min(span, math.MaxInt64-first)
	differ := bits.Len64(uint64((first - 1) ^ last)) // never 0: last is more than first-1
	return last &^ (1<<(differ-1) - 1)
}

// resume lets the source be called again after a silence.
func (h *Handle) resume() {
	h.schedule()
	if h.state&(silent|marked) == marked {
		h.loop.marked = append(h.loop.marked, h)
	}
}
