//go:build linux

package channel_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var errTest = errors.New("an error of the test")

func newInbox[T any](tb testing.TB, loop *communicator.Communicator, f func(T) error, c channel.Config) *channel.Inbox[T] {
	tb.Helper()
	in, err := channel.NewInbox(loop, f, c)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func newOutbox[T any](tb testing.TB, loop *communicator.Communicator, c channel.Config) *channel.Outbox[T] {
	tb.Helper()
	out, err := channel.NewOutbox[T](loop, c)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// patient is a context that ends when something is broken.
func patient(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), looptest.Patience)
	tb.Cleanup(cancel)
	return ctx
}

// asking is a context that tells when somebody waits for its end, and so has found no room or no value.
type asking struct {
	context.Context
	asked chan struct{}
}

func newAsking(ctx context.Context) *asking { return &asking{ctx, make(chan struct{}, 1)} }

func (a *asking) Done() <-chan struct{} {
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return a.Context.Done()
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

// start runs the loop on a goroutine of its own; what it returns waits for its end.
func start(tb testing.TB, loop *communicator.Communicator) (wait func() error) {
	tb.Helper()
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(context.Background()) }()
	return func() error {
		tb.Helper()
		return looptest.Await(tb, ended, "the loop to end")
	}
}

// numbers are those from 0 to n-1.
func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
