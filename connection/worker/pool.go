//go:build linux

// Package worker does work that blocks away from the loop, and brings what comes out back to it.
//
// [Do] hands a function to a [Pool] of goroutines and calls another on the loop with the result. [Go] starts one
// goroutine of its own, and its end is an event of the loop.
//
//	pool, err := worker.NewPool(loop, worker.Config{Workers: 4})
//	...
//	_, err = worker.Do(pool, func(context.Context) ([]byte, error) {
//		return os.ReadFile(name) // on a worker
//	}, func(text []byte, err error) {
//		... // on the loop
//	})
//
// The callback of what was accepted is called exactly once: with what came out, or with an error that is
// [ErrClosed] when the pool leaves the loop before. Then the contexts of all work are ended, and nobody waits
// for a worker that pays no heed: what it returns is dropped, and its goroutine lives on until then.
//
// All of it belongs to the loop's goroutine but the work itself, which must not touch what is the loop's.
//
// Do not use it for work that takes less than some 10 µs, for that is what the way there and back costs; nor to
// send the loop many values: package channel does that.
package worker

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// DefaultWorkers is how many goroutines work at most: as many as libuv's pool has threads.
	DefaultWorkers = 4
	// DefaultQueue is how much work may be out beyond what the workers have at hand.
	DefaultQueue = 1024
)

// Config says how a pool works. The zero value is right for most.
type Config struct {
	// Options are those of the pool's source in the loop: by its priority callbacks are called. A pool lets Run
	// return while no work is out; with Background also while there is. Want, Deadline and Slack mean
	// nothing here.
	communicator.Options
	// Workers is how many goroutines work at most. They start when they are needed, wait when there is
	// nothing to do, and end with the pool. Zero or less: DefaultWorkers.
	Workers int
	// Queue is how much work may wait, for a worker or for its callback, besides what Workers have at hand. Zero:
	// DefaultQueue; below 0: none.
	Queue int
}

// Pool is a bounded number of goroutines for work that blocks.
//
// While it is disabled, results wait. When the loop is shut down the pool takes nothing more, and ends when
// the callbacks of all that was accepted have been called: at once if no work is out, while a disabled one that has
// some is waited for until it is enabled, closed, or the limit of the shutdown has passed.
type Pool struct {
	handle     *communicator.Handle
	workers    int
	limit      int // of open tasks
	background bool
	single     bool      // it is the goroutine of Go
	ending     bool      // it takes nothing more, and leaves the loop when nothing is open
	open       list.List // *Task, whose callbacks are still to come, in the order of Do
	results    []*Task   // taken from finished
	next       int       // of the results
	ctx        context.Context
	cancel     context.CancelCauseFunc

	mu       sync.Mutex
	more     *sync.Cond // the queue is not empty any more, or the pool has closed
	bell     sys.Bell   // rung when something is finished
	queue    list.List  // *Task, which no worker has begun
	finished []*Task    // in the order in which they have
	alive    int        // workers
	idle     int        // those of them that wait
	running  int
	done     uint64
	closed   bool
}

// NewPool adds a pool to a loop.
func NewPool(loop *communicator.Communicator, c Config) (*Pool, error) {
	if c.Name == "" {
		c.Name = "workers"
	}
	return newPool(loop, c)
}

