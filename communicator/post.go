//go:build linux

package communicator

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// posts are the functions that other goroutines hand to the loop.
type posts struct {
	mu        sync.Mutex
	functions []func()
	spare     []func() // the slice before, to be used again
	max       int
	closed    bool
	cause     error

	holds    atomic.Int32
	waiting  atomic.Bool // functions is not empty
	sleeping atomic.Bool // the loop blocks, or is about to: it wants a wake-up
}

// spareMax is the largest slice of functions that is kept for the next turn.
const spareMax = 32 << 10

func (p *posts) any() bool { return p.waiting.Load() }

func (p *posts) take() []func() {
	if !p.any() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.functions
	p.functions, p.spare = p.spare, nil
	p.waiting.Store(false)
	return taken
}

func (p *posts) giveBack(taken []func()) {
	if taken == nil || cap(taken) > spareMax {
		return
	}
	p.mu.Lock()
	p.spare = taken[:0]
	p.mu.Unlock()
}

// closeIfEmpty closes the queue unless a function waits, or somebody holds the loop.
func (p *posts) closeIfEmpty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.functions) == 0 && p.holds.Load() == 0 {
		p.closed = true
	}
	return p.closed
}

func (p *posts) counts() (waiting, holds int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.functions), int(p.holds.Load())
}

func (p *posts) close() (rest []func(), cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	rest = p.functions
	p.functions = nil
	p.waiting.Store(false)
	return rest, p.cause
}

// Post lets f run on the loop's goroutine, in the current turn or the next. Functions posted by one
// goroutine run in their order. Every function that was accepted runs, even if the loop is stopped
// meanwhile. Its errors are ErrClosed and ErrQueueFull. It never blocks, and may be called from any
// goroutine, before Run and on the loop too.
//
// A waiting function keeps Run from returning; the mere intention to post does not: a goroutine that is
// going to post a result needs a Hold, or something else that is in the loop meanwhile.
func (c *Communicator) Post(f func()) error {
	if f == nil {
		panic("communicator: Post of a nil function")
	}
	p := &c.posts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if len(p.functions) >= p.max {
		return ErrQueueFull
	}
	p.functions = append(p.functions, f)
	if len(p.functions) == 1 {
		p.waiting.Store(true)
	}
	c.wake()
	return nil
}

// Hold keeps Run from returning for want of sources until release is called, for a goroutine that is going to
// post something. Both may be called from any goroutine; release does nothing when it is called again. It doesn't
// keep Stop from ending the loop, nor Shutdown when its limit has passed. The error is ErrClosed.
func (c *Communicator) Hold() (release func(), err error) {
	p := &c.posts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	p.holds.Add(1)
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.holds.Add(-1)
		if !p.closed {
			c.wake()
		}
	}), nil
}

// wake ends the loop's sleep, if it sleeps: of many callers one makes the system call. The caller
// holds the lock of the posts and knows that they are not closed, so the descriptor is open.
func (c *Communicator) wake() {
	if c.posts.sleeping.Load() && c.posts.sleeping.CompareAndSwap(true, false) {
		_ = sys.Signal(c.wakefd)
	}
}

// Yield lets other goroutines run before the loop waits the next time: for a callback that has made one runnable,
// by sending to its channel for instance. Else that goroutine may wait for some 70 µs, until the runtime sees that the
// loop's system call blocks. After a posted function the loop yields by itself. Only for use on the loop.
func (c *Communicator) Yield() { c.woke = true }

// Do runs f on the loop's goroutine and returns its error. If ctx ends before f begins, f never
// runs and Do returns context.Cause; once f has begun Do waits for it. Its own errors are those of
// Post, and ErrOnLoop. Do waits for Run to be called if it has not been.
func (c *Communicator) Do(ctx context.Context, f func() error) error {
	if c.OnLoop() {
		return ErrOnLoop
	}
	var claimed atomic.Bool // by the loop, to run f, or by Do, to give up
	done := make(chan error, 1)
	err := c.Post(func() {
		if ctx.Err() == nil && claimed.CompareAndSwap(false, true) {
			done <- f()
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if claimed.CompareAndSwap(false, true) {
			return context.Cause(ctx)
		}
		return <-done
	}
}

// Stop lets Run return cause when the callback that is running now has returned. The first cause
// counts. It may be called from any goroutine, before Run too.
//
// Stop is abrupt: what streams hold for slow peers is lost. To lose nothing, use Shutdown.
func (c *Communicator) Stop(cause error) {
	c.posts.mu.Lock()
	defer c.posts.mu.Unlock()
	if c.posts.closed || c.stopping.Load() {
		return
	}
	c.posts.cause = cause
	c.stopping.Store(true)
	c.wake()
}

// Stopping tells whether Stop was called; a shutdown is told by ShuttingDown. It may be called from any goroutine.
func (c *Communicator) Stopping() bool { return c.stopping.Load() }

// OnLoop tells whether the caller is a callback of this loop; any goroutine may ask. It is for what would wait for
// itself there, and costs a microsecond while the loop is busy.
func (c *Communicator) OnLoop() bool {
	// The loop's goroutine can't be here while it sleeps, which saves the dear look at the goroutine's number in
	// most cases.
	return c.life.Load() == running && !c.posts.sleeping.Load() && goroutineID() == c.loopID.Load()
}

// goroutineID reads the number that heads the goroutine's stack trace, "goroutine 7 [running]:"; Go
// has no other way to tell goroutines apart.
func goroutineID() uint64 {
	var buf [64]byte
	text := buf[:runtime.Stack(buf[:], false)]
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return id
}
