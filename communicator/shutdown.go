//go:build linux

package communicator

import (
	"math"
	"time"
)

// Shutdown ends the loop gracefully: listeners stop accepting, timers and signals end, streams deliver
// what they hold and close. Run returns nil when all have ended, or ErrShutdownTimeout when limit has
// passed before, and then logs what is left and ends it abruptly. A stream that has delivered all waits
// for its peer's end for a second at most; one that hasn't takes up to its CloseTimeout, so limit should
// be more than that. A limit of zero or less is Stop(nil). The first limit counts.
//
// A source that is a ShutdownHandler is asked to end; any other is removed, but for those in the background,
// which stay until the loop ends. What is added to the loop later is not asked, but the limit ends it too, and a
// Hold as well. Signals that aren't in the background are given back: the next one has its usual effect. Those of
// signals.Terminate stay: a second one ends the loop at once. Only for use on the loop: elsewhere, Post it.
func (c *Communicator) Shutdown(limit time.Duration) {
	if limit <= 0 {
		c.Stop(nil)
		return
	}
	if c.limit > 0 {
		return
	}
	now := c.clock()
	c.limit = now + min(int64(limit), math.MaxInt64-now)
	for _, h := range c.handles() {
		if !h.Active() {
			continue // one that was asked before has removed it
		}
		if s, ok := h.source.(ShutdownHandler); ok {
			s.HandleShutdown(h)
		} else if h.state&background == 0 {
			h.Remove(nil)
		}
	}
}

// ShuttingDown tells whether Shutdown was called: for what would otherwise begin something new, such as another attempt
// to connect. Only for use on the loop.
func (c *Communicator) ShuttingDown() bool { return c.limit > 0 }

// giveUp ends a shutdown that takes too long, and says who has held it up.
func (c *Communicator) giveUp() {
	const most = 3
	var names []string
	for _, h := range c.handles() {
		if h.state&background == 0 && len(names) < most {
			names = append(names, h.Name())
		}
	}
	c.log.Warn("the shutdown is cut short", "sources", c.keeping, "first", names, "holds", c.posts.holds.Load())
	c.Stop(ErrShutdownTimeout)
}