func newPool(loop *communicator.Communicator, c Config) (*Pool, error) {
	if c.Workers <= 0 {
		c.Workers = DefaultWorkers
	}
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	limit := c.Workers + min(max(0, c.Queue), math.MaxInt-c.Workers)
	p := &Pool{workers: c.Workers, limit: limit, background: c.Background}
	p.more = sync.NewCond(&p.mu)
	var err error
	if p.bell, err = sys.NewBell(); err != nil {
		return nil, err
	}
	o := c.Options
	o.Want, o.Deadline, o.Slack, o.Background = communicator.Read, time.Time{}, 0, true
	if p.handle, err = loop.Add((*source)(p), o); err != nil {
		_ = p.bell.Close()
		return nil, err
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p, nil
}

// Do lets a worker call f, and calls done on the loop with what f has returned, in the order in which work is
// finished. A panic of f becomes a *PanicError, a Goexit ErrGoexit. The context ends when the task is cancelled
// and when the pool leaves the loop. done may do anything, also hand in more work: there is room for one at least.
//
// Do never blocks. Its errors are ErrFull and ErrClosed; then done is not called.
func Do[T any](p *Pool, f func(ctx context.Context) (T, error), done func(T, error)) (*Task, error) {
	if f == nil || done == nil {
		panic("worker: nil function")
	}
	return p.submit(&job[T]{f: f, done: done})
}

// Go starts a goroutine that calls f, and calls done on the loop when f has returned; f's outcome is as for Do. Its
// context ends when the task is cancelled, when the loop is shut down and when the loop ends.
//
// It keeps the loop running until f has returned, also when the loop is shut down, but not when it is stopped. With
// Background in the Options nobody waits for f: neither Run, nor Shutdown. If f hasn't returned when the loop
// ends, done gets ErrClosed, and the goroutine lives on until f returns.
//
// A server that has goroutines of its own, such as an http.Server, runs beside the loop so: in the background, its
// Serve as f, and its Shutdown handed to Communicator.AtExit, which waits for the requests that are being answered.
// The example shows it. There a handler gets ErrClosed from Do and Post, so it can't wait for the loop which
// waits for it.
func Go(loop *communicator.Communicator, f func(ctx context.Context) error, done func(error), o communicator.Options) (*Task, error) {
	if f == nil || done == nil {
		panic("worker: nil function")
	}
	if o.Name == "" {
		o.Name = "goroutine"
	}
	p, err := newPool(loop, Config{Options: o, Workers: 1, Queue: -1})
	if err != nil {
		return nil, err
	}
	t, err := p.submit(&function{f, done})
	p.single, p.ending = true, true
	return t, err
}

// Handle is the pool's place in its loop.
func (p *Pool) Handle() *communicator.Handle { return p.handle }

// Close takes the pool out of the loop. At the end of the turn the contexts of its work are ended, and the callback
// of each task is called: with its outcome if it is finished, else with ErrClosed.
func (p *Pool) Close() { p.handle.Remove(nil) }

// Stats is what a pool is doing.
type Stats struct {
	Workers  int    // goroutines there are
	Queued   int    // tasks that no worker has begun
	Running  int    // tasks that are being worked on
	Finished int    // tasks whose callbacks are still to be called
	Done     uint64 // tasks that workers have finished since the pool was made
}

// Stats returns what the pool is doing.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Workers: p.alive, Queued: p.queue.Len(), Running: p.running,
		Finished: len(p.finished) + len(p.results) - p.next, Done: p.done,
	}
}

func (p *Pool) submit(w work) (*Task, error) {
	switch {
	case p.ending || !p.handle.Active():
		return nil, ErrClosed
	case p.open.Len() >= p.limit:
		return nil, ErrFull
	}
	t := &Task{pool: p, work: w}
	t.ctx, t.cancel = context.WithCancelCause(p.ctx)
	t.open = p.open.PushBack(t)
	if !p.background {
		p.handle.SetBackground(false)
	}
	p.handle.Loop().Yield()
	p.mu.Lock()
	defer p.mu.Unlock()
	t.wait = p.queue.PushBack(t)
	if p.queue.Len() > p.idle && p.alive < p.workers {
		p.alive++
		go p.worker()
	} else {
		p.more.Signal()
	}
	return t, nil
}

// worker works until the pool closes.
func (p *Pool) worker() {
	gone := true
	defer func() {
		if gone { // by Goexit: another takes its place
			go p.worker()
		}
	}()
	for t := p.begin(); t != nil; t = p.begin() {
		outcome(t.ctx, t.work, func(err error) { p.settle(t, err) })
	}
	gone = false
}

// begin waits for a task; nil when the pool has closed.
func (p *Pool) begin() *Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.queue.Len() == 0 && !p.closed {
		p.idle++
		p.more.Wait()
		p.idle--
	}
	if p.closed {
		p.alive--
		return nil
	}
	t := p.queue.Remove(p.queue.Front()).(*Task)
	t.state = running
	p.running++
	return t
}

// settle is called by the worker when its task has come to an end.
func (p *Pool) settle(t *Task, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.done++
	if t.state != abandoned {
		p.finish(t, err)
	}
}

// finish hands the outcome of a task to the loop. The lock is held.
func (p *Pool) finish(t *Task, err error) {
	t.state, t.err = finished, err
	p.finished = append(p.finished, t)
	p.bell.Ring()
}
