//go:build linux

package communicator

// maxDeferred is how many deferred functions run after one callback. They may defer others; without an end
// to that nothing else would run.
const maxDeferred = 1024

// Defer lets f run on the loop right after the callback that is running now, before any other: what has to be
// done once, though many parts of a callback ask for it. Functions run in the order of Defer. Those that
// deferred functions defer run as well, up to 1024 of them; what is left then runs after the turn. Only for
// use on the loop; before Run it is AfterTurn.
func (c *Communicator) Defer(f func()) {
	if c.life.Load() == fresh {
		c.AfterTurn(f)
		return
	}
	c.deferred = append(c.deferred, notNil(f))
}

// AfterTurn lets f run on the loop at the end of this turn, when everything that was ready has been served and
// what was removed is closed. What f hands to AfterTurn runs after the next turn, which then doesn't wait
// for anything. What is left when the loop has ended and closed its sources runs then; what that hands on is
// dropped. Only for use on the loop.
func (c *Communicator) AfterTurn(f func()) { c.after = append(c.after, notNil(f)) }

// AtExit lets f run when the loop ends, with what Run is going to return: after the functions that were posted,
// and before the sources are closed. The last one runs first, as with defer. When the loop has ended, f
// runs at once. Only for use on the loop.
func (c *Communicator) AtExit(f func(cause error)) {
	if f == nil {
		panic("communicator: AtExit of a nil function")
	}
	if c.life.Load() == over {
		f(c.posts.cause)
		return
	}
	c.exits = append(c.exits, f)
}

func notNil(f func()) func() {
	if f == nil {
		panic("communicator: nil function")
	}
	return f
}

func (c *Communicator) runDeferred() {
	for n := 0; n < maxDeferred && n < len(c.deferred); n++ {
		f := c.deferred[n]
		c.deferred[n] = nil
		c.runFunction(f)
	}
	done := min(maxDeferred, len(c.deferred))
	c.after = append(c.after, c.deferred[done:]...)
	clear(c.deferred[done:])
	c.deferred = c.deferred[:0]
}

// runAfter runs what was left for the end of the turn.
func (c *Communicator) runAfter() {
	if len(c.deferred) > 0 {
		c.runDeferred()
	}
	if len(c.after) == 0 {
		return
	}
	functions := c.after
	c.after = nil
	for _, f := range functions {
		c.runFunction(f)
		if len(c.deferred) > 0 {
			c.runDeferred()
		}
		c.lookAround()
		c.serveUrgent()
	}
}

func (c *Communicator) runExits(cause error) {
	for len(c.exits) > 0 {
		last := len(c.exits) - 1
		f := c.exits[last]
		c.exits = c.exits[:last]
		c.runFunction(func() { f(cause) })
		c.runDeferred()
	}
}

// runFunction calls a function as a callback, without what happens between two.
func (c *Communicator) runFunction(f func()) {
	c.announce(nil, CallFunction)
	f()
	c.account(nil, c.clock())
	c.observe(c.now)
}
