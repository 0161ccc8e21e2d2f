//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestShuttingDown: it is so from the call on, for sources that are asked and for callbacks until the end; Stop is
// something else.
func TestShuttingDown(t *testing.T) {
	for name, stop := range map[string]func(loop *communicator.Communicator){
		"a limit of zero": func(loop *communicator.Communicator) { loop.Shutdown(0) },
		"Stop":            func(loop *communicator.Communicator) { loop.Stop(nil) },
	} {
		loop := newLoop(t, communicator.Config{})
		post(t, loop, func() {
			stop(loop)
			if loop.ShuttingDown() || !loop.Stopping() {
				t.Errorf("%s: shutting down: %v, stopping: %v", name, loop.ShuttingDown(), loop.Stopping())
			}
		})
		run(t, loop)
	}
	loop := newLoop(t, communicator.Config{})
	holds := func(when string) {
		if !loop.ShuttingDown() || loop.Stopping() {
			t.Errorf("%s: shutting down: %v, stopping: %v", when, loop.ShuttingDown(), loop.Stopping())
		}
	}
	s := newSteady(t, "steady", func(h *communicator.Handle) {
		holds("asked")
		h.SetDeadline(time.Now())
	})
	s.timeout = func(h *communicator.Handle) error {
		holds("later")
		return remove(h)
	}
	add(t, loop, s, communicator.Options{})
	post(t, loop, func() {
		if loop.ShuttingDown() {
			t.Error("before the call")
		}
		loop.Shutdown(patience)
		holds("called")
		loop.Shutdown(patience)
		holds("called again")
	})
	run(t, loop)
	if s.asked != 1 || s.timeouts != 1 {
		t.Errorf("asked %d times, and called %d times", s.asked, s.timeouts)
	}
}
