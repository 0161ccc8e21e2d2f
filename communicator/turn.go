//go:build linux

package communicator

import (
	"math"
	"runtime"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// turn is one turn of the loop, as the package doc describes it.
func (c *Communicator) turn() error {
	c.stats.Turns++
	if err := c.wait(); err != nil {
		return err
	}
	c.woken = c.now
	c.dispatch()
	c.runPosts()
	c.closeRemoved()
	c.runAfter()
	c.stats.Busy.add(c.now - c.woken)
	if c.limit > 0 && c.now >= c.limit && (c.kept() || c.posts.any() || len(c.after) > 0) {
		c.giveUp()
	}
	return nil
}

// yieldEvery is how long a busy loop keeps its processor to itself. The runtime's garbage collector waits
// for it as well. With one processor, yielding takes 3 to 6 % off the CPU time of a message service with
// 100 connections, and a quarter off that of an echo whose only client never sleeps
// (benchmarks/README.md). Shorter does not gain more, and gives too much to goroutines that compute.
const yieldEvery = 2 * time.Millisecond

// wait blocks until something is ready or due, and collects all of it.
func (c *Communicator) wait() error {
	c.beginTurn()
	if c.woke || c.now-c.yielded > int64(yieldEvery) {
		// Let others run on this processor, which a blocked loop would keep for some 70 µs, and a busy one for 10 ms.
		c.yielded = c.now
		runtime.Gosched()
	}
	if c.woke || c.queued > 0 {
		c.woke = false
		if err := c.collect(false); err != nil {
			return err
		}
	}
	if c.queued == 0 {
		block := c.fallAsleep()
		if !block {
			c.posts.sleeping.Store(false) // urgent sources are called back while all is collected
		}
		err := c.collect(block)
		c.posts.sleeping.Store(false)
		if err != nil {
			return err
		}
	}
	c.collectDue(c.turnLook)
	return nil
}

// beginTurn makes what is still queued, and what was marked, part of the turn.
func (c *Communicator) beginTurn() {
	c.look++
	c.turnLook = c.look
	c.left = c.queued
	if len(c.ready) > 2*c.queued+piece || (c.queued == 0 && len(c.ready) > 0) {
		c.ready.dropVoid()
	}
	for _, h := range c.marked {
		if h.state&silent == 0 {
			h.state &^= marked
			h.state |= remind
			c.enqueue(h, Read, c.turnLook)
		}
	}
	clear(c.marked)
	c.marked = c.marked[:0]
}

// kept tells whether something keeps the loop running.
func (c *Communicator) kept() bool { return c.keeping > 0 || c.posts.holds.Load() > 0 }

// fallAsleep prepares for blocking; false if there is a reason not to.
func (c *Communicator) fallAsleep() bool {
	c.armTimer()
	c.posts.sleeping.Store(true) // before the last look at what could be there to do
	return !c.posts.any() && !c.stopping.Load() && len(c.closing) == 0 && len(c.after)+len(c.deferred) == 0 && c.kept()
}

// armTimer lets the timer descriptor fire at the earliest deadline. When that has moved to later
// the descriptor stays as it is: one wake-up for nothing is cheaper than a system call each turn.
func (c *Communicator) armTimer() {
	next, ok := c.deadlines.Next()
	if c.limit > 0 && (!ok || c.limit < next) {
		next, ok = c.limit, true
	}
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

// collect asks epoll what is ready and queues all of it, a piece at a time while something urgent is in
// the loop: the kernel takes some 0.25 µs for each event of a socket, so that a thousand at once would
// keep it waiting. Between pieces urgent sources are served.
//
// What epoll has reported goes to the end of its list (it is level-triggered), so a walk through
// the list is complete when a piece is not full, or holds something that an earlier one has
// brought.
func (c *Communicator) collect(block bool) error {
	before := c.now
	events := c.events
	if c.urgents > 0 {
		events = events[:piece]
	}
	for {
		var n int
		var err error
		if block {
			n, err = sys.EpollWait(c.epfd, events)
			c.posts.sleeping.Store(false)
			c.now = c.clock()
			c.stats.Idle += time.Duration(c.now - before)
			block = false
		} else {
			n, err = sys.EpollPoll(c.epfd, events)
			c.now = c.clock()
		}
		if err != nil {
			return err
		}
		fresh, urgent := c.queueEvents(events[:n], c.turnLook)
		if urgent {
			if _, err := c.collectUrgent(c.turnLook); err != nil {
				return err
			}
		}
		if n < len(events) || !fresh {
			return nil
		}
		c.lookAround()
		c.serveUrgent()
	}
}

// collectUrgent asks the urgent set what is ready, and queues all of it.
func (c *Communicator) collectUrgent(look uint64) (found int, err error) {
	for {
		n, err := sys.EpollPoll(c.urgentfd, c.events)
		if err != nil {
			return found, err
		}
		fresh, _ := c.queueEvents(c.events[:n], look)
		found += n
		if n < len(c.events) || !fresh {
			return found, nil
		}
	}
}

// queueEvents queues what each event is for. It tells whether none was of a source that this look
// has seen before, and whether the urgent set has some.
func (c *Communicator) queueEvents(events []sys.Event, look uint64) (fresh, urgent bool) {
	fresh = true
	for i := range events {
		e := &events[i]
		switch {
		case e.Fd >= 0:
			h := c.slots[e.Fd]
			if h == nil || h.generation != uint32(e.Pad) {
				c.stats.Stale++
				continue
			}
			if h.seen == uint32(look) {
				fresh = false
			}
			h.seen = uint32(look)
			c.enqueue(h, interestOf(e.Events), look)
		case e.Fd == timerSlot:
			c.armed = 0
		case e.Fd == urgentSlot:
			urgent = true
		}
	}
	return fresh, urgent
}

func (c *Communicator) enqueue(h *Handle, i Interest, look uint64) {
	if h.state&(gone|silent) != 0 {
		return
	}
	h.pending |= i
	if h.state&ready != 0 {
		return
	}
	h.state |= ready
	h.look = look
	c.ready.push(h)
	c.queued++
	if look <= c.turnLook {
		c.left++
	}
}

// unqueue takes a handle out of the ready queue; its entry there is void.
func (c *Communicator) unqueue(h *Handle) {
	if h.state&ready == 0 {
		return
	}
	h.state &^= ready
	c.queued--
	if h.look <= c.turnLook {
		c.left--
	}
}

// collectDue queues the deadlines that have come.
func (c *Communicator) collectDue(look uint64) {
	for {
		h, ok := c.deadlines.PopDue(c.now)
		if !ok {
			return
		}
		if h.state&limited != 0 {
			h.unlimit()
			continue
		}
		h.state |= due
		c.enqueue(h, Nothing, look)
	}
}

// dispatch serves what was ready when the turn began, and what is more important and becomes ready
// meanwhile. What becomes ready meanwhile and is not more important stays for the next turn.
//
// A source that goes on with what it has left, by a deadline that has passed already, ends the dispatch when it has
// had its turn: what is left stays queued, and the next turn asks epoll who else is ready. It would keep its equals
// waiting else.
func (c *Communicator) dispatch() {
	late := 0
	for c.left > 0 && !c.stopping.Load() {
		if top := &c.ready[0]; top.look > c.turnLook && !top.void() {
			if late++; late > maxLate || top.h.goesOn(c.woken) {
				return
			}
		}
		c.serveNext()
	}
}

// goesOn tells whether the source has had a callback since a moment, and only wants to go on.
func (h *Handle) goesOn(since int64) bool {
	return h.state&(urgent|overdue) == overdue && h.pending == Nothing && h.active > since
}

// Room for what is more important and becomes ready meanwhile. Without an end to it an urgent
// source that is always ready would keep posted functions and closings waiting for ever.
const (
	maxLate   = 256 // callbacks in the dispatch of a turn
	maxUrgent = 16  // callbacks between two pieces, posted functions or closings
)

// serveNext calls what the first of the ready sources has to be called for.
func (c *Communicator) serveNext() {
	e := c.ready.pop()
	if e.void() {
		return
	}
	h := e.h
	c.unqueue(h)
	wasDue := h.state&due != 0
	inError := h.pending&failed != 0
	h.state &^= remind
	if h.take(Read | Exceptional) {
		c.announce(h, CallRead)
		c.called(h, h.source.(ReadHandler).HandleRead(h))
	}
	if h.take(Write) {
		c.announce(h, CallWrite)
		c.called(h, h.source.(WriteHandler).HandleWrite(h))
	}
	if wasDue && h.state&due != 0 {
		h.state &^= due
		if h.state&overdue == 0 {
			c.stats.Lag.add(c.now - h.wake())
		}
		h.deadline = 0
		c.announce(h, CallTimeout)
		c.called(h, h.source.(TimeoutHandler).HandleTimeout(h))
	}
	h.minded(inError)
}

// take tells whether something reported, and not made void since, is still wanted.
func (h *Handle) take(i Interest) bool {
	taken := h.pending&h.want&i != 0
	h.pending &^= i
	return taken
}

// announce is what precedes each callback. h is nil for a function.
func (c *Communicator) announce(h *Handle, call Call) {
	c.began = c.now
	c.counted = false
	if c.observer != nil {
		c.observed, c.calling, c.call = true, h, call
		c.observer.BeginCallback(h, call)
	}
}

// called is what follows each callback of a source.
func (c *Communicator) called(h *Handle, err error) {
	if err != nil {
		h.fail(err)
	}
	counted := c.counted // by Continue, when it told the callback to end
	if !counted {
		c.stats.Callbacks++
		h.calls++
	}
	c.between(h)
	if !counted {
		h.count()
	}
}

// between is what happens between any two callbacks: the clock is read, a slow callback is
// reported, and what is urgent is looked for.
func (c *Communicator) between(h *Handle) {
	c.account(h, c.clock())
	c.observe(c.now)
	if len(c.deferred) > 0 {
		c.runDeferred()
	}
	c.lookAround()
}

// account enters what has taken place since the clock was read last.
func (c *Communicator) account(h *Handle, now int64) {
	took := now - c.now
	c.now = now
	if h != nil {
		h.spent += took
		h.active = now
		h.longest = max(h.longest, uint32(min(took/int64(time.Microsecond), math.MaxUint32)))
	}
	if c.slow > 0 && took > c.slow {
		c.reportSlow(h, time.Duration(took))
		c.now = c.clock()
	}
}

// lookAround looks for what has become ready and may be urgent.
func (c *Communicator) lookAround() {
	if next, ok := c.deadlines.Next(); ok && next <= c.now {
		c.look++
		c.collectDue(c.look)
	}
	if c.urgent > 0 && c.now >= c.nextLook {
		c.look++
		c.stats.Looks++
		found, err := c.collectUrgent(c.look)
		if err != nil {
			c.Stop(err)
		}
		// What is ready and not served is reported by every look, so the next one is put off by as
		// much as this one found.
		c.nextLook = c.now + int64(LookInterval)*int64(1+found)
	}
}

// serveUrgent serves what is urgent between callbacks that are in no queue.
func (c *Communicator) serveUrgent() {
	for n := 0; n < maxUrgent && c.ready.urgent() && !c.stopping.Load() && !c.ending; n++ {
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
	c.announce(nil, CallFunction)
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
		c.announce(h, CallClose)
		c.close(h)
		c.between(h)
		c.serveUrgent()
	}
	c.closing = c.closing[:0]
}
