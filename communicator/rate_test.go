//go:build linux

package communicator_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// pause is the interval of rates that a test waits for the end of.
const pause = 20 * time.Millisecond

func rate(events int, interval time.Duration) communicator.Rate {
	return communicator.Rate{Events: events, Interval: interval}
}

func TestRateRefused(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for _, r := range []communicator.Rate{rate(1, 0), rate(0, 1), rate(-1, time.Second), rate(1, -time.Second), rate(-1, -1)} {
		p := &probe{t: t, file: eventfd(t)}
		if _, err := loop.Add(p, communicator.Options{Rate: r}); !errors.Is(err, communicator.ErrRate) {
			t.Errorf("%v: %v", r, err)
		}
		add(t, loop, p, communicator.Options{Rate: rate(1, 1)}).Detach() // it has stayed what it was
	}
	run(t, loop)
}

// TestRate: the source gets its events, and nothing more; what is still ready keeps nobody awake.
func TestRate(t *testing.T) {
	const events = 7
	for priority, interval := range map[int]time.Duration{0: time.Hour, communicator.PriorityUrgent: time.Hour, 1: math.MaxInt64} {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, file: signalled(t), read: ignore}
		h := add(t, loop, p, communicator.Options{Priority: priority, Rate: rate(events, interval)})
		start(t, loop)
		do(t, loop, func() {})
		quiet(t, loop, silence)
		do(t, loop, func() {
			info := loop.Sources()[0]
			if p.reads != events || !h.Limited() || !h.Enabled() || !info.Limited || !info.Enabled || info.Limits != 1 || info.Calls != events {
				t.Errorf("%d reads, limited: %v, enabled: %v; %+v", p.reads, h.Limited(), h.Enabled(), info)
			}
			if got := info.State(); got != "over its rate" {
				t.Errorf("state %q", got)
			}
		})
	}
}

// TestRateGoesOn: the interval begins with its first event, has the whole number of events, and the next one
// begins when it is over.
func TestRateGoesOn(t *testing.T) {
	const events, intervals = 5, 4
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t)}
	var began time.Time // a little before the first event of the interval was counted
	p.read = func(h *communicator.Handle) error {
		if p.reads%events != 1 {
			return nil
		}
		if now := time.Now(); now.Sub(began) < pause {
			t.Errorf("event %d came %v after the interval before began", p.reads, now.Sub(began))
		}
		if p.reads > events*intervals {
			if limits := loop.Sources()[0].Limits; limits != intervals {
				t.Errorf("limited %d times, want %d", limits, intervals)
			}
			h.Remove(nil)
		}
		began = time.Now()
		return nil
	}
	pass(t, pause/2) // neither with the loop
	add(t, loop, p, communicator.Options{Rate: rate(events, pause)})
	run(t, loop)
	if p.reads != events*intervals+1 {
		t.Errorf("%d reads", p.reads)
	}
}

// TestRateBelow: a source that stays below its rate is never limited.
func TestRateBelow(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t}
	p.timeout = func(h *communicator.Handle) error {
		if h.Limited() || loop.Sources()[0].Limits != 0 {
			t.Errorf("limited after %d events", p.timeouts)
		}
		if p.timeouts == 20 {
			return remove(h)
		}
		h.SetDeadline(time.Now().Add(time.Millisecond))
		return nil
	}
	add(t, loop, p, communicator.Options{Deadline: time.Now(), Rate: rate(2, time.Millisecond)})
	run(t, loop)
}

// TestRateLosesNothing: what comes meanwhile waits in the descriptor.
func TestRateLosesNothing(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	a, b := socketpair(t)
	text := []byte("what comes too fast comes all the same, in order")
	if _, err := unix.Write(b.fd, text); err != nil {
		t.Fatal(err)
	}
	b.shut(t)
	var got []byte
	add(t, loop, &probe{t: t, file: a, read: func(h *communicator.Handle) error {
		var buf [1]byte
		n, err := unix.Read(a.fd, buf[:])
		if got = append(got, buf[:max(0, n)]...); n == 0 {
			h.Remove(nil)
		}
		return err
	}}, communicator.Options{Rate: rate(7, 2*time.Millisecond)})
	run(t, loop)
	if !slices.Equal(got, text) {
		t.Errorf("read %q", got)
	}
}

