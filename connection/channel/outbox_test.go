//go:build linux

package channel_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestManyReceivers: every value is received exactly once, by each receiver in order; Room lets the loop go on
// whenever the outbox was full.
func TestManyReceivers(t *testing.T) {
	const receivers, values = 4, 5000
	for _, capacity := range []int{1, 10, 0} {
		loop, _ := looptest.New(t)
		var out *channel.Outbox[int]
		next, rooms := 0, 0
		put := func() error {
			for ; next < values; next++ {
				if err := out.Put(next); err != nil {
					wants(t, "Put", err, channel.ErrFull)
					return nil
				}
			}
			return nil // the loop ends, for nothing is left in it
		}
		out = newOutbox[int](t, loop, channel.Config{Capacity: capacity, Room: func() error {
			rooms++
			return put()
		}})
		must(t, loop.Post(func() { must(t, put()) }))
		ctx := patient(t)
		var all sync.WaitGroup
		got := make([][]int, receivers)
		for i := range receivers {
			all.Go(func() {
				for v := range out.All(ctx) {
					got[i] = append(got[i], v)
				}
				_, err := out.Receive(ctx)
				wants(t, "Receive", err, channel.ErrClosed, communicator.ErrClosed)
			})
		}
		looptest.Run(t, loop)
		all.Wait()
		var every []int
		for _, some := range got {
			if !slices.IsSorted(some) {
				t.Errorf("out of order: %v", some)
			}
			every = append(every, some...)
		}
		slices.Sort(every)
		if !slices.Equal(every, numbers(values)) {
			t.Errorf("capacity %d: %d values were received", capacity, len(every))
		}
		if capacity == 1 && rooms == 0 {
			t.Error("Room wasn't called")
		}
	}
}

// TestRoom: it is called when half is free again, once for any number of ErrFull.
func TestRoom(t *testing.T) {
	loop, _ := looptest.New(t)
	rooms := 0
	out := newOutbox[int](t, loop, channel.Config{Capacity: 4, Room: func() error { rooms++; return nil }})
	for v := range 4 {
		must(t, out.Put(v))
	}
	for range 3 {
		wants(t, "Put", out.Put(9), channel.ErrFull)
	}
	wait := start(t, loop) // it ends when Room has been called
	ctx := patient(t)
	for v, want := range []int{0, 1, 2, 3} {
		if v == 1 {
			looptest.Do(t, loop, func() {
				if rooms != 0 || out.Len() != 3 {
					t.Errorf("Room was called %d times with %d values waiting", rooms, out.Len())
				}
			})
		}
		if got, err := out.Receive(ctx); got != want || err != nil {
			t.Errorf("received %d, %v, want %d", got, err, want)
		}
	}
	must(t, wait())
	if rooms != 1 {
		t.Errorf("Room was called %d times", rooms)
	}
	_, err := out.Receive(ctx)
	wants(t, "Receive", err, channel.ErrClosed)
	wants(t, "Put", out.Put(1), channel.ErrClosed)
}

func TestRoomError(t *testing.T) {
	loop, log := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{Capacity: 1, Room: func() error { return errTest }})
	must(t, out.Put(1))
	wants(t, "Put", out.Put(2), channel.ErrFull)
	v, err := out.Receive(context.Background())
	if v != 1 || err != nil {
		t.Errorf("received %d, %v", v, err)
	}
	looptest.Run(t, loop)
	_, err = out.Receive(context.Background())
	wants(t, "Receive", err, channel.ErrClosed, errTest)
	if out.Handle().Active() || len(log.Containing("an outbox has failed")) != 1 {
		t.Errorf("active %v, logged %q", out.Handle().Active(), log.Records())
	}
}

// TestOutboxClose: what waits is received, then the end.
func TestOutboxClose(t *testing.T) {
	loop, _ := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{})
	for v := range 3 {
		must(t, out.Put(v))
	}
	out.Close()
	out.Close()
	wants(t, "Put", out.Put(1), channel.ErrClosed)
	equal(t, "received", slices.Collect(out.All(context.Background())), numbers(3))
	looptest.Run(t, loop)
	if name := out.Handle().Name(); name != "outbox" || out.Handle().Active() {
		t.Errorf("%s is active: %v", name, out.Handle().Active())
	}
}

func TestReceiveContext(t *testing.T) {
	loop, _ := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{})
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := newAsking(ctx)
	done := make(chan error)
	go func() {
		_, err := out.Receive(waiting)
		done <- err
	}()
	looptest.Await(t, waiting.asked, "Receive to wait")
	cancel(errTest)
	wants(t, "Receive", looptest.Await(t, done, "Receive"), errTest)
	must(t, out.Put(1))
	_, err := out.Receive(ctx)
	wants(t, "Receive", err, errTest)
	for v := range out.All(context.Background()) { // it is still there
		if v != 1 {
			t.Errorf("received %d", v)
		}
		break
	}
	looptest.Run(t, loop)
}

