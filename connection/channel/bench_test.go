//go:build linux

package channel_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// keeper keeps a loop running until the benchmark is over; its end waits for that of the loop.
func keeper(b *testing.B, loop *communicator.Communicator) {
	b.Helper()
	in := newInbox(b, loop, func(int) error { return nil }, channel.Config{})
	wait := start(b, loop)
	b.Cleanup(func() {
		in.CloseSend()
		must(b, wait())
	})
}

// BenchmarkSend is the time from one value to the next, from a goroutine to a function on a loop: handing over,
// waiting where it is full, waking and handling. Beside it are what else does that: Post of a closure, and a
// Go channel to another goroutine.
func BenchmarkSend(b *testing.B) {
	ctx := context.Background()
	b.Run("inbox", func(b *testing.B) {
		loop, _ := looptest.New(b)
		handled := 0
		in := newInbox(b, loop, func(int) error { handled++; return nil }, channel.Config{})
		wait := start(b, loop)
		b.ReportAllocs()
		sent := 0
		for b.Loop() {
			if err := in.Send(ctx, sent); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		in.CloseSend()
		must(b, wait())
		if handled != sent {
			b.Errorf("%d of %d were handled", handled, sent)
		}
	})
	b.Run("inbox of many", func(b *testing.B) {
		loop, _ := looptest.New(b)
		handled := 0
		in := newInbox(b, loop, func(int) error { handled++; return nil }, channel.Config{})
		wait := start(b, loop)
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := in.Send(ctx, 1); err != nil {
					b.Error(err)
				}
			}
		})
		in.CloseSend()
		must(b, wait())
		if handled != b.N {
			b.Errorf("%d of %d were handled", handled, b.N)
		}
	})
	b.Run("post", func(b *testing.B) {
		loop, _ := looptest.New(b)
		handled, last := 0, 0
		keeper(b, loop)
		b.ReportAllocs()
		sent := 0
		for b.Loop() {
			v := sent
			for errors.Is(loop.Post(func() { handled++; last = v }), communicator.ErrQueueFull) {
				runtime.Gosched()
			}
			sent++
			if sent%channel.DefaultCapacity == 0 { // no more may wait here than there
				looptest.Do(b, loop, func() {})
			}
		}
		looptest.Do(b, loop, func() {
			if handled != sent || last != sent-1 {
				b.Errorf("%d of %d were handled", handled, sent)
			}
		})
	})
	b.Run("go channel", func(b *testing.B) {
		values, done := make(chan int, channel.DefaultCapacity), make(chan int)
		go func() {
			handled := 0
			for range values {
				handled++
			}
			done <- handled
		}()
		b.ReportAllocs()
		sent := 0
		for b.Loop() {
			select {
			case values <- sent:
			case <-ctx.Done():
			}
			sent++
		}
		close(values)
		if handled := <-done; handled != sent {
			b.Errorf("%d of %d were handled", handled, sent)
		}
	})
}

// BenchmarkRoundTrip is a question of a goroutine and the loop's answer, each waiting for the other.
func BenchmarkRoundTrip(b *testing.B) {
	loop, _ := looptest.New(b)
	var p *channel.Pair[int, int]
	p, err := channel.NewPair[int, int](loop, func(v int) error { return p.Put(v) }, channel.Config{})
	if err != nil {
		b.Fatal(err)
	}
	wait := start(b, loop)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Inbox.Send(ctx, 1); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Outbox.Receive(ctx); err != nil {
			b.Fatal(err)
		}
	}
	p.Inbox.CloseSend()
	must(b, wait())
}

// BenchmarkReceive is the time from one value to the next, from a loop to a goroutine.
func BenchmarkReceive(b *testing.B) {
	loop, _ := looptest.New(b)
	var out *channel.Outbox[int]
	left := b.N
	put := func() error {
		for ; left > 0; left-- {
			if errors.Is(out.Put(left), channel.ErrFull) {
				return nil
			}
		}
		return nil
	}
	out = newOutbox[int](b, loop, channel.Config{Room: put})
	must(b, loop.Post(func() { _ = put() }))
	b.ReportAllocs()
	b.ResetTimer()
	wait := start(b, loop)
	received := 0
	for range out.All(context.Background()) {
		received++
	}
	must(b, wait())
	if received != b.N {
		b.Errorf("%d of %d were received", received, b.N)
	}
}
