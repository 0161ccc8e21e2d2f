// Package benchmarks_test has the benchmarks that need no other process.
package benchmarks_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// far is a source that keeps a loop from ending. It handles its closing so that
// the end of the loop isn't worth a line in the log.
type far struct{}

func (far) FD() int                                  { return communicator.NoFD }
func (far) HandleTimeout(*communicator.Handle) error { return nil }
func (far) HandleClose(*communicator.Handle, error)  {}

// newLoop makes a loop that does not end by itself.
func newLoop(b testing.TB) *communicator.Communicator {
	b.Helper()
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := loop.Add(&far{}, communicator.Options{Deadline: time.Now().Add(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	return loop
}

// runLoop runs the loop on a goroutine of its own until the benchmark ends.
func runLoop(b testing.TB, loop *communicator.Communicator) {
	b.Helper()
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(context.Background()) }()
	b.Cleanup(func() {
		loop.Stop(nil)
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkPost is the whole price of a posted function: handing it in from
// another goroutine, the wake-ups, waiting where the queue is full, and running
// it. The clock stops when the last one has run. The target is 100 ns and no
// allocation.
func BenchmarkPost(b *testing.B) {
	loop := newLoop(b)
	runLoop(b, loop)
	ran := 0 // on the loop
	count := func() { ran++ }
	full := 0
	post := func(f func()) {
		for {
			err := loop.Post(f)
			if err == nil {
				return
			}
			if !errors.Is(err, communicator.ErrQueueFull) {
				b.Fatal(err)
			}
			full++
			runtime.Gosched()
		}
	}
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		post(count)
	}
	post(func() { close(done) })
	<-done
	b.StopTimer()
	if ran != b.N {
		b.Fatalf("%d of %d functions ran", ran, b.N)
	}
	b.ReportMetric(float64(full)/float64(b.N), "full/op")
}

// BenchmarkDo is a round trip from a goroutine to a loop that sleeps, and back.
func BenchmarkDo(b *testing.B) {
	loop := newLoop(b)
	runLoop(b, loop)
	nothing := func() error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := loop.Do(context.Background(), nothing); err != nil {
			b.Fatal(err)
		}
	}
}