// TestRateDeadline: one that comes while the source is limited fires when that is over, whether it was set before
// or in the meantime, and is not put off for ever by what can be read.
func TestRateDeadline(t *testing.T) {
	for _, priority := range []int{0, -1} {
		for _, before := range []bool{true, false} {
			loop := newLoop(t, communicator.Config{})
			var limited time.Time
			p := &probe{t: t, file: signalled(t)}
			p.read = func(h *communicator.Handle) error {
				if p.reads == 1 {
					limited = time.Now()
					due := limited.Add(pause / 10)
					if before {
						h.SetDeadline(due)
					} else {
						post(t, loop, func() { h.SetDeadline(due) })
					}
				}
				return nil
			}
			p.timeout = func(h *communicator.Handle) error {
				if passed := time.Since(limited); passed < pause {
					t.Errorf("called %v after the limit was reached", passed)
				}
				if p.reads > 2 {
					t.Errorf("called after %d reads", p.reads)
				}
				return remove(h)
			}
			add(t, loop, p, communicator.Options{Priority: priority, Rate: rate(1, pause)})
			run(t, loop)
			if p.timeouts != 1 {
				t.Errorf("%d time-outs", p.timeouts)
			}
		}
	}
}

// TestRateTimer: a source that is nothing but a timer has a rate as well.
func TestRateTimer(t *testing.T) {
	const events = 3
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t}
	var began time.Time
	p.timeout = func(h *communicator.Handle) error {
		if p.timeouts%events == 1 {
			if now := time.Now(); now.Sub(began) < pause {
				t.Errorf("time-out %d came %v after the interval before began", p.timeouts, now.Sub(began))
			}
			began = time.Now()
		}
		if p.timeouts > 3*events {
			h.Remove(nil)
		}
		h.SetDeadline(time.Now())
		return nil
	}
	add(t, loop, p, communicator.Options{Deadline: time.Now(), Rate: rate(events, pause)})
	run(t, loop)
	if p.timeouts != 3*events+1 {
		t.Errorf("%d time-outs", p.timeouts)
	}
}

// TestRateOfKinds: reads, writes and time-outs all count.
func TestRateOfKinds(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, file: signalled(t)}
	p.read = order.noter("read", ignore)
	p.write = order.noter("write", ignore)
	p.timeout = order.noter("timeout", ignore)
	o := communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now(), Rate: rate(4, time.Hour)}
	add(t, loop, p, o)
	start(t, loop)
	quiet(t, loop, silence/2)
	do(t, loop, func() { order.expect(t, "read", "write", "timeout", "read") })
}

// limit makes a source that was limited the moment before act is called, for pause, and that may not be called
// again until that is over. It ends with the first call after that.
func limit(t *testing.T, priority int, act func(p *probe, h *communicator.Handle)) (p *probe) {
	t.Helper()
	loop := newLoop(t, communicator.Config{})
	p = &probe{t: t, name: "limited", file: signalled(t)}
	var began time.Time
	call := func(h *communicator.Handle) error {
		if p.reads+p.timeouts == 1 {
			began = time.Now()
			loop.AfterTurn(func() {
				if !h.Limited() {
					t.Error("not limited")
				}
				act(p, h)
			})
			return nil
		}
		if passed := time.Since(began); passed < pause {
			t.Errorf("called again after %v", passed)
		}
		return remove(h)
	}
	p.read, p.timeout = call, call
	add(t, loop, p, communicator.Options{Priority: priority, Rate: rate(1, pause)})
	run(t, loop)
	if p.closes != 1 {
		t.Errorf("closed %d times", p.closes)
	}
	return p
}

