//go:build linux

package communicator

import (
	"math"
	"time"
)

// Shutdown ends the loop gracefully: listeners stop accepting, timers and signals end, streams deliver
// what they hold and close. Run returns nil when all have ended, or ErrShutdownTimeout when limit has
// passed before, and then ends what is left abruptly. A limit of zero or less is Stop(nil). The first limit counts.
//
// A source that is a ShutdownHandler is asked to end; any other is removed. What is added to the loop later is not, but
// the limit ends it too. Only for use on the loop: elsewhere, Post it.
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
		} else {
			h.Remove(nil)
		}
	}
}
