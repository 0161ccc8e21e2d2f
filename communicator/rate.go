//go:build linux

package communicator

import (
	"math"
	"time"
)

// extra is what few handles have.
type extra struct {
	slack   int64
	rate    Rate
	began   int64  // when the interval of the rate began, with its first event, on the loop's clock
	events  int    // since then
	resume  int64  // when a limited source is called again
	limited uint64 // how often it was limited
	unread  int    // bytes that waited when the source last had MaxFailing callbacks
}

// needs is what the options want of a handle beyond the ordinary; nil if nothing.
func (o *Options) needs() (*extra, error) {
	if o.Rate != (Rate{}) && (o.Rate.Events <= 0 || o.Rate.Interval <= 0) {
		return nil, ErrRate
	}
	if o.Slack <= 0 && o.Rate.Events == 0 {
		return nil, nil
	}
	return &extra{slack: int64(max(0, o.Slack)), rate: o.Rate}, nil
}

// count counts an event of the source's rate, and silences the source when it has had all of them.
func (h *Handle) count() {
	x := h.extra
	if x == nil || x.rate.Events == 0 || h.state&gone != 0 {
		return
	}
	now := h.loop.now
	if x.events == 0 || now-x.began >= int64(x.rate.Interval) {
		x.began, x.events = now, 0
	}
	x.events++
	if x.events < x.rate.Events || h.state&limited != 0 {
		return
	}
	x.limited++
	x.resume = x.began + min(int64(x.rate.Interval), math.MaxInt64-x.began)
	again := h.state&ready != 0 && h.state&remind != 0
	h.discardReported()
	if again {
		h.state |= marked
	}
	h.state |= limited
	h.schedule()
	h.watch()
}

// unlimit ends the silence that count began.
func (h *Handle) unlimit() {
	h.state &^= limited
	h.extra.began = 0
	h.extra.events = 0
	h.extra.resume = 0
	h.resume()
	h.watch()
}

// Limited tells whether the source is silent because of its rate.
func (h *Handle) Limited() bool { return h.state&limited != 0 }

// slice is how long a callback that serves many things may go on while others of its priority wait.
const slice = 100 * time.Microsecond

// Continue is for a source that serves many things in one callback, such as all values of a queue. Asked
// between two of them, it tells whether to go on: false when something more important is ready, when the
// callback has had its time (100 µs), when the source has reached its rate, or when it has been disabled or
// removed. The source then keeps the rest and returns, after it has set its deadline to now; with MarkReadable the rest
// would wait for the next turn, behind what is less important, unless the source is urgent. Each thing
// counts as a callback in the statistics and for the rate.
func (h *Handle) Continue() bool {
	c := h.loop
	if h.state&gone != 0 || c.stopping.Load() || c.ending {
		return false
	}
	now := c.clock()
	c.stats.Callbacks++
	h.calls++
	c.account(h, now)
	h.count()
	on := h.state&(gone|silent) == 0 && now-c.began <= int64(slice) && !c.urges(h)
	c.counted = !on
	return on
}

// urges tells whether something more important than the source is ready.
func (c *Communicator) urges(h *Handle) bool {
	c.lookAround()
	for len(c.ready) > 0 && c.ready[0].void() {
		c.ready.pop()
	}
	return len(c.ready) > 0 && c.ready[0].priority < h.priority
}
