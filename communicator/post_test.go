//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestPostFromManyGoroutines: nothing is lost, and each goroutine's functions run in their order.
func TestPostFromManyGoroutines(t *testing.T) {
	const goroutines, each = 50, 2000
	loop := newLoop(t, communicator.Config{})
	keep := add(t, loop, &probe{t: t}, communicator.Options{})
	next := make([]int, goroutines)
	total := 0
	for g := range goroutines {
		go func() {
			for i := range each {
				post(t, loop, func() {
					if next[g] != i {
						t.Errorf("goroutine %d: function %d ran, want %d", g, i, next[g])
					}
					next[g] = i + 1
					if total++; total == goroutines*each {
						keep.Remove(nil)
					}
				})
			}
		}()
	}
	run(t, loop)
	if got := loop.Stats().Posted; total != goroutines*each || got != uint64(total) {
		t.Errorf("%d ran, %d counted, want %d", total, got, goroutines*each)
	}
}

func TestPostBeforeRun(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	post(t, loop, func() { order.note("a") })
	post(t, loop, func() { order.note("b") })
	run(t, loop)
	order.expect(t, "a", "b")
}

func TestPostBeforeClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	ran := false
	post(t, loop, func() { ran = true })
	if err := loop.Close(); err != nil || !ran {
		t.Errorf("Close answers %v, the function ran: %v", err, ran)
	}
}

// TestPostKeepsTheLoop: a function that waits is something left.
func TestPostKeepsTheLoop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	runs := 0
	var again func()
	again = func() {
		if runs++; runs < 100 {
			post(t, loop, again)
		}
	}
	post(t, loop, again)
	run(t, loop)
	if runs != 100 {
		t.Errorf("%d runs", runs)
	}
}

func TestPostAfterTheEnd(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	run(t, loop)
	err := loop.Post(func() { t.Error("it ran") })
	if !errors.Is(err, communicator.ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Post answers %v", err)
	}
	if err := loop.Do(context.Background(), func() error { return nil }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Do answers %v", err)
	}
}

// TestPostRacesWithStop: whatever was accepted runs, also while the loop is being stopped.
func TestPostRacesWithStop(t *testing.T) {
	const goroutines = 8
	for range 20 {
		loop := newLoop(t, communicator.Config{})
		add(t, loop, &probe{t: t}, communicator.Options{})
		var accepted atomic.Int64
		ran := int64(0)
		var group sync.WaitGroup
		for range goroutines {
			group.Go(func() {
				for i := 0; ; i++ {
					switch err := loop.Post(func() { ran++ }); {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, communicator.ErrClosed):
						return
					default:
						t.Error(err)
						return
					}
					if i == 200 {
						loop.Stop(nil)
					}
				}
			})
		}
		run(t, loop)
		group.Wait()
		if ran != accepted.Load() {
			t.Fatalf("%d ran, %d were accepted", ran, accepted.Load())
		}
	}
}

func TestPostQueueFull(t *testing.T) {
	const limit = 10
	loop := newLoop(t, communicator.Config{MaxPosted: limit})
	ran := 0
	for range limit {
		post(t, loop, func() { ran++ })
	}
	refused := func() { t.Error("a refused function ran") }
	if err := loop.Post(refused); !errors.Is(err, communicator.ErrQueueFull) {
		t.Errorf("Post answers %v", err)
	}
	if err := loop.Do(context.Background(), func() error { return nil }); !errors.Is(err, communicator.ErrQueueFull) {
		t.Errorf("Do answers %v", err)
	}
	p := &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
		if err := loop.Post(refused); !errors.Is(err, communicator.ErrQueueFull) {
			t.Errorf("Post on the loop answers %v", err)
		}
		return remove(h)
	}}
	p.closed = func(*communicator.Handle, error) { // the queue has been emptied
		for range limit {
			post(t, loop, func() { ran++ })
		}
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	if ran != 2*limit {
		t.Errorf("%d ran, want %d", ran, 2*limit)
	}
}

// TestPostByPosted: what a posted function posts runs after all that was posted before, in a later turn.
func TestPostByPosted(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	var turn uint64
	post(t, loop, func() {
		turn = loop.Stats().Turns
		order.note("a")
		post(t, loop, func() {
			order.note("c")
			if loop.Stats().Turns == turn {
				t.Error("it ran in the same turn")
			}
		})
	})
	post(t, loop, func() { order.note("b") })
	run(t, loop)
	order.expect(t, "a", "b", "c")
}

// TestPostWakes: a loop that sleeps is woken, many times over.
func TestPostWakes(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	done := make(chan struct{})
	for range 1000 {
		post(t, loop, func() { done <- struct{}{} })
		await(t, done, "a posted function")
	}
}

// TestStopWakes: so is one that is to end, however Stop meets its falling asleep.
func TestStopWakes(t *testing.T) {
	for range 300 {
		loop := newLoop(t, communicator.Config{})
		add(t, loop, &probe{t: t}, communicator.Options{})
		go loop.Stop(errTest)
		if err := runError(t, loop); !errors.Is(err, errTest) {
			t.Fatalf("Run answers %v", err)
		}
	}
}