// TestRateWhileLimited: whatever is done to a source in its silence, it stays silent until that is over and is
// called then.
func TestRateWhileLimited(t *testing.T) {
	for name, act := range map[string]func(p *probe, h *communicator.Handle){
		"nothing": func(*probe, *communicator.Handle) {},
		"marked":  func(p *probe, h *communicator.Handle) { p.file.drain(t); h.MarkReadable(); h.MarkReadable() },
		"marked and switched": func(p *probe, h *communicator.Handle) {
			p.file.drain(t)
			h.MarkReadable()
			h.SetEnabled(false)
			h.SetEnabled(true)
		},
		"off and on": func(_ *probe, h *communicator.Handle) {
			h.SetEnabled(false)
			if h.SetEnabled(true); !h.Limited() {
				t.Error("switching has ended the silence")
			}
		},
		"off, on later": func(_ *probe, h *communicator.Handle) {
			h.SetEnabled(false)
			post(t, h.Loop(), func() { h.SetEnabled(true) })
		},
		"more urgent": func(_ *probe, h *communicator.Handle) { h.SetPriority(-5) },
		"less urgent": func(_ *probe, h *communicator.Handle) { h.SetPriority(5) },
		"up and down": func(_ *probe, h *communicator.Handle) { h.SetPriority(-5); h.SetPriority(5); h.SetPriority(-6) },
		"want":        func(_ *probe, h *communicator.Handle) { h.Want(communicator.Nothing); h.Want(communicator.Read) },
		"due":         func(p *probe, h *communicator.Handle) { p.file.drain(t); h.SetDeadline(time.Now()) },
		"bound again": func(_ *probe, h *communicator.Handle) {
			if err := h.Rebind(); err != nil {
				t.Error(err)
			}
		},
		"bound to another": func(p *probe, h *communicator.Handle) {
			p.file = signalled(t)
			if err := h.Rebind(); err != nil {
				t.Error(err)
			}
		},
		"readable later": func(p *probe, h *communicator.Handle) {
			p.file.drain(t)
			add(t, h.Loop(), &probe{t: t, timeout: func(own *communicator.Handle) error { p.file.signal(t); return remove(own) }},
				communicator.Options{Deadline: time.Now().Add(3 * pause / 2)})
		},
	} {
		for _, priority := range []int{0, -1} {
			t.Run(name, func(t *testing.T) {
				if p := limit(t, priority, act); p.reads+p.timeouts != 2 {
					t.Errorf("%d reads, %d time-outs", p.reads, p.timeouts)
				}
			})
		}
	}
}

// TestRateOffBeyondTheEnd: a source that is off when its silence ends is called when it is on again, and no sooner.
func TestRateOffBeyondTheEnd(t *testing.T) {
	var on bool
	p := limit(t, 0, func(p *probe, h *communicator.Handle) {
		h.SetEnabled(false)
		again := p.read
		p.read = func(h *communicator.Handle) error {
			if !on {
				t.Error("called while it was off")
			}
			return again(h)
		}
		add(t, h.Loop(), &probe{t: t, timeout: func(own *communicator.Handle) error {
			if h.Limited() {
				t.Error("still limited")
			}
			on = true
			h.SetEnabled(true)
			return remove(own)
		}}, communicator.Options{Deadline: time.Now().Add(2 * pause), Priority: 1})
	})
	if p.reads != 2 {
		t.Errorf("%d reads", p.reads)
	}
}

// TestRateGone: a source that leaves in its silence leaves nothing behind that would keep the loop.
func TestRateGone(t *testing.T) {
	for name, leave := range map[string]func(h *communicator.Handle){
		"removed":  func(h *communicator.Handle) { h.Remove(nil) },
		"detached": func(h *communicator.Handle) { h.Detach() },
		"asked":    func(h *communicator.Handle) { h.Loop().Shutdown(patience) },
	} {
		for _, priority := range []int{0, -1} {
			loop := newLoop(t, communicator.Config{})
			p := &probe{t: t, file: signalled(t), read: ignore}
			h := add(t, loop, p, communicator.Options{Priority: priority, Rate: rate(1, time.Hour)})
			p.read = func(*communicator.Handle) error {
				loop.AfterTurn(func() {
					if !h.Limited() {
						t.Errorf("%s: not limited", name)
					}
					leave(h)
				})
				return nil
			}
			run(t, loop)
			if p.reads != 1 || h.Limited() {
				t.Errorf("%s: %d reads, limited: %v", name, p.reads, h.Limited())
			}
		}
	}
}

// TestRateRemovedByItsLast: the callback that is the last of the interval may remove, detach, disable, fail.
func TestRateRemovedByItsLast(t *testing.T) {
	for name, act := range map[string]func(h *communicator.Handle) error{
		"removed":  remove,
		"detached": func(h *communicator.Handle) error { h.Detach(); return nil },
		"failed":   func(*communicator.Handle) error { return errTest },
		"disabled": func(h *communicator.Handle) error {
			h.SetEnabled(false)
			h.Loop().AfterTurn(func() { h.Remove(nil) })
			return nil
		},
	} {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, file: signalled(t), read: act}
		add(t, loop, p, communicator.Options{Rate: rate(1, time.Hour)})
		run(t, loop)
		if p.reads != 1 {
			t.Errorf("%s: %d reads", name, p.reads)
		}
	}
}
