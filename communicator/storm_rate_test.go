//go:build linux

package communicator_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// rated is a source of a storm: an eventfd with a deadline, a rate, and room to be late.
type rated struct {
	probe
	handle *communicator.Handle
	last   bool // the storm is over: it is to be called once more
}

// TestStormOfRates: sources with rates, in the background and not, that switch, move, mark, bind and remove each other
// at random are never called in their silence, and in the end each that is left is called once more.
func TestStormOfRates(t *testing.T) {
	const sources, actions = 40, 4000
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(11, seed))
		loop := newLoop(t, communicator.Config{})
		var all []*rated
		left, served, silent := actions, 0, 0
		var act func()
		create := func() {
			r := &rated{probe: probe{t: t, file: eventfd(t)}}
			call := func(h *communicator.Handle) error {
				if h.Limited() {
					t.Error("called though it is limited")
				}
				if r.last {
					served++
					return remove(h)
				}
				for range 1 + rng.IntN(4) {
					act()
					if rng.IntN(3) == 0 && !h.Continue() {
						break
					}
				}
				if h.Active() && rng.IntN(2) == 0 {
					r.file.drain(t)
				}
				return nil
			}
			r.read, r.timeout = call, call
			r.write = func(h *communicator.Handle) error { h.Want(communicator.Read); return call(h) }
			o := communicator.Options{Priority: rng.IntN(7) - 3, Background: rng.IntN(3) == 0, Disabled: rng.IntN(5) == 0}
			if rng.IntN(4) > 0 {
				o.Rate = rate(1+rng.IntN(5), time.Duration(1+rng.IntN(3000))*time.Microsecond)
			}
			if rng.IntN(2) == 0 {
				o.Slack = time.Duration(rng.IntN(1000)) * time.Microsecond
			}
			r.handle = add(t, loop, r, o)
			all = append(all, r)
		}
		act = func() {
			if left--; left < 0 {
				return
			}
			i := rng.IntN(len(all))
			r, h := all[i], all[i].handle
			if h.Limited() {
				silent++
			}
			switch rng.IntN(14) {
			case 0, 1, 2:
				r.file.signal(t)
			case 3:
				r.file.drain(t)
			case 4:
				h.SetEnabled(rng.IntN(2) == 0)
			case 5:
				h.SetPriority(rng.IntN(7) - 3)
			case 6, 7:
				h.SetDeadline(time.Now().Add(time.Duration(rng.IntN(2000)-500) * time.Microsecond))
			case 8:
				h.MarkReadable()
			case 9:
				h.Want(communicator.Interest(rng.IntN(4)))
			case 10:
				h.SetBackground(rng.IntN(2) == 0)
			case 11:
				if err := h.Rebind(); err != nil {
					t.Error(err)
				}
			case 12:
				if len(all) > sources/2 {
					h.Remove(nil)
					all[i] = all[len(all)-1]
					all = all[:len(all)-1]
				}
			case 13:
				if len(all) < sources {
					create()
				}
			}
		}
		for range sources {
			create()
		}
		// The beat keeps the storm going until its actions are used up, and then asks each for a last call.
		beat := &probe{t: t, name: "beat"}
		beat.timeout = func(h *communicator.Handle) error {
			if act(); left > 0 {
				h.SetDeadline(time.Now().Add(20 * time.Microsecond))
				return nil
			}
			for _, r := range all {
				r.last = true
				r.handle.SetBackground(false)
				r.handle.SetEnabled(true)
				r.handle.Want(communicator.Read)
				r.file.signal(t)
			}
			return remove(h)
		}
		add(t, loop, beat, communicator.Options{Deadline: time.Now()})
		run(t, loop)
		if served != len(all) {
			t.Errorf("seed %d: %d of %d were called a last time", seed, served, len(all))
		}
		if s := loop.Stats(); s.Live != 0 || silent == 0 {
			t.Errorf("seed %d: %d live; %d actions met a limited source", seed, s.Live, silent)
		}
	}
}
