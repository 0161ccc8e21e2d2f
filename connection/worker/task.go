//go:build linux

package worker

import (
	"container/list"
	"context"
	"runtime/debug"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Task is work that was accepted. It belongs to the loop's goroutine.
type Task struct {
	pool   *Pool
	work   work
	ctx    context.Context
	cancel context.CancelCauseFunc
	open   *list.Element // among those whose callback is still to come; nil after that

	// guarded by the pool's lock
	state state
	wait  *list.Element // among those that no worker has begun
	err   error         // the outcome, when it is finished
}

type state uint8

const (
	queued state = iota
	running
	finished  // its outcome waits for the callback
	abandoned // nobody wants what comes out
)

// work is a function and its callback.
type work interface {
	run(ctx context.Context) error
	// finish calls the callback. whole tells that run has ended: what it has left behind may be looked at.
	finish(err error, whole bool)
}

// Cancel ends the context of the work, with context.Canceled as its cause. Work of a pool that no worker has begun
// never starts, and its callback gets context.Canceled. What has begun, and the goroutine of Go, is only told:
// the callback gets what it returns. Cancel never calls the callback itself; after that it does nothing.
func (t *Task) Cancel() {
	if t.open == nil {
		return
	}
	t.cancel(context.Canceled)
	p := t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.state == queued && !p.single {
		p.queue.Remove(t.wait)
		p.finish(t, context.Canceled)
	}
}

// Done tells whether the callback has been called, or is being called.
func (t *Task) Done() bool { return t.open == nil }

// Handle is the place in the loop of the pool, or of the goroutine that Go has started.
func (t *Task) Handle() *communicator.Handle { return t.pool.handle }

// outcome calls the work and hands what came out to settle: an error, a panic, or that the goroutine is on its
// way out because the work has called Goexit.
func outcome(ctx context.Context, w work, settle func(err error)) {
	var err error
	returned := false
	defer func() {
		if !returned {
			err = ErrGoexit
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}
		settle(err)
	}()
	err = w.run(ctx)
	returned = true
}

// job is the work of Do.
type job[T any] struct {
	f     func(context.Context) (T, error)
	done  func(T, error)
	value T
}

func (j *job[T]) run(ctx context.Context) (err error) {
	j.value, err = j.f(ctx)
	return err
}

func (j *job[T]) finish(err error, whole bool) {
	if whole {
		j.done(j.value, err)
		return
	}
	var none T
	j.done(none, err)
}

// function is the work of Go.
type function struct {
	f    func(context.Context) error
	done func(error)
}

func (f *function) run(ctx context.Context) error { return f.f(ctx) }
func (f *function) finish(err error, _ bool)      { f.done(err) }
