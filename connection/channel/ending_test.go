//go:build linux

package channel_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// onceAnHour lets a source have one event in this test.
var onceAnHour = communicator.Rate{Events: 1, Interval: time.Hour}

// TestEndOfSilentInbox: one that isn't called, because it is disabled or over its rate, ends all the same when it is
// shut down or closed and nothing waits.
func TestEndOfSilentInbox(t *testing.T) {
	for _, o := range []communicator.Options{{Disabled: true}, {Rate: onceAnHour}} {
		for _, shut := range []bool{false, true} {
			loop, log := looptest.New(t)
			var got []int
			var in *channel.Inbox[int]
			end := func() {
				if in.Handle().Enabled() && !in.Handle().Limited() {
					t.Error("the inbox is not silent")
				}
				if shut {
					loop.Shutdown(looptest.Patience)
				} else {
					in.CloseSend()
				}
			}
			in = newInbox(t, loop, func(v int) error {
				got = append(got, v)
				loop.AfterTurn(end) // that was the one event
				return nil
			}, channel.Config{Options: o})
			var want []int
			if o.Disabled {
				must(t, loop.Post(end))
			} else {
				want = []int{7}
				must(t, in.TrySend(7))
			}
			looptest.Run(t, loop)
			equal(t, "handled", got, want)
			if in.Handle().Active() || len(log.Records()) != 0 {
				t.Errorf("active %v, logged %q", in.Handle().Active(), log.Records())
			}
		}
	}
}

// TestCloseSendElsewhere: the loop sleeps, and nothing else will wake it up.
func TestCloseSendElsewhere(t *testing.T) {
	loop, _ := looptest.New(t)
	in := newInbox(t, loop, func(int) error { return nil }, channel.Config{Options: communicator.Options{Disabled: true}})
	wait := start(t, loop)
	looptest.Do(t, loop, func() {}) // it runs
	in.CloseSend()
	must(t, wait())
}

// TestEndOfDisabledInbox: what waits is handled when the inbox is enabled; if it isn't, the limit of the shutdown ends
// it, and what waits is left.
func TestEndOfDisabledInbox(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		loop, _ := looptest.New(t)
		var got []int
		in := newInbox(t, loop, func(v int) error { got = append(got, v); return nil },
			channel.Config{Options: communicator.Options{Disabled: true}})
		for v := range 3 {
			must(t, in.TrySend(v))
		}
		limit := time.Nanosecond
		if enabled {
			limit = looptest.Patience
			must(t, loop.Post(func() {
				loop.AfterTurn(func() {
					equal(t, "handled while disabled", got, nil)
					in.Handle().SetEnabled(true)
				})
			}))
		}
		must(t, loop.Post(func() { loop.Shutdown(limit) }))
		err := loop.Run(context.Background())
		if enabled {
			must(t, err)
			equal(t, "handled", got, numbers(3))
		} else {
			wants(t, "Run", err, communicator.ErrShutdownTimeout)
			equal(t, "left", in.Drain(), numbers(3))
		}
	}
}

// TestShutdownFullOutbox: waiting for room holds nobody up, neither from before the shutdown nor after.
func TestShutdownFullOutbox(t *testing.T) {
	for _, before := range []bool{true, false} {
		loop, log := looptest.New(t)
		out := newOutbox[int](t, loop, channel.Config{Capacity: 1, Room: func() error {
			t.Error("Room was called")
			return nil
		}})
		must(t, loop.Post(func() {
			must(t, out.Put(1))
			if before {
				wants(t, "Put", out.Put(2), channel.ErrFull)
			}
			loop.Shutdown(looptest.Patience)
			wants(t, "Put", out.Put(2), channel.ErrFull)
		}))
		looptest.Run(t, loop)
		equal(t, "received", slices.Collect(out.All(patient(t))), []int{1})
		if len(log.Records()) != 0 {
			t.Errorf("logged %q", log.Records())
		}
	}
}

// TestCloseReceiveDisabledOutbox: one that waits for room, which nobody will make.
func TestCloseReceiveDisabledOutbox(t *testing.T) {
	loop, _ := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{
		Capacity: 1, Room: func() error { return nil }, Options: communicator.Options{Disabled: true},
	})
	must(t, out.Put(1))
	wants(t, "Put", out.Put(2), channel.ErrFull)
	wait := start(t, loop)
	equal(t, "left", out.CloseReceive(), []int{1})
	must(t, wait())
}

