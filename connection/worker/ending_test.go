//go:build linux

package worker_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestLoopEnds: what is finished gets its result, everything else is told why it has none, and nobody waits for
// work that pays no heed.
func TestLoopEnds(t *testing.T) {
	loop, log := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 2})
	stubborn := newGate()
	defer close(stubborn.open)
	var got []string
	note := func(name string, want ...error) func(string, error) {
		return func(v string, err error) {
			got = append(got, name)
			wants(t, name, err, want...)
			if (err == nil) != (v == name) || err != nil && v != "" {
				t.Errorf("%s got %q, %v", name, v, err)
			}
			full(t, p, worker.ErrClosed)
		}
	}
	why := []error{worker.ErrClosed, communicator.ErrClosed, errTest}
	do(t, p, stubborn.wait, note("stubborn", why...))
	await(t, stubborn.begun, "the stubborn work to begin")
	do(t, p, func(context.Context) (string, error) { return "finished", nil }, note("finished"))
	for p.Stats().Finished == 0 {
		runtime.Gosched()
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	do(t, p, func(ctx context.Context) (string, error) {
		close(begun)
		v, err := obedient(ctx)
		ended <- err
		return v, nil
	}, note("obedient", why...))
	await(t, begun, "the obedient work to begin")
	do(t, p, func(context.Context) (string, error) {
		t.Error("it has begun")
		return "", nil
	}, note("never begun", why...))
	loop.Stop(errTest)
	if err := loop.Run(context.Background()); !errors.Is(err, errTest) {
		t.Errorf("Run: %v", err)
	}
	equal(t, "callbacks", got, []string{"finished", "stubborn", "obedient", "never begun"})
	wants(t, "the context", looptest.Await(t, ended, "the context to end"), why...)
	if len(log.Records()) != 0 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestClose: as when the loop ends, within a callback.
func TestClose(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 1})
	var got []int
	begun := make(chan struct{})
	do(t, p, func(context.Context) (int, error) { return 1, nil }, func(v int, err error) {
		must(t, err)
		got = append(got, v)
		await(t, begun, "the second to begin")
		p.Close()
		p.Close() // once more means nothing
		full(t, p, worker.ErrClosed)
	})
	do(t, p, func(ctx context.Context) (int, error) {
		close(begun)
		_, err := obedient(ctx)
		return 2, err
	}, func(v int, err error) {
		got = append(got, v)
		wants(t, "the second", err, worker.ErrClosed)
	})
	do(t, p, func(context.Context) (int, error) {
		t.Error("the third has begun")
		return 3, nil
	}, func(v int, err error) {
		got = append(got, v)
		wants(t, "the third", err, worker.ErrClosed)
	})
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []int{1, 0, 0})
}

// TestShutdown: what was accepted is finished, nothing more is accepted.
func TestShutdown(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 2})
	var got []int
	for i := range 50 {
		do(t, p, func(ctx context.Context) (int, error) { return i, ctx.Err() }, func(v int, err error) {
			must(t, err)
			if got = append(got, v); len(got) == 1 {
				loop.Shutdown(looptest.Patience)
				full(t, p, worker.ErrClosed)
			}
		})
	}
	looptest.Run(t, loop)
	slices.Sort(got)
	if len(got) != 50 || len(slices.Compact(got)) != 50 {
		t.Errorf("callbacks: %v", got)
	}
}

