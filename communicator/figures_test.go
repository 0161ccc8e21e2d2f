//go:build linux

package communicator_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestFiguresOfSource: the listing knows how often a source was called, for how long, and when.
func TestFiguresOfSource(t *testing.T) {
	const calls, work = 3, 2 * time.Millisecond
	loop := newLoop(t, communicator.Config{})
	begin := time.Now()
	p := &probe{t: t, file: signalled(t)}
	p.read = func(h *communicator.Handle) error {
		if info := loop.Sources()[0]; p.reads == 1 && (!info.Active.IsZero() || info.Spent != 0 || info.Longest != 0) {
			t.Errorf("before its first callback has ended: %+v", info)
		}
		spin(work)
		if p.reads < calls {
			return nil
		}
		h.SetEnabled(false)
		ended := time.Now()
		loop.AfterTurn(func() {
			info := loop.Sources()[0]
			most := time.Since(begin)
			if info.Calls != calls || info.Spent < calls*work || info.Spent > most || info.Longest < work || info.Longest > info.Spent {
				t.Errorf("%d calls, %v spent, the longest %v, of %v in all", info.Calls, info.Spent, info.Longest, most)
			}
			if info.Active.Before(ended) || info.Active.After(time.Now()) {
				t.Errorf("active at %v, that was after %v", info.Active, ended)
			}
			h.Remove(nil)
		})
		return nil
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
}

// TestLag: a deadline that was in the future when it was set counts, with what it had to wait for.
func TestLag(t *testing.T) {
	const late = 3 * time.Millisecond
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: remove}
	h := add(t, loop, p, communicator.Options{})
	post(t, loop, func() {
		due := time.Now().Add(late)
		h.SetDeadline(due)
		spin(time.Until(due) + late)
	})
	begin := time.Now()
	run(t, loop)
	if lag := loop.Stats().Lag; lag.Count() != 1 || lag.Longest < late || lag.Longest > time.Since(begin) {
		t.Errorf("lag %v", &lag)
	}
}

// TestNoLag: a deadline that had passed when it was set, or when its source was called again after a pause, is no
// lateness of the loop.
func TestNoLag(t *testing.T) {
	past := func() time.Time { return time.Now().Add(-time.Second) }
	for name, set := range map[string]func(loop *communicator.Communicator, h *communicator.Handle){
		"before Run":      func(_ *communicator.Communicator, h *communicator.Handle) { h.SetDeadline(past()) },
		"now, before Run": func(_ *communicator.Communicator, h *communicator.Handle) { h.SetDeadline(time.Now()) },
		"in a function": func(loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { h.SetDeadline(past()) })
		},
		"now, in a function": func(loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() {
				spin(time.Millisecond)
				h.SetDeadline(time.Now())
				spin(time.Millisecond)
			})
		},
		"disabled meanwhile": func(loop *communicator.Communicator, h *communicator.Handle) {
			h.SetEnabled(false)
			h.SetDeadline(time.Now().Add(time.Millisecond))
			post(t, loop, func() {
				spin(2 * time.Millisecond)
				h.SetEnabled(true)
			})
		},
		"disabled when due": func(loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() {
				h.SetDeadline(time.Now().Add(time.Millisecond))
				h.SetEnabled(false)
				spin(2 * time.Millisecond)
				h.SetEnabled(true)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			p := &probe{t: t, timeout: remove}
			set(loop, add(t, loop, p, communicator.Options{}))
			run(t, loop)
			if lag := loop.Stats().Lag; lag.Count() != 0 || p.timeouts != 1 {
				t.Errorf("%d time-outs, lag %v", p.timeouts, &lag)
			}
		})
	}
}

// TestNoLagWhileLimited: neither is a deadline that came while the source was over its rate.
func TestNoLagWhileLimited(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t), timeout: remove}
	p.read = func(h *communicator.Handle) error {
		p.file.drain(t)
		h.SetDeadline(time.Now().Add(pause / 20))
		return nil
	}
	add(t, loop, p, communicator.Options{Rate: rate(1, pause)})
	run(t, loop)
	if lag := loop.Stats().Lag; lag.Count() != 0 || p.timeouts != 1 {
		t.Errorf("%d time-outs, lag %v", p.timeouts, &lag)
	}
}

// TestBusy: each turn is in the histogram with what it took after its wait.
func TestBusy(t *testing.T) {
	const work, sleep = 3 * time.Millisecond, 20 * time.Millisecond
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: remove}
	p.file = signalled(t)
	p.read = func(h *communicator.Handle) error {
		p.file.drain(t)
		spin(work)
		h.SetDeadline(time.Now().Add(sleep))
		return nil
	}
	add(t, loop, p, communicator.Options{})
	begin := time.Now()
	run(t, loop)
	s := loop.Stats()
	if s.Busy.Count() != s.Turns || s.Busy.Longest < work || s.Busy.Longest+s.Idle > time.Since(begin) {
		t.Errorf("%d turns, busy %v, idle %v of %v", s.Turns, &s.Busy, s.Idle, time.Since(begin))
	}
}

// count enters a duration as the doc of Histogram says.
func count(h *communicator.Histogram, d time.Duration) {
	h.Buckets[min(bits.Len64(uint64(d)), len(h.Buckets)-1)]++
	h.Longest = max(h.Longest, d)
}

// TestHistogram: a quantile is not below the exact one, and less than twice of it.
func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 2, 3, 10, 1000} {
		for round := range 20 {
			var h communicator.Histogram
			all := make([]time.Duration, n)
			for i := range all {
				all[i] = time.Duration(rng.Int64N(1 << (1 + rng.IntN(36))))
				count(&h, all[i])
			}
			slices.Sort(all)
			if h.Count() != uint64(n) {
				t.Errorf("%d counted, want %d", h.Count(), n)
			}
			for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.75, 0.99, 1} {
				// The least that a share q of all don't exceed.
				rank := 0
				for float64(rank+1) < q*float64(n) {
					rank++
				}
				exact, got := all[rank], h.Quantile(q)
				if got < exact || got > 2*exact+1 || got > h.Longest {
					t.Errorf("round %d: the %v quantile of %d is %v, want %v", round, q, n, got, exact)
				}
			}
			if h.Quantile(1) < all[n-1]/2 {
				t.Errorf("all are below %v", h.Quantile(1))
			}
		}
	}
}

func TestHistogramEnds(t *testing.T) {
	var h communicator.Histogram
	if h.Count() != 0 || h.Quantile(0) != 0 || h.Quantile(0.5) != 0 || h.Quantile(1) != 0 {
		t.Errorf("nothing was counted: %v", &h)
	}
	if got := fmt.Sprint(&h); got != "0, p50 0s, p99 0s, longest 0s" {
		t.Errorf("got %q", got)
	}
	count(&h, 0)
	if h.Quantile(1) != 0 || h.Count() != 1 {
		t.Errorf("nothing but 0: %v", h.Quantile(1))
	}
	const day = 24 * time.Hour
	for _, d := range []time.Duration{2 * time.Minute, time.Hour, day} {
		count(&h, d)
	}
	if h.Buckets[len(h.Buckets)-1] != 3 || h.Quantile(0.9) != day || h.Quantile(0.2) > 1 {
		t.Errorf("long ones: %v", h)
	}
	h = communicator.Histogram{}
	for range 99 {
		count(&h, 3*time.Microsecond)
	}
	count(&h, time.Millisecond)
	if got := h.String(); got != "100, p50 4.096µs, p99 4.096µs, longest 1ms" {
		t.Errorf("got %q", got)
	}
}
