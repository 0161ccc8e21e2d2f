//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestEdgesRate: what comes while the source is over its rate is told when that is over. As it is watched anew then it
// is called once in any case.
func TestEdgesRate(t *testing.T) {
	for _, priority := range []int{0, -1} {
		limited := false
		for range 50 { // until the machine lets the events come within the interval
			if limited = edgesOverRate(t, priority); limited {
				break
			}
		}
		if !limited {
			t.Errorf("priority %d: never over its rate", priority)
		}
	}
}

func edgesOverRate(t *testing.T, priority int) (limited bool) {
	t.Helper()
	const events = 3
	f := signalled(t)
	p, h, calls := bell(t, f, communicator.Options{Want: edges, Priority: priority, Rate: rate(events, pause), Disabled: true})
	var began, again time.Time
	do(t, h.Loop(), func() {
		p.read = func(*communicator.Handle) error {
			switch f.signal(t); p.reads {
			case 1:
				began = time.Now()
			case events:
				h.Loop().AfterTurn(func() { limited = h.Limited() })
			case events + 1:
				again = time.Now()
				p.read = ignore
			}
			return nil
		}
		h.SetEnabled(true)
	})
	pass(t, 2*pause)
	n := calls()
	if !limited {
		return false
	}
	if n < events+1 || n > events+2 || again.Sub(began) < pause {
		t.Errorf("%d calls; called again after %v", n, again.Sub(began))
	}
	do(t, h.Loop(), func() { limited = !h.Limited() })
	if !limited {
		t.Error("still limited")
	}
	quiet(t, h.Loop(), silence/2)
	return true
}