// TestShutdownLimit: the limit ends work that takes too long.
func TestShutdownLimit(t *testing.T) {
	loop, log := looptest.New(t)
	p := newPool(t, loop, worker.Config{Options: communicator.Options{Name: "slow ones"}})
	var got error
	do(t, p, obedient, func(_ string, err error) { got = err })
	must(t, loop.Post(func() { loop.Shutdown(1) }))
	wants(t, "Run", loop.Run(context.Background()), communicator.ErrShutdownTimeout)
	wants(t, "the callback", got, worker.ErrClosed, communicator.ErrShutdownTimeout)
	if len(log.Containing("slow ones")) != 1 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestIdle: a pool without work lets Run return, and shutdown ends it.
func TestIdle(t *testing.T) {
	for _, shut := range []bool{false, true} {
		loop, _ := looptest.New(t)
		p := newPool(t, loop, worker.Config{})
		if name := p.Handle().Name(); name != "workers" {
			t.Errorf("it is called %q", name)
		}
		if shut {
			loop.Shutdown(looptest.Patience)
			full(t, p, worker.ErrClosed)
		}
		looptest.Run(t, loop)
	}
}

// TestBackground: a pool in the background lets Run return though work is out.
func TestBackground(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Options: communicator.Options{Background: true}})
	calls := 0
	do(t, p, obedient, func(_ string, err error) {
		calls++
		wants(t, "the callback", err, worker.ErrClosed)
	})
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestRemovedWithCause: who removes the pool for a reason, tells it to all.
func TestRemovedWithCause(t *testing.T) {
	loop, log := looptest.New(t)
	p := newPool(t, loop, worker.Config{})
	var got error
	do(t, p, obedient, func(_ string, err error) { got = err })
	p.Handle().Remove(errTest)
	looptest.Run(t, loop)
	wants(t, "the callback", got, worker.ErrClosed, errTest)
	if len(log.Containing("a pool of workers has failed")) != 1 {
		t.Errorf("logged %q", log.Records())
	}
}

func TestAfterTheEnd(t *testing.T) {
	loop, _ := looptest.New(t)
	looptest.Run(t, loop)
	if p, err := worker.NewPool(loop, worker.Config{}); p != nil || !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("NewPool answers %v, %v", p, err)
	}
	nothing := func(context.Context) error { t.Error("it ran"); return nil }
	if task, err := worker.Go(loop, nothing, func(error) {}, communicator.Options{}); task != nil || !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("Go answers %v, %v", task, err)
	}
}

// TestShutdownSilent: a pool that isn't called, because it is disabled or over its rate, ends all the same when no work
// is out; also when the last callback shuts the loop down.
func TestShutdownSilent(t *testing.T) {
	for _, o := range []communicator.Options{{Disabled: true}, {Rate: communicator.Rate{Events: 1, Interval: time.Hour}}} {
		for _, within := range []bool{false, true} {
			loop, _ := looptest.New(t)
			p := newPool(t, loop, worker.Config{Options: o})
			shut := func() {
				if loop.Shutdown(looptest.Patience); p.Handle().Active() {
					t.Error("the pool is still there")
				}
			}
			calls := 0
			do(t, p, func(context.Context) (int, error) { return 7, nil }, func(v int, err error) {
				must(t, err)
				calls += v
				if within {
					shut()
					return
				}
				p.Handle().SetEnabled(!o.Disabled)
				loop.AfterTurn(func() {
					if p.Handle().Enabled() && !p.Handle().Limited() {
						t.Error("the pool is not silent")
					}
					shut()
				})
			})
			p.Handle().SetEnabled(true)
			looptest.Run(t, loop)
			if calls != 7 {
				t.Errorf("the sum of the callbacks is %d", calls)
			}
		}
	}
}

// TestShutdownDisabled: what has come out waits until the pool is enabled.
func TestShutdownDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Options: communicator.Options{Disabled: true}})
	var got []int
	do(t, p, func(context.Context) (int, error) { return 7, nil }, func(v int, err error) {
		must(t, err)
		got = append(got, v)
	})
	must(t, loop.Post(func() {
		loop.Shutdown(looptest.Patience)
		loop.AfterTurn(func() {
			equal(t, "callbacks while disabled", got, nil)
			p.Handle().SetEnabled(true)
		})
	}))
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []int{7})
}

// TestGoShutdownInBackground: neither the shutdown nor the loop waits for it.
func TestGoShutdownInBackground(t *testing.T) {
	loop, _ := looptest.New(t)
	g := newGate()
	calls := 0
	_, err := worker.Go(loop, func(ctx context.Context) error {
		_, err := g.wait(ctx)
		return err
	}, func(err error) {
		calls++
		wants(t, "the end", err, worker.ErrClosed, communicator.ErrClosed)
	}, communicator.Options{Background: true})
	must(t, err)
	await(t, g.begun, "the goroutine to begin")
	must(t, loop.Post(func() { loop.Shutdown(looptest.Patience) }))
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	close(g.open)
}
