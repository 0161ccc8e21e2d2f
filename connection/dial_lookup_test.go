//go:build linux

package connection_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestLookupMeetsFullQueue: the outcome of a look-up is not lost when the loop takes no posts for a while; and nothing is left of the
// look-up if the dial has ended by then, or the loop.
func TestLookupMeetsFullQueue(t *testing.T) {
	fdtest.Check(t) // and TestMain looks for the goroutines
	l := listenTCP(t)
	defer l.Close()
	for name, c := range map[string]struct {
		meanwhile func(loop connection.Loop, cancel func())
		dialled   int
	}{
		"goes on":   {func(connection.Loop, func()) {}, 1},
		"cancelled": {func(_ connection.Loop, cancel func()) { cancel() }, 0},
		"loop ends": {func(loop connection.Loop, _ func()) { _ = loop.Close() }, 0},
	} {
		loop, err := communicator.New(communicator.Config{MaxPosted: 4, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		looked := make(chan bool)
		dialled, failed := 0, 0
		work := connection.Connect{Timeout: time.Second, Lookup: func(context.Context) ([]connection.Attempt, error) {
			close(looked)
			return []connection.Attempt{connection.TCPAttempt(addrPort(l), nil)}, nil
		}}
		for loop.Post(func() {}) == nil {
		}
		cancel, err := work.Dial(loop, func(transport connection.Transport, err error) {
			if err != nil {
				failed++
				return
			}
			dialled++
			_ = transport.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		looptest.Await(t, looked, "the look-up")
		letPass(t, 30*time.Millisecond) // a queue that is full now has to be met
		c.meanwhile(loop, cancel)
		if name != "loop ends" {
			run(t, loop)
		}
		_ = loop.Close()
		if wantFailed := map[string]int{"loop ends": 1}[name]; dialled != c.dialled || failed != wantFailed {
			t.Errorf("%s: done was called with %d connections and %d errors, want %d and %d", name, dialled, failed, c.dialled, wantFailed)
		}
	}
}

// letPass lets time pass: a loop of its own waits for it.
func letPass(t *testing.T, d time.Duration) {
	t.Helper()
	loop, _ := looptest.New(t)
	if _, err := loop.Add(alarm{}, communicator.Options{Deadline: time.Now().Add(d)}); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
}

// alarm ends when it goes off.
type alarm struct{}

func (alarm) FD() int { return communicator.NoFD }

func (alarm) HandleTimeout(h *communicator.Handle) error {
	h.Remove(nil)
	return nil
}
