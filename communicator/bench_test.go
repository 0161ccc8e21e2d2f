//go:build linux

package communicator_test

import (
	"context"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// BenchmarkPost is the time from one posted function to the next, waking and running included.
func BenchmarkPost(b *testing.B) {
	b.Run("goroutine", func(b *testing.B) {
		loop := newLoop(b, communicator.Config{MaxPosted: 1 << 30})
		add(b, loop, &probe{t: b}, communicator.Options{})
		start(b, loop)
		n := 0
		f := func() { n++ }
		b.ReportAllocs()
		posted := 0
		for b.Loop() {
			if err := loop.Post(f); err != nil {
				b.Fatal(err)
			}
			if posted++; posted%1000 == 0 {
				do(b, loop, func() {}) // what only waits isn't done yet
			}
		}
		do(b, loop, func() {
			if n != posted {
				b.Errorf("%d ran, %d were posted", n, posted)
			}
		})
	})
	b.Run("loop", func(b *testing.B) {
		loop := newLoop(b, communicator.Config{})
		n, posted := 0, 0
		f := func() { n++ }
		var batch func()
		batch = func() { // a thousand, and then itself
			for range min(1000, b.N-posted) {
				if err := loop.Post(f); err != nil {
					b.Error(err)
				}
				posted++
			}
			if posted < b.N {
				post(b, loop, batch)
			}
		}
		post(b, loop, batch)
		b.ReportAllocs()
		b.ResetTimer()
		run(b, loop)
		if n != b.N {
			b.Errorf("%d ran, want %d", n, b.N)
		}
	})
}

// BenchmarkEvent is a byte that goes through a socketpair: a turn, a read and a write.
func BenchmarkEvent(b *testing.B) {
	for name, priority := range map[string]int{"ordinary": 0, "urgent": communicator.PriorityUrgent} {
		b.Run(name, func(b *testing.B) {
			loop := newLoop(b, communicator.Config{})
			ping(b, loop, communicator.Options{Priority: priority}, b.N, nil)
			b.ReportAllocs()
			b.ResetTimer()
			run(b, loop)
		})
	}
}

// BenchmarkDo is the way to the loop and back, which sleeps when it is asked.
func BenchmarkDo(b *testing.B) {
	loop := newLoop(b, communicator.Config{})
	add(b, loop, &probe{t: b}, communicator.Options{})
	start(b, loop)
	n := 0
	f := func() error { n++; return nil }
	ctx := context.Background()
	b.ReportAllocs()
	asked := 0
	for b.Loop() {
		if err := loop.Do(ctx, f); err != nil {
			b.Fatal(err)
		}
		asked++
	}
	b.StopTimer()
	do(b, loop, func() {
		if n != asked {
			b.Errorf("%d ran, %d were asked for", n, asked)
		}
	})
}
