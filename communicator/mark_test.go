//go:build linux

package communicator_test

import (
	"fmt"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestMarkSurvivesDisabling: a mark that a turn has collected is not lost when something more important disables
// the source in that very turn. It is served once, after the source is enabled again.
func TestMarkSurvivesDisabling(t *testing.T) {
	for _, test := range []struct {
		name string
		// disabled is what the more important one does, besides disabling it; later happens turns later.
		disabled, later func(h *communicator.Handle)
		want            []string
	}{
		{"enabled later", nil, func(h *communicator.Handle) { h.SetEnabled(true) }, []string{"disable", "later", "read"}},
		{"enabled at once", func(h *communicator.Handle) { h.SetEnabled(true) }, nil, []string{"disable", "read", "later"}},
		{"twice", func(h *communicator.Handle) {
			h.SetEnabled(true)
			h.SetEnabled(false)
		}, func(h *communicator.Handle) { h.SetEnabled(true) }, []string{"disable", "later", "read"}},
		{"marked again", (*communicator.Handle).MarkReadable, func(h *communicator.Handle) {
			h.MarkReadable()
			h.SetEnabled(true)
		}, []string{"disable", "later", "read"}},
		{"removed", func(h *communicator.Handle) { h.Remove(nil) }, nil, []string{"disable", "later"}},
		{"never enabled", nil, nil, []string{"disable", "later"}},
	} {
		for _, withFD := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", test.name, withFD), func(t *testing.T) {
				loop := newLoop(t, communicator.Config{})
				var order journal
				p := &probe{t: t, name: "p", read: order.noter("read", ignore)}
				if withFD {
					p.file = eventfd(t)
				}
				h := add(t, loop, p, communicator.Options{})
				first := &probe{t: t, name: "first", read: order.noter("disable", func(first *communicator.Handle) error {
					h.SetEnabled(false)
					if test.disabled != nil {
						test.disabled(h)
					}
					return remove(first)
				})}
				add(t, loop, first, communicator.Options{Priority: communicator.PriorityUrgent}).MarkReadable()
				h.MarkReadable()
				afterTurns(t, loop, 4, func() {
					order.note("later")
					if test.later != nil {
						test.later(h)
					}
					afterTurns(t, loop, 4, func() { h.Remove(nil) })
				})
				run(t, loop)
				order.expect(t, test.want...)
			})
		}
	}
}

// TestServedMarkIsGone: disabling brings back no mark that was served, nor makes one of an event that is over.
func TestServedMarkIsGone(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, name: "p", file: eventfd(t)}
	p.read = order.noter("read", func(h *communicator.Handle) error {
		h.SetEnabled(false)
		return nil
	})
	h := add(t, loop, p, communicator.Options{})
	h.MarkReadable()
	first := &probe{t: t, name: "first"}
	firstHandle := add(t, loop, first, communicator.Options{Priority: communicator.PriorityUrgent})
	first.read = order.noter("disable", func(*communicator.Handle) error {
		h.SetEnabled(false)
		p.file.drain(t)
		return nil
	})
	afterTurns(t, loop, 4, func() {
		h.SetEnabled(true)
		p.file.signal(t)
		firstHandle.MarkReadable()
		afterTurns(t, loop, 4, func() {
			h.SetEnabled(true)
			afterTurns(t, loop, 4, func() {
				h.Remove(nil)
				firstHandle.Remove(nil)
			})
		})
	})
	run(t, loop)
	order.expect(t, "read", "disable")
}

// afterTurns runs f that many turns later.
func afterTurns(t testing.TB, loop *communicator.Communicator, turns int, f func()) {
	t.Helper()
	post(t, loop, func() {
		if turns > 1 {
			afterTurns(t, loop, turns-1, f)
			return
		}
		f()
	})
}
