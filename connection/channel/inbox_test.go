//go:build linux

package channel_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestManySenders: each value is handled exactly once, those of one sender in order, however few fit.
func TestManySenders(t *testing.T) {
	const senders, each = 8, 2000
	type value struct{ sender, number int }
	for _, capacity := range []int{1, 7, 100, 0} {
		loop, _ := looptest.New(t)
		next := make([]int, senders)
		in := newInbox(t, loop, func(v value) error {
			if v.number != next[v.sender] {
				t.Errorf("capacity %d: sender %d's %d came when %d was next", capacity, v.sender, v.number, next[v.sender])
			}
			next[v.sender] = v.number + 1
			return nil
		}, channel.Config{Capacity: capacity})
		ctx := patient(t)
		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() {
				for number := range each {
					if err := in.Send(ctx, value{sender, number}); err != nil {
						t.Errorf("Send: %v", err)
						return
					}
				}
			})
		}
		go func() {
			all.Wait()
			in.CloseSend()
		}()
		looptest.Run(t, loop)
		for sender, n := range next {
			if n != each {
				t.Errorf("capacity %d: %d of sender %d came", capacity, n, sender)
			}
		}
		if n, rest := in.Len(), in.Drain(); n != 0 || rest != nil {
			t.Errorf("%d are left, %v", n, rest)
		}
	}
}

// TestFull: no more than Capacity wait; who finds no room waits in order.
func TestFull(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	in := newInbox(t, loop, func(v int) error { got = append(got, v); return nil }, channel.Config{Capacity: 3})
	for v := range 3 {
		must(t, in.TrySend(v))
	}
	wants(t, "TrySend", in.TrySend(99), channel.ErrFull)
	ctx := patient(t)
	var all sync.WaitGroup
	for v := 3; v < 8; v++ {
		waiting := newAsking(ctx)
		all.Go(func() {
			if err := in.Send(waiting, v); err != nil {
				t.Errorf("Send: %v", err)
			}
		})
		looptest.Await(t, waiting.asked, "Send to wait")
	}
	if in.Len() != 3 {
		t.Errorf("%d wait", in.Len())
	}
	go func() {
		all.Wait()
		in.CloseSend()
	}()
	looptest.Run(t, loop)
	equal(t, "handled", got, numbers(8))
}

func TestSendContext(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	in := newInbox(t, loop, func(v int) error { got = append(got, v); return nil }, channel.Config{Capacity: 1})
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := newAsking(ctx)
	must(t, in.Send(ctx, 1))
	done := make(chan error)
	go func() { done <- in.Send(waiting, 2) }()
	looptest.Await(t, waiting.asked, "Send to wait")
	cancel(errTest)
	wants(t, "Send", looptest.Await(t, done, "Send"), errTest)
	wants(t, "Send", in.Send(ctx, 3), errTest)
	in.CloseSend()
	looptest.Run(t, loop)
	equal(t, "handled", got, []int{1})
}

// TestSendContextEndsMeanwhile: a value is either handled and Send returns nil, or neither.
func TestSendContextEndsMeanwhile(t *testing.T) {
	for range 100 {
		loop, _ := looptest.New(t)
		var got []int
		in := newInbox(t, loop, func(v int) error { got = append(got, v); return nil }, channel.Config{Capacity: 1})
		must(t, in.TrySend(1))
		ctx, cancel := context.WithCancel(context.Background())
		waiting := newAsking(ctx)
		done := make(chan error)
		go func() { done <- in.Send(waiting, 2) }()
		looptest.Await(t, waiting.asked, "Send to wait")
		wait := start(t, loop)
		cancel()
		err := looptest.Await(t, done, "Send")
		in.CloseSend()
		must(t, wait())
		want := []int{1, 2}
		if err != nil {
			want = want[:1]
			wants(t, "Send", err, context.Canceled)
		}
		equal(t, "handled", got, want)
	}
}

// TestDisabled: values wait, and senders, until the inbox is enabled again.
func TestDisabled(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	var in *channel.Inbox[int]
	in = newInbox(t, loop, func(v int) error {
		if !in.Handle().Enabled() {
			t.Errorf("%d came to a disabled inbox", v)
		}
		got = append(got, v)
		if v%3 == 2 {
			in.Handle().SetEnabled(false)
		}
		return nil
	}, channel.Config{Capacity: 4, Options: communicator.Options{Disabled: true}})
	ctx := patient(t)
	for v := range 4 {
		must(t, in.TrySend(v))
	}
	wait := start(t, loop)
	waiting := newAsking(ctx)
	done := make(chan error)
	go func() { done <- in.Send(waiting, 4) }()
	looptest.Await(t, waiting.asked, "Send to wait")
	for round, want := range []int{0, 3, 5} {
		looptest.Do(t, loop, func() {
			if len(got) != want {
				t.Errorf("round %d: %v were handled, want %d", round, got, want)
			}
			in.Handle().SetEnabled(true)
		})
		switch round {
		case 0:
			must(t, looptest.Await(t, done, "Send"))
			for on := true; on; { // until 2 has been handled
				looptest.Do(t, loop, func() { on = in.Handle().Enabled() })
			}
		case 1:
			for in.Len() > 0 { // 3 and 4 are handled whatever else happens
				looptest.Do(t, loop, func() {})
			}
		}
	}
	in.CloseSend()
	must(t, wait())
	equal(t, "handled", got, numbers(5))
}

