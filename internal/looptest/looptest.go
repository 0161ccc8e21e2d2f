//go:build linux

// Package looptest is what tests of several packages need of a run loop: to make one that is given back at the
// end of the test, to run it for a limited time, to reach it from outside, and to read what it has logged.
//
// It is for tests only; nothing that ships imports it. What one package alone needs, or needs with another time
// limit, stays in the tests of that package.
package looptest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Patience is how long a test waits for what has to happen. It only matters when something is broken.
const Patience = 20 * time.Second

// New makes a loop that is given back at the end of the test, and its log.
func New(tb testing.TB) (*communicator.Communicator, *Log) {
	tb.Helper()
	log := &Log{}
	return NewLogging(tb, log), log
}

// NewLogging is New with a handler of the test's own for what is logged.
func NewLogging(tb testing.TB, h slog.Handler) *communicator.Communicator {
	tb.Helper()
	loop, err := communicator.New(communicator.Config{Logger: slog.New(h)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = loop.Close() })
	return loop
}

// Run runs the loop on this goroutine until it ends, which has to be within Patience and without an error.
func Run(tb testing.TB, loop *communicator.Communicator) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := loop.Run(ctx); err != nil {
		tb.Fatalf("Run: %v", err)
	}
}

// Do runs f on a loop that runs on another goroutine.
func Do(tb testing.TB, loop *communicator.Communicator, f func()) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := loop.Do(ctx, func() error { f(); return nil }); err != nil {
		tb.Fatalf("Do: %v", err)
	}
}

// Await waits for a channel, no longer than Patience.
func Await[T any](tb testing.TB, c <-chan T, what string) (value T) {
	tb.Helper()
	select {
	case value = <-c:
	case <-time.After(Patience):
		tb.Fatalf("waited in vain for %s", what)
	}
	return value
}
