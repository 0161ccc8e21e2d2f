//go:build linux

package communicator_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestMarkOfUrgent: what an urgent source has left to do comes before the rest of its turn; what another has left
// comes in the next turn.
func TestMarkOfUrgent(t *testing.T) {
	for priority, want := range map[int][]string{
		communicator.PriorityUrgent: {"first", "first", "first", "second"},
		communicator.PriorityNormal: {"first", "second", "first", "first"},
	} {
		loop := newLoop(t, communicator.Config{})
		var order journal
		calls := 0
		first := &probe{t: t, name: "first", read: order.noter("first", func(h *communicator.Handle) error {
			if calls++; calls == 3 {
				return remove(h)
			}
			h.MarkReadable()
			return nil
		})}
		second := &probe{t: t, name: "second", read: order.noter("second", remove)}
		post(t, loop, func() { // so that both are ready in one turn
			add(t, loop, first, communicator.Options{Priority: priority}).MarkReadable()
			add(t, loop, second, communicator.Options{Priority: communicator.PriorityIdle}).MarkReadable()
		})
		run(t, loop)
		order.expect(t, want...)
	}
}
