//go:build linux

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestManyTasks: each callback is called exactly once, with its own result; no more work at once than Workers.
func TestManyTasks(t *testing.T) {
	const tasks, workers = 10_000, 5
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: workers, Queue: 100})
	calls := make([]int, tasks)
	var atWork, most atomic.Int32
	next := 0
	var submit func()
	submit = func() {
		for ; next < tasks; next++ {
			n := next
			_, err := worker.Do(p, func(context.Context) (int, error) {
				for now, m := atWork.Add(1), most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				defer atWork.Add(-1)
				if n%3 == 0 {
					return n, fmt.Errorf("%d: %w", n, errTest)
				}
				return n, nil
			}, func(v int, err error) {
				calls[v]++
				if v != n || (v%3 == 0) != errors.Is(err, errTest) {
					t.Errorf("task %d got %d, %v", n, v, err)
				}
				submit() // there is room for one at least
			})
			if errors.Is(err, worker.ErrFull) {
				return
			}
			must(t, err)
		}
	}
	submit()
	if s := p.Stats(); next != workers+100 || s.Workers > workers {
		t.Errorf("%d were accepted, %+v", next, s)
	}
	looptest.Run(t, loop) // until no work is out
	for n, c := range calls {
		if c != 1 {
			t.Fatalf("the callback of %d was called %d times", n, c)
		}
	}
	if most.Load() > workers {
		t.Errorf("%d worked at once", most.Load())
	}
	if s := p.Stats(); s.Done != tasks || s.Queued+s.Running+s.Finished != 0 {
		t.Errorf("%+v", s)
	}
	full(t, p, worker.ErrClosed)
}

// TestRoomInCallback: a callback of a full pool can hand in one, and just one.
func TestRoomInCallback(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 1, Queue: -1})
	rounds := 0
	var next func(int, error)
	work := func(context.Context) (int, error) { return rounds, nil }
	next = func(v int, err error) {
		must(t, err)
		if v != rounds {
			t.Errorf("round %d got %d", rounds, v)
		}
		if rounds++; rounds < 100 {
			do(t, p, work, next)
			full(t, p, worker.ErrFull)
		}
	}
	do(t, p, work, next)
	looptest.Run(t, loop)
	if rounds != 100 {
		t.Errorf("%d rounds", rounds)
	}
}

// TestFull: the limit counts what is being worked on, what waits and what waits for its callback.
func TestFull(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 2, Queue: 1})
	var gates []*gate
	var got []string
	for range 3 {
		g := newGate()
		gates = append(gates, g)
		do(t, p, g.wait, func(v string, err error) { must(t, err); got = append(got, v) })
	}
	full(t, p, worker.ErrFull)
	await(t, gates[0].begun, "the first to begin")
	await(t, gates[1].begun, "the second to begin")
	if s, want := p.Stats(), (worker.Stats{Workers: 2, Queued: 1, Running: 2}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	close(gates[0].open)
	await(t, gates[2].begun, "the third to begin")
	if s, want := p.Stats(), (worker.Stats{Workers: 2, Running: 2, Finished: 1, Done: 1}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	full(t, p, worker.ErrFull) // the loop has called nobody back yet
	close(gates[1].open)
	close(gates[2].open)
	looptest.Run(t, loop)
	equal(t, "results", got, []string{"through the gate", "through the gate", "through the gate"})
}

// TestHugeQueue: the limit is what an int holds.
func TestHugeQueue(t *testing.T) {
	for _, workers := range []int{0, 7, math.MaxInt} {
		loop, _ := looptest.New(t)
		p := newPool(t, loop, worker.Config{Workers: workers, Queue: math.MaxInt})
		sum := 0
		for v := range 10 {
			do(t, p, func(context.Context) (int, error) { return v, nil }, func(v int, err error) { must(t, err); sum += v })
		}
		looptest.Run(t, loop)
		if sum != 45 {
			t.Errorf("the sum is %d", sum)
		}
	}
}

// TestOrder: callbacks come in the order in which the work is finished.
func TestOrder(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 3})
	gates := []*gate{newGate(), newGate(), newGate()}
	var got []int
	for i, g := range gates {
		do(t, p, g.wait, func(string, error) {
			got = append(got, i)
			switch i {
			case 2:
				close(gates[0].open)
			case 0:
				close(gates[1].open)
			}
		})
	}
	close(gates[2].open)
	looptest.Run(t, loop)
	equal(t, "order", got, []int{2, 0, 1})
}

