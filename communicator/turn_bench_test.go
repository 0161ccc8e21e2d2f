//go:build linux

package communicator_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// addIdle adds n sources of mixed kinds to which nothing happens: timers, eventfds, sockets; some are urgent, some off.
// Descriptors are used as far as the limit of the process allows, timers instead of the rest.
func addIdle(b *testing.B, loop *communicator.Communicator, n int) {
	b.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	free := int(min(limit.Cur, 1<<20)) - 200
	far := time.Now().Add(time.Hour)
	for i := range n {
		o := communicator.Options{Deadline: far.Add(time.Duration(i) * time.Second), Disabled: i%10 == 9, Priority: i % 5}
		p := &probe{t: b}
		switch {
		case free < 2 || i%4 == 0:
		case i%4 == 1:
			p.file, _ = socketpair(b)
			free -= 2
		default:
			p.file = eventfd(b)
			free--
		}
		add(b, loop, p, o)
	}
}

// BenchmarkTurn is a turn with one event, in a loop of few and of many sources. What the others cost would show
// as a difference.
func BenchmarkTurn(b *testing.B) {
	for _, sources := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("event/%d", sources), func(b *testing.B) {
			loop := newLoop(b, communicator.Config{})
			addIdle(b, loop, sources)
			ping(b, loop, communicator.Options{}, b.N, nil)
			loop.AtExit(func(error) { b.StopTimer() }) // before all of them are closed
			b.ReportAllocs()
			b.ResetTimer()
			run(b, loop)
			if turns := loop.Stats().Turns; turns < uint64(b.N) {
				b.Errorf("%d turns for %d events", turns, b.N)
			}
		})
		b.Run(fmt.Sprintf("deadline/%d", sources), func(b *testing.B) {
			loop := newLoop(b, communicator.Config{})
			addIdle(b, loop, sources)
			p := &probe{t: b}
			p.timeout = func(h *communicator.Handle) error {
				if p.timeouts >= b.N {
					loop.Stop(nil)
				}
				h.SetDeadline(time.Now())
				return nil
			}
			add(b, loop, p, communicator.Options{Deadline: time.Now()})
			loop.AtExit(func(error) { b.StopTimer() })
			b.ReportAllocs()
			b.ResetTimer()
			run(b, loop)
		})
	}
}

// BenchmarkSetDeadline puts the deadline of one of many sources off, again and again.
func BenchmarkSetDeadline(b *testing.B) {
	for _, sources := range []int{10, 10_000} {
		b.Run(fmt.Sprint(sources), func(b *testing.B) {
			loop := newLoop(b, communicator.Config{})
			addIdle(b, loop, sources)
			h := add(b, loop, &probe{t: b}, communicator.Options{})
			at := time.Now().Add(time.Minute)
			b.ReportAllocs()
			for b.Loop() {
				at = at.Add(time.Microsecond)
				h.SetDeadline(at)
			}
		})
	}
}