// TestReceiveContextEndsMeanwhile: a value is either received or stays.
func TestReceiveContextEndsMeanwhile(t *testing.T) {
	for range 200 {
		loop, _ := looptest.New(t)
		out := newOutbox[int](t, loop, channel.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		waiting := newAsking(ctx)
		done := make(chan error)
		go func() {
			v, err := out.Receive(waiting)
			if (v == 7) != (err == nil) {
				t.Errorf("received %d, %v", v, err)
			}
			done <- err
		}()
		looptest.Await(t, waiting.asked, "Receive to wait")
		go cancel()
		must(t, out.Put(7))
		if err := looptest.Await(t, done, "Receive"); (err == nil) != (out.Len() == 0) {
			t.Errorf("%d wait after %v", out.Len(), err)
		}
		cancel()
		looptest.Run(t, loop)
	}
}

// TestCloseReceive: the loop finds out that nobody receives any more, and what was left is given back.
func TestCloseReceive(t *testing.T) {
	loop, log := looptest.New(t)
	keeper := newInbox(t, loop, func(int) error { return nil }, channel.Config{})
	out := newOutbox[int](t, loop, channel.Config{Capacity: 3, Room: func() error {
		t.Error("Room was called")
		return nil
	}})
	for v := range 3 {
		must(t, out.Put(v))
	}
	wants(t, "Put", out.Put(3), channel.ErrFull)
	wait := start(t, loop)
	equal(t, "left", out.CloseReceive(), numbers(3))
	equal(t, "left", out.CloseReceive(), nil)
	_, err := out.Receive(context.Background())
	wants(t, "Receive", err, channel.ErrClosed)
	for active := true; active; {
		looptest.Do(t, loop, func() {
			wants(t, "Put", out.Put(4), channel.ErrClosed)
			active = out.Handle().Active()
		})
	}
	keeper.CloseSend()
	must(t, wait())
	if len(log.Records()) != 0 {
		t.Errorf("logged %q", log.Records())
	}
}

// TestOutboxShutdown: an outbox takes values as long as others have something to finish.
func TestOutboxShutdown(t *testing.T) {
	loop, _ := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{})
	slowly := communicator.Options{Rate: communicator.Rate{Events: 10, Interval: time.Microsecond}} // in several turns
	in := newInbox(t, loop, func(v int) error {
		if v == 0 {
			loop.Shutdown(looptest.Patience)
		}
		return out.Put(v)
	}, channel.Config{Options: slowly})
	for v := range 100 {
		must(t, in.TrySend(v))
	}
	looptest.Run(t, loop)
	equal(t, "received", slices.Collect(out.All(context.Background())), numbers(100))
	if rest := in.Drain(); rest != nil {
		t.Errorf("not handled: %v", rest)
	}
}

// TestOutboxDisabled: Room waits until the outbox is enabled.
func TestOutboxDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	rooms := 0
	var out *channel.Outbox[int]
	out = newOutbox[int](t, loop, channel.Config{Capacity: 1, Room: func() error {
		if rooms++; out.Len() != 0 {
			t.Error("Room was called when there was none")
		}
		return nil
	}})
	must(t, out.Put(1))
	wants(t, "Put", out.Put(2), channel.ErrFull)
	out.Handle().SetEnabled(false)
	if _, err := out.Receive(context.Background()); err != nil {
		t.Error(err)
	}
	turns := 0
	var turn func()
	turn = func() {
		if turns++; turns < 5 {
			must(t, loop.Post(turn))
			return
		}
		if rooms != 0 {
			t.Errorf("Room was called %d times of a disabled outbox", rooms)
		}
		must(t, out.Put(3)) // half is no longer free, so Room waits again
		out.Handle().SetEnabled(true)
		must(t, loop.Post(func() {
			if _, err := out.Receive(context.Background()); err != nil {
				t.Error(err)
			}
		}))
	}
	must(t, loop.Post(turn))
	looptest.Run(t, loop)
	if rooms != 1 {
		t.Errorf("Room was called %d times", rooms)
	}
}

func TestBackgroundOutbox(t *testing.T) {
	loop, _ := looptest.New(t)
	out := newOutbox[int](t, loop, channel.Config{
		Capacity: 1, Options: communicator.Options{Background: true},
		Room: func() error { return errors.New("called after the end") },
	})
	must(t, out.Put(1))
	wants(t, "Put", out.Put(2), channel.ErrFull)
	looptest.Run(t, loop)
	equal(t, "received", slices.Collect(out.All(context.Background())), []int{1})
}