// TestPanic: the callback gets the panic, and the pool goes on.
func TestPanic(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 1})
	got := 0
	for _, value := range []any{"a word", errTest, fmt.Errorf("wrapped: %w", errTest)} {
		do(t, p, func(context.Context) (int, error) { panic(value) }, func(v int, err error) {
			var panicked *worker.PanicError
			if !errors.As(err, &panicked) || panicked.Value != value || v != 0 {
				t.Fatalf("got %d, %v, want a panic with %v", v, err, value)
			}
			if _, ok := value.(error); ok != errors.Is(err, errTest) {
				t.Errorf("%v is the error of the test: %v", err, !ok)
			}
			if !strings.Contains(string(panicked.Stack), "TestPanic") || !strings.Contains(err.Error(), fmt.Sprint(value)) {
				t.Errorf("%v at %s", err, panicked.Stack)
			}
			got++
		})
	}
	do(t, p, func(context.Context) (int, error) { return 3, nil }, func(v int, err error) {
		must(t, err)
		if v != got {
			t.Errorf("%d panics came before the value %d", got, v)
		}
	})
	looptest.Run(t, loop)
	if s := p.Stats(); got != 3 || s.Done != 4 {
		t.Errorf("%d panics, %+v", got, s)
	}
}

// TestGoexit: another worker takes the place of one that has exited.
func TestGoexit(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 2})
	got := 0
	for i := range 10 {
		do(t, p, func(context.Context) (int, error) {
			if i%2 == 0 {
				runtime.Goexit()
			}
			return i, nil
		}, func(v int, err error) {
			got++
			if i%2 == 0 {
				wants(t, "Goexit", err, worker.ErrGoexit)
			} else if v != i || err != nil {
				t.Errorf("%d got %d, %v", i, v, err)
			}
		})
	}
	looptest.Run(t, loop)
	if s := p.Stats(); got != 10 || s.Done != 10 {
		t.Errorf("%d callbacks, %+v", got, s)
	}
}

// TestPriority: results of the more important pool come first.
func TestPriority(t *testing.T) {
	loop, _ := looptest.New(t)
	var order []string
	var pools []*worker.Pool
	for _, o := range []communicator.Options{{Name: "second"}, {Name: "third", Priority: 5}, {Name: "first", Priority: -5}} {
		p := newPool(t, loop, worker.Config{Options: o})
		for range 2 {
			do(t, p, func(context.Context) (int, error) { return 0, nil }, func(int, error) { order = append(order, o.Name) })
		}
		pools = append(pools, p)
	}
	for _, p := range pools {
		for p.Stats().Finished < 2 {
			runtime.Gosched()
		}
	}
	looptest.Run(t, loop)
	equal(t, "order", order, []string{"first", "first", "second", "second", "third", "third"})
}

// TestDisabled: results wait until the pool is enabled.
func TestDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 1})
	var got []int
	for i := range 4 {
		do(t, p, func(context.Context) (int, error) { return i, nil }, func(v int, err error) {
			must(t, err)
			if !p.Handle().Enabled() {
				t.Errorf("%d came to a disabled pool", v)
			}
			got = append(got, v)
			if v == 1 {
				p.Handle().SetEnabled(false)
				must(t, loop.Post(func() {
					equal(t, "while disabled", got, []int{0, 1})
					p.Handle().SetEnabled(true)
				}))
			}
		})
	}
	for p.Stats().Finished < 4 {
		runtime.Gosched()
	}
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []int{0, 1, 2, 3})
}
