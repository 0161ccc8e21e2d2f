//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// addMany adds ordinary sources that are always ready.
func addMany(t *testing.T, loop *communicator.Communicator, n int, closed func()) (handles []*communicator.Handle) {
	t.Helper()
	for range n {
		handles = append(handles, add(t, loop, &probe{
			t: t, name: "ordinary", file: signalled(t), read: ignore,
			closed: func(*communicator.Handle, error) { closed() },
		}, communicator.Options{}))
	}
	return handles
}

// TestDoWhileCollecting: so many sources are ready that the urgent one is served between two pieces
// of what the loop has woken up for.
func TestDoWhileCollecting(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	ordinary := 0
	ended, end := context.WithCancel(context.Background())
	end() // a Do that would wait for itself gives up at once
	do := func(h *communicator.Handle) error {
		if ordinary > 0 {
			t.Errorf("called after %d ordinary sources, not while the loop collects", ordinary)
		}
		err := loop.Do(ended, func() error { t.Error("it ran"); return nil })
		if !errors.Is(err, communicator.ErrOnLoop) {
			t.Errorf("Do answers %v, want %v", err, communicator.ErrOnLoop)
		}
		return remove(h)
	}
	for range 200 {
		add(t, loop, &probe{t: t, file: signalled(t), read: func(h *communicator.Handle) error {
			ordinary++
			return remove(h)
		}}, communicator.Options{})
	}
	urgent := &probe{t: t, name: "urgent", file: signalled(t), read: do}
	add(t, loop, urgent, communicator.Options{Priority: communicator.PriorityUrgent})
	run(t, loop)
	if urgent.reads != 1 || ordinary != 200 {
		t.Errorf("%d urgent callbacks, %d ordinary ones", urgent.reads, ordinary)
	}
}

// TestAlwaysUrgentLeavesRoom: an urgent source that is ready after each of its callbacks starves the
// ordinary ones, but neither posted functions nor closings, however many sources are ready.
func TestAlwaysUrgentLeavesRoom(t *testing.T) {
	const (
		sources   = 1000
		each      = 10 // posted functions, and closings
		mostCalls = 20 // between two of them
		mostTurns = 3  // for all of them
	)
	loop := newLoop(t, communicator.Config{})
	urgent := &probe{t: t, name: "urgent", file: signalled(t)}
	urgent.read = func(*communicator.Handle) error {
		spin(4 * communicator.LookInterval) // so long that the next look finds it ready again
		return nil
	}
	var calls, longest int
	var first uint64
	begin := func() {
		calls, longest, first = urgent.reads, 0, loop.Stats().Turns
	}
	step := func() {
		longest = max(longest, urgent.reads-calls)
		calls = urgent.reads
	}
	end := func(what string) {
		t.Helper()
		if turns := loop.Stats().Turns - first; longest > mostCalls || turns > mostTurns {
			t.Errorf("%s: up to %d urgent callbacks between two, %d turns for all; want up to %d, and %d",
				what, longest, turns, mostCalls, mostTurns)
		}
	}

	var handles []*communicator.Handle
	closings := 0
	closed := func() {
		if closings == each {
			return // the loop has been stopped
		}
		if closings++; closings > 1 { // the first one waits for the end of the turn
			step()
		} else {
			calls = urgent.reads
		}
		if closings == each {
			end("closings")
			loop.Stop(nil)
		}
	}
	posted := 0
	function := func() {
		if posted++; posted > 1 {
			step()
		} else {
			calls = urgent.reads
		}
		if posted == each {
			end("posted functions")
			begin()
			for _, h := range handles[:each] {
				h.Remove(nil)
			}
		}
	}
	handles = addMany(t, loop, sources, closed)
	add(t, loop, urgent, communicator.Options{Priority: communicator.PriorityUrgent})
	post(t, loop, func() { // in a turn of its own, with all that is ready
		begin()
		for range each {
			post(t, loop, function)
		}
	})
	began := time.Now()
	run(t, loop)
	if posted != each || closings != each {
		t.Errorf("%d functions ran, %d sources were closed, in %v", posted, closings, time.Since(began))
	}
	if urgent.reads < each {
		t.Errorf("%d urgent callbacks: the test means nothing", urgent.reads)
	}
}
