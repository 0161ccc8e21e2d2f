//go:build linux

package timer_test

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

const million = 1_000_000

// spread is a million durations from 1 to 2 seconds.
func spread() []time.Duration {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, million)
	for i := range all {
		all[i] = time.Second + time.Duration(rng.Int64N(int64(time.Second)))
	}
	return all
}

// heap is the number of bytes in use.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// stopwatch adds up the time of a part of each round, and reports it for each of a million.
type stopwatch struct{ add, cancel, fire, bytes float64 }

func (s *stopwatch) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for name, sum := range map[string]float64{"ns/add": s.add, "ns/cancel": s.cancel, "ns/fire": s.fire, "B/timer": s.bytes} {
		if sum > 0 {
			b.ReportMetric(sum/million/float64(b.N), name)
		}
	}
}

func since(begin time.Time) float64 { return float64(time.Since(begin)) }

// burned is the processor time that the process has used.
func burned(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSet adds a million timers, due in 1 to 2 s. Then it cancels them in another order; or lets them fire
// when they are due, a wake-up for nearly each, or for each millisecond with slack, and reports the processor
// time; or holds the loop up until all are due at once.
func BenchmarkSet(b *testing.B) {
	all := spread()
	order := rand.New(rand.NewPCG(3, 4)).Perm(million)
	for _, how := range []string{"cancel", "fire", "slack", "burst"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			var s stopwatch
			for range b.N {
				loop := newLoop(b, communicator.Config{})
				var o communicator.Options
				if how == "slack" {
					o.Slack = time.Millisecond
				}
				set := newSet(b, loop, o)
				entries := make([]*timer.Entry, million)
				fired := 0
				f := func(*timer.Entry) { fired++ }
				before := heap()
				begin := time.Now()
				for i, d := range all {
					entries[i] = set.After(d, f)
				}
				s.add += since(begin)
				s.bytes += heap() - before
				switch how {
				case "cancel":
					begin = time.Now()
					for _, i := range order {
						entries[i].Stop()
					}
					s.cancel += since(begin)
					run(b, loop)
					continue
				case "burst":
					spin(2*time.Second - time.Since(begin))
				}
				work := burned(b)
				run(b, loop)
				s.fire += burned(b) - work
				if fired != million {
					b.Fatalf("%d fired", fired)
				}
			}
			s.report(b)
		})
	}
}

// BenchmarkSetStart adds a million timers that are fields of something else, and cancels them.
func BenchmarkSetStart(b *testing.B) {
	all := spread()
	entries := make([]timer.Entry, million)
	b.ReportAllocs()
	var s stopwatch
	for range b.N {
		loop := newLoop(b, communicator.Config{})
		set := newSet(b, loop, zero)
		f := func(*timer.Entry) {}
		begin := time.Now()
		for i, d := range all {
			set.Start(&entries[i], d, f)
		}
		s.add += since(begin)
		begin = time.Now()
		for i := range entries {
			entries[i].Stop()
		}
		s.cancel += since(begin)
		set.Close()
	}
	s.report(b)
}

// BenchmarkSetReset moves one of many timers again and again, as a time-out that each byte puts off.
func BenchmarkSetReset(b *testing.B) {
	loop := newLoop(b, communicator.Config{})
	set := newSet(b, loop, zero)
	entries := make([]timer.Entry, 1000)
	f := func(*timer.Entry) {}
	for i := range entries {
		set.Start(&entries[i], time.Minute, f)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		entries[i%len(entries)].Reset(time.Minute)
	}
	set.Close()
}

// BenchmarkAfterFunc is BenchmarkSet with timers of package time; the processor time is that of all goroutines.
func BenchmarkAfterFunc(b *testing.B) {
	all := spread()
	order := rand.New(rand.NewPCG(3, 4)).Perm(million)
	for _, how := range []string{"cancel", "fire"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			var s stopwatch
			for range b.N {
				timers := make([]*time.Timer, million)
				var fired atomic.Int64
				done := make(chan struct{})
				f := func() {
					if fired.Add(1) == million {
						close(done)
					}
				}
				before := heap()
				begin := time.Now()
				for i, d := range all {
					timers[i] = time.AfterFunc(d, f)
				}
				s.add += since(begin)
				s.bytes += heap() - before
				if how == "cancel" {
					begin = time.Now()
					for _, i := range order {
						timers[i].Stop()
					}
					s.cancel += since(begin)
					continue
				}
				work := burned(b)
				<-done
				s.fire += burned(b) - work
			}
			s.report(b)
		})
	}
}
