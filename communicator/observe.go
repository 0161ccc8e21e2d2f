//go:build linux

package communicator

import (
	"fmt"
	"math/bits"
	"time"
)

// Observer is told of every callback of a loop, on its goroutine: for traces, profiles, figures. It must be
// quick, and must not steer the loop. Package communicator/inspect has observers.
type Observer interface {
	// BeginCallback is called before a callback of a source; h is nil for a function (Post, Defer, AfterTurn, AtExit).
	BeginCallback(h *Handle, call Call)
	// EndCallback is called after it, with the time it took.
	EndCallback(h *Handle, call Call, took time.Duration)
}

// SetObserver sets who is told of every callback from the next one on; nil for nobody. For the observer before, the
// callback that is running now ends with this call. Only for use on the loop.
func (c *Communicator) SetObserver(o Observer) {
	c.observe(c.clock())
	c.observer = o
}

// observe tells the observer of the end of the callback of whose beginning it was told.
func (c *Communicator) observe(now int64) {
	if c.observed {
		c.observed = false
		c.observer.EndCallback(c.calling, c.call, time.Duration(now-c.began))
		c.calling = nil
	}
}

// Call is a kind of callback.
type Call uint8

// The kinds of callbacks: HandleRead, HandleWrite, HandleTimeout, HandleClose, and a function.
const (
	CallRead Call = iota
	CallWrite
	CallTimeout
	CallClose
	CallFunction
)

// String names the call: "read", "write", "timeout", "close", "function".
func (c Call) String() string {
	switch c {
	case CallRead:
		return "read"
	case CallWrite:
		return "write"
	case CallTimeout:
		return "timeout"
	case CallClose:
		return "close"
	}
	return "function"
}

// buckets of a Histogram: the last one begins at 69 s.
const buckets = 38

// Histogram counts durations by powers of two: the i-th bucket those below 2^i ns, and not below half of that. The
// last one has all that are longer.
type Histogram struct {
	Buckets [buckets]uint64
	Longest time.Duration
}

func (h *Histogram) add(ns int64) {
	ns = max(0, ns)
	h.Buckets[min(bits.Len64(uint64(ns)), buckets-1)]++
	h.Longest = max(h.Longest, time.Duration(ns))
}

// Count is how many durations were counted.
func (h Histogram) Count() (n uint64) {
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

// Quantile is a duration that a share q of all, from 0 to 1, don't exceed. It is the upper end of a bucket, so up
// to twice as long as need be, and at most Longest; zero if nothing was counted.
func (h Histogram) Quantile(q float64) time.Duration {
	rest := q * float64(h.Count())
	for i, b := range h.Buckets {
		if rest -= float64(b); b > 0 && rest <= 0 {
			if i == buckets-1 {
				break
			}
			return min(time.Duration(1)<<i, h.Longest)
		}
	}
	return h.Longest
}

// String is the count, the median, the 99th percentile and the longest.
func (h Histogram) String() string {
	return fmt.Sprintf("%d, p50 %v, p99 %v, longest %v", h.Count(), h.Quantile(0.5), h.Quantile(0.99), h.Longest)
}