// TestClose: what waits is not handled, but not lost.
func TestClose(t *testing.T) {
	loop, log := looptest.New(t)
	var got []int
	var in *channel.Inbox[int]
	in = newInbox(t, loop, func(v int) error {
		if got = append(got, v); v == 40 {
			in.Close()
			in.Close() // once more means nothing
			if rest := in.Drain(); rest != nil {
				t.Errorf("Drain within a callback: %v", rest)
			}
			wants(t, "TrySend", in.TrySend(1000), channel.ErrClosed)
		}
		return nil
	}, channel.Config{Capacity: 100})
	for v := range 100 {
		must(t, in.TrySend(v))
	}
	waiting := newAsking(patient(t))
	done := make(chan error, 1)
	go func() { done <- in.Send(waiting, 100) }()
	looptest.Await(t, waiting.asked, "Send to wait")
	looptest.Run(t, loop)
	rest := in.Drain()
	if err := looptest.Await(t, done, "Send"); err != nil {
		wants(t, "Send", err, channel.ErrClosed, net.ErrClosed)
		equal(t, "handled and drained", append(slices.Clone(got), rest...), numbers(100))
	} else {
		equal(t, "handled and drained", append(slices.Clone(got), rest...), numbers(101))
	}
	equal(t, "handled", got, numbers(41))
	if again := in.Drain(); again != nil {
		t.Errorf("Drain once more: %v", again)
	}
	wants(t, "Send", in.Send(context.Background(), 1), channel.ErrClosed)
	if in.Handle().Active() || len(log.Records()) != 0 {
		t.Errorf("active %v, logged %q", in.Handle().Active(), log.Records())
	}
}

// TestError: an error of the function ends the inbox; its senders get it as the cause.
func TestError(t *testing.T) {
	loop, log := looptest.New(t)
	calls := 0
	in := newInbox(t, loop, func(v int) error {
		if calls++; v == 1 {
			return errTest
		}
		return nil
	}, channel.Config{Options: communicator.Options{Name: "questions"}})
	for v := range 4 {
		must(t, in.TrySend(v))
	}
	looptest.Run(t, loop)
	wants(t, "TrySend", in.TrySend(9), channel.ErrClosed, net.ErrClosed, errTest)
	wants(t, "Send", in.Send(context.Background(), 9), channel.ErrClosed, errTest)
	equal(t, "drained", in.Drain(), []int{2, 3})
	if found := log.Containing("an inbox has failed"); calls != 2 || len(log.Records()) != 1 || len(found) != 1 {
		t.Errorf("%d calls, logged %q", calls, log.Records())
	}
}

// TestLoopEnds: what was accepted was handled, or is drained; nobody is left waiting.
func TestLoopEnds(t *testing.T) {
	for range 20 {
		loop, log := looptest.New(t)
		var handled []int
		in := newInbox(t, loop, func(v int) error {
			if handled = append(handled, v); len(handled) == 500 {
				loop.Stop(errTest)
			}
			return nil
		}, channel.Config{Capacity: 10})
		accepted := make(chan []int, 1)
		go func() {
			var all []int
			for v := 0; ; v++ {
				if err := in.Send(context.Background(), v); err != nil {
					wants(t, "Send", err, channel.ErrClosed, net.ErrClosed, communicator.ErrClosed, errTest)
					accepted <- all
					return
				}
				all = append(all, v)
			}
		}()
		if err := start(t, loop)(); !errors.Is(err, errTest) {
			t.Errorf("Run: %v", err)
		}
		equal(t, "handled and drained", append(handled, in.Drain()...), looptest.Await(t, accepted, "the sender"))
		if len(handled) != 500 || len(log.Records()) != 0 {
			t.Errorf("%d were handled, logged %q", len(handled), log.Records())
		}
	}
}

// TestShutdown: nothing more is accepted, what waits is handled.
func TestShutdown(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	var in *channel.Inbox[int]
	in = newInbox(t, loop, func(v int) error {
		if got = append(got, v); v == 0 {
			loop.Shutdown(looptest.Patience)
			wants(t, "TrySend", in.TrySend(99), channel.ErrClosed)
		}
		return nil
	}, channel.Config{})
	for v := range 300 {
		must(t, in.TrySend(v))
	}
	looptest.Run(t, loop)
	equal(t, "handled", got, numbers(300))
}

// TestBackground: the inbox lets Run return.
func TestBackground(t *testing.T) {
	loop, _ := looptest.New(t)
	in := newInbox(t, loop, func(int) error { return nil }, channel.Config{Options: communicator.Options{Background: true}})
	looptest.Run(t, loop)
	wants(t, "TrySend", in.TrySend(1), channel.ErrClosed, communicator.ErrClosed)
}

func TestAfterTheEnd(t *testing.T) {
	loop, _ := looptest.New(t)
	looptest.Run(t, loop)
	if in, err := channel.NewInbox(loop, func(int) error { return nil }, channel.Config{}); in != nil || !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("NewInbox answers %v, %v", in, err)
	}
	if out, err := channel.NewOutbox[int](loop, channel.Config{}); out != nil || !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("NewOutbox answers %v, %v", out, err)
	}
	if p, err := channel.NewPair[int, int](loop, func(int) error { return nil }, channel.Config{}); p != nil || !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("NewPair answers %v, %v", p, err)
	}
}

// TestSendOnLoop: what would wait for itself is told so.
func TestSendOnLoop(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	in, err := channel.NewInbox(loop, func(v int) error { got = append(got, v); return nil }, channel.Config{Capacity: 2})
	if err != nil {
		t.Fatal(err)
	}
	err = loop.Post(func() {
		for i, want := range []error{nil, nil, communicator.ErrOnLoop} {
			if err := in.Send(context.Background(), i); !errors.Is(err, want) {
				t.Errorf("Send of value %d answers %v, want %v", i, err, want)
			}
		}
		in.CloseSend()
	})
	if err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if len(got) != 2 {
		t.Errorf("handled %v", got)
	}
}
