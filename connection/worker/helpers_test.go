//go:build linux

package worker_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var errTest = errors.New("an error of the test")

func newPool(tb testing.TB, loop *communicator.Communicator, c worker.Config) *worker.Pool {
	tb.Helper()
	p, err := worker.NewPool(loop, c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func do[T any](tb testing.TB, p *worker.Pool, f func(context.Context) (T, error), done func(T, error)) *worker.Task {
	tb.Helper()
	task, err := worker.Do(p, f, done)
	if err != nil {
		tb.Errorf("Do: %v", err)
	}
	return task
}

// full holds that the pool takes no more.
func full(tb testing.TB, p *worker.Pool, want error) {
	tb.Helper()
	task, err := worker.Do(p, func(context.Context) (int, error) {
		tb.Error("it has begun")
		return 0, nil
	}, func(int, error) { tb.Error("it was called back") })
	if task != nil || !errors.Is(err, want) {
		tb.Errorf("Do answers %v, %v, want %v", task, err, want)
	}
}

// gate is work that goes on until it is opened.
type gate struct {
	begun chan struct{}
	open  chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

// wait is the work. It pays no heed to the context.
func (g *gate) wait(context.Context) (string, error) {
	close(g.begun)
	<-g.open
	return "through the gate", nil
}

// obedient is work that goes on until its context ends.
func obedient(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "told to end", context.Cause(ctx)
}

// wants holds that an error is each of those.
func wants(tb testing.TB, what string, err error, targets ...error) {
	tb.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			tb.Errorf("%s answers %v, want %v", what, err, target)
		}
	}
}

func equal[T comparable](tb testing.TB, what string, got, want []T) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: %v, want %v", what, got, want)
	}
}

// must holds that there is no error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

// await is looptest.Await for what nobody asks.
func await[T any](tb testing.TB, c <-chan T, what string) { tb.Helper(); looptest.Await(tb, c, what) }