// TestJoinCloseReceive: what the other loop has at hand it handles, the rest is returned; nothing is lost and nothing
// comes twice, wherever in its ring the queue stands.
func TestJoinCloseReceive(t *testing.T) {
	const capacity = 50
	for before, first := range map[int]int{0: capacity, 40: 40} { // handled when the ring is filled; put at first
		here, _ := looptest.New(t)
		there, _ := looptest.New(t)
		p, err := channel.NewPair[int, int](here, func(int) error { return nil }, channel.Config{Capacity: capacity})
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		put := func(n int) {
			for ; n > 0; n-- {
				must(t, p.Put(next))
				next++
			}
		}
		var got, rest []int
		_, err = channel.Join(p, there, func(v int) error {
			switch got = append(got, v); v {
			case before - 1:
				put(capacity - p.Outbox.Len())
			case before:
				ended := make(chan []int)
				go func() { ended <- p.Outbox.CloseReceive() }()
				rest = looptest.Await(t, ended, "CloseReceive")
				wants(t, "Put", p.Put(99), channel.ErrClosed)
			}
			return nil
		}, channel.Config{})
		if err != nil {
			t.Fatal(err)
		}
		put(first)
		looptest.Run(t, there)
		if len(rest) == 0 || len(got) <= before || p.Outbox.Len() != 0 {
			t.Errorf("%d were handled, %d left, %d wait", len(got), len(rest), p.Outbox.Len())
		}
		equal(t, "handled and left", append(got, rest...), numbers(next))
		equal(t, "left", p.Outbox.CloseReceive(), nil)
		looptest.Run(t, here)
	}
}

// TestOtherEndIsDisabled: it still learns that this one has gone.
func TestOtherEndIsDisabled(t *testing.T) {
	here, _ := looptest.New(t)
	there, _ := looptest.New(t)
	f := func(int) error { t.Error("a value came"); return nil }
	p, err := channel.NewPair[int, int](here, f, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := channel.Join(p, there, f, channel.Config{Options: communicator.Options{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	must(t, p.Put(1))
	wait := start(t, there)
	equal(t, "left", p.Outbox.CloseReceive(), []int{1})
	p.Close()
	must(t, wait())
	looptest.Run(t, here)
	equal(t, "not handled there", other.Inbox.Drain(), nil)
}

// TestJoinWhatHasEnded: a disabled end that comes too late doesn't stay either.
func TestJoinWhatHasEnded(t *testing.T) {
	here, _ := looptest.New(t)
	there, _ := looptest.New(t)
	f := func(int) error { t.Error("a value came"); return nil }
	p, err := channel.NewPair[int, int](here, f, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	looptest.Run(t, here)
	_, err = channel.Join(p, there, f, channel.Config{Options: communicator.Options{Disabled: true}})
	must(t, err)
	looptest.Run(t, there)
}

// TestReceiveFromJoined: who asks for what another loop receives is told so, and takes nothing away.
func TestReceiveFromJoined(t *testing.T) {
	here, _ := looptest.New(t)
	there, _ := looptest.New(t)
	p, err := channel.NewPair[int, int](here, func(int) error { return nil }, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	_, err = channel.Join(p, there, func(v int) error {
		got = append(got, v)
		_, err := p.Outbox.Receive(context.Background())
		wants(t, "Receive", err, channel.ErrJoined)
		return nil
	}, channel.Config{})
	must(t, err)
	for v := range 3 {
		must(t, p.Put(v))
	}
	p.Close()
	looptest.Run(t, there)
	looptest.Run(t, here)
	equal(t, "came there", got, numbers(3))
	_, err = p.Outbox.Receive(context.Background())
	wants(t, "Receive", err, channel.ErrClosed)
}

// TestHugeCapacity: memory is taken as values come.
func TestHugeCapacity(t *testing.T) {
	loop, _ := looptest.New(t)
	sum := 0
	in := newInbox(t, loop, func(v int) error { sum += v; return nil }, channel.Config{Capacity: math.MaxInt})
	for range 3000 {
		must(t, in.TrySend(1))
	}
	in.CloseSend()
	looptest.Run(t, loop)
	if sum != 3000 {
		t.Errorf("the sum is %d", sum)
	}
}
