//go:build linux

package communicator

import (
	"runtime"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// turn is one turn of the loop, as the package doc describes it.
func (c *Communicator) turn() error {
	c.stats.Turns++
	c.look++
	if err := c.wait(); err != nil {
		return err
	}
	c.dispatch()
	c.runPosts()
	c.closeRemoved()
	return nil
}

// wait blocks until something is ready or due, and collects all of it.
func (c *Communicator) wait() error {
	c.ready.dropVoid()
	for _, h := range c.marked {
		if h.state&disabled == 0 {
			h.state &^= marked
			c.enqueue(h, Read)
		}
	}
	clear(c.marked)
	c.marked = c.marked[:0]
	if c.woke {
		runtime.Gosched() // let it run on this processor, which a blocked loop would keep for some 70 µs
	}
	if c.woke || len(c.ready) > 0 {
		c.woke = false
		if err := c.collect(c.epfd, false); err != nil {
			return err
		}
	}
	if len(c.ready) == 0 {
		err := c.collect(c.epfd, c.fallAsleep())
		c.posts.sleeping.Store(false)
		if err != nil {
			return err
		}
	}
	c.now = c.clock()
	c.nextLook = c.now + int64(LookInterval)
	c.collectDue()
	return nil
}

// fallAsleep prepares for blocking; false if there is a reason not to.
func (c *Communicator) fallAsleep() bool {
	c.armTimer()
	c.posts.sleeping.Store(true)
	return !c.posts.any() && !c.stopping.Load() && len(c.closing) == 0 && (c.live > 0)
}

// armTimer lets the timer descriptor fire at the earliest deadline. When that has moved to later the
// descriptor stays as it is: one wake-up for nothing is cheaper than a system call each turn.
func (c *Communicator) armTimer() {
	next, ok := c.deadlines.Next()
	switch {
	case !ok && c.armed == 0:
		return
	case !ok:
		c.armed = 0
		_ = sys.TimerArm(c.timerfd, 0)
	case c.armed == 0 || next < c.armed || c.armed <= c.now:
		c.armed = next
		_ = sys.TimerArm(c.timerfd, time.Duration(max(1, next-c.clock())))
	}
}

// collect asks an epoll set what is ready, all of it, and queues that.
func (c *Communicator) collect(epfd int, block bool) error {
	before := c.now
	for {
		var n int
		var err error
		if block {
			n, err = sys.EpollWait(epfd, c.events)
			c.now = c.clock()
			c.stats.Idle += time.Duration(c.now - before)
			block = false
		} else {
			n, err = sys.EpollPoll(epfd, c.events)
		}
		if err != nil {
			return err
		}
		lookAtUrgent := c.sort(c.events[:n])
		if n == len(c.events) {
			c.events = make([]sys.Event, 2*n)
			continue // those seen come again: they are level-triggered, and queued only once
		}
		if lookAtUrgent {
			return c.collect(c.urgentfd, false)
		}
		return nil
	}
}

// sort queues what each event is for; true if the urgent set has some.
func (c *Communicator) sort(events []sys.Event) (urgent bool) {
	for i := range events {
		e := &events[i]
		switch {
		case e.Fd >= 0:
			if h := c.slots[e.Fd]; h != nil && h.generation == uint32(e.Pad) {
				c.enqueue(h, interestOf(e.Events))
			} else {
				c.stats.Stale++
			}
		case e.Fd == timerSlot:
			c.armed = 0
		case e.Fd == urgentSlot:
			urgent = true
		}
	}
	return urgent
}

func (c *Communicator) enqueue(h *Handle, i Interest) {
	if h.state&(gone|disabled) != 0 {
		return
	}
	h.pending |= i
	if h.state&ready == 0 {
		h.state |= ready
		h.look = c.look
		c.ready.push(h)
	}
}

// unqueue takes a handle out of the ready queue; its entry there is void.
func (c *Communicator) unqueue(h *Handle) {
	if h.state&ready != 0 && h.look <= c.turnLook {
		c.left--
	}
	h.state &^= ready
}

// collectDue queues the deadlines that have come.
func (c *Communicator) collectDue() {
	for {
		h, ok := c.deadlines.PopDue(c.now)
		if !ok {
			return
		}
		h.state |= due
		c.enqueue(h, Nothing)
	}
}

// dispatch serves what was ready when the turn began, and what is more important and becomes ready
// meanwhile. What becomes ready meanwhile and is not more important stays for the next turn.
func (c *Communicator) dispatch() {
	c.turnLook = c.look
	c.left = len(c.ready) // none of them void yet
	late := 0
	for c.left > 0 && !c.stopping.Load() {
		if c.ready[0].look > c.turnLook {
			if late++; late > maxLate {
				return // what is left stays queued
			}
		}
		c.serveNext()
	}
}

// maxLate is how many callbacks of more important sources that became ready meanwhile a turn has room for. Without an
// end to it an urgent source that is always ready would keep posted functions and closings waiting for ever.
const maxLate = 256

// serveNext calls what the first of the ready sources has to be called for.
func (c *Communicator) serveNext() {
	e := c.ready.pop()
	if e.void() {
		return
	}
	h := e.h
	c.unqueue(h)
	wasDue := h.state&due != 0
	if h.take(Read) {
		c.called(h, h.reader.HandleRead(h))
	}
	if h.take(Write) {
		c.called(h, h.source.(WriteHandler).HandleWrite(h))
	}
	if wasDue && h.state&due != 0 {
		h.state &^= due
		h.deadline = 0
		c.called(h, h.source.(TimeoutHandler).HandleTimeout(h))
	}
}

// take tells whether something reported, and not made void since, is still wanted.
func (h *Handle) take(i Interest) bool {
	taken := h.pending&h.want&i != 0
	h.pending &^= i
	return taken
}

// called is what follows each callback of a source.
func (c *Communicator) called(h *Handle, err error) {
	if err != nil {
		h.fail(err)
	}
	h.calls++
	c.stats.Callbacks++
	c.between(h)
}

// between is what happens between any two callbacks: the clock is read, a slow callback is reported, and
// what is urgent is looked for.
func (c *Communicator) between(h *Handle) {
	now := c.clock()
	took := now - c.now
	c.now = now
	if c.slow > 0 && took > c.slow {
		c.reportSlow(h, time.Duration(took))
		c.now = c.clock()
	}
	if next, ok := c.deadlines.Next(); ok && next <= now {
		c.look++
		c.collectDue()
	}
	if c.urgent > 0 && now >= c.nextLook {
		c.lookAtUrgent()
	}
}

// lookAtUrgent asks the urgent set. What is ready and not served is reported by every look, so the
// next one is put off by as much as this one found.
func (c *Communicator) lookAtUrgent() {
	c.look++
	c.stats.Looks++
	n, err := sys.EpollPoll(c.urgentfd, c.events)
	if err != nil {
		c.Stop(err)
		return
	}
	c.sort(c.events[:n])
	c.nextLook = c.now + int64(LookInterval)*int64(1+n)
}

// serveUrgent serves what is urgent between callbacks that are in no queue.
func (c *Communicator) serveUrgent() {
	for known := len(c.ready); known > 0 && c.ready.urgent() && !c.stopping.Load(); known-- {
		c.serveNext()
	}
}

// runPosts runs the functions that were posted before.
func (c *Communicator) runPosts() {
	functions := c.posts.take()
	for i, f := range functions {
		functions[i] = nil
		c.runPosted(f)
		c.serveUrgent()
	}
	c.posts.giveBack(functions)
}

func (c *Communicator) runPosted(f func()) {
	f()
	c.stats.Posted++
	c.woke = true // whoever posted may wait for the outcome
	c.between(nil)
}

// closeRemoved closes the sources that were removed, also those that are removed meanwhile.
func (c *Communicator) closeRemoved() {
	for i := 0; i < len(c.closing); i++ {
		h := c.closing[i]
		c.closing[i] = nil
		c.close(h)
		c.between(h)
		c.serveUrgent()
	}
	c.closing = c.closing[:0]
}
