//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestWhoGoesOn: a source that has more to do than its time allows, and says so by a deadline that has passed, doesn't
// keep a descriptor of its own priority waiting, or of a greater one, whatever less important is ready besides.
func TestWhoGoesOn(t *testing.T) {
	const reads = 20
	for name, priority := range map[string]int{"equal": 20, "more important": 10} {
		for _, lower := range []bool{false, true} {
			loop := newLoop(t, communicator.Config{})
			batches := 0
			busy := &probe{t: t, name: "busy", timeout: func(h *communicator.Handle) error {
				for batches++; h.Continue(); {
					spin(30 * time.Microsecond)
				}
				h.SetDeadline(loop.Now())
				return nil
			}}
			add(t, loop, busy, communicator.Options{Priority: 20, Deadline: time.Now()})
			p := &probe{t: t, file: signalled(t)}
			p.read = func(*communicator.Handle) error {
				if p.reads == reads {
					loop.Stop(nil)
				}
				return nil
			}
			add(t, loop, p, communicator.Options{Priority: priority})
			if lower {
				add(t, loop, &probe{t: t, file: signalled(t), read: ignore}, communicator.Options{Priority: 100})
			}
			run(t, loop)
			if batches > 2*reads {
				t.Errorf("%s, something less important is ready: %v: %d reads, %d batches", name, lower, reads, batches)
			}
		}
	}
}

// TestNothingAfterExit: when the functions for the end have run, no source is called any more, not even an urgent one.
func TestNothingAfterExit(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	exited := false
	urgent := &probe{t: t, name: "urgent", file: signalled(t)}
	urgent.read = func(*communicator.Handle) error {
		if exited {
			t.Error("called after the end")
		}
		return nil
	}
	add(t, loop, urgent, communicator.Options{Background: true, Priority: communicator.PriorityUrgent})
	other := add(t, loop, &probe{t: t, name: "other", timeout: ignore}, communicator.Options{Background: true})
	loop.AtExit(func(error) {
		exited = true
		other.Remove(nil)
		loop.AfterTurn(func() {})
		spin(100 * time.Microsecond)
	})
	run(t, loop)
}
