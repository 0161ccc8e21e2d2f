//go:build linux

package filewatch_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// BenchmarkLatency is the time from before a change to the callback, while the loop waits: by fsnotify, which is of
// a write, and by inotify read directly, which is of the closing after it.
func BenchmarkLatency(b *testing.B) {
	for name, ops := range map[string]filewatch.Op{"fsnotify": filewatch.Written, "inotify": filewatch.Finished} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, filewatch.Config{})
			r.write("f")
			r.add(r.dir, filewatch.Watch{Ops: ops})
			came := make(chan time.Time, 16)
			r.handle = func(filewatch.Event) error {
				came <- time.Now()
				return nil
			}
			r.start()
			r.settle()
			var took []time.Duration
			for b.Loop() {
				f, err := os.OpenFile(r.path("f"), os.O_WRONLY|os.O_APPEND, 0)
				r.check(err)
				began := time.Now()
				if ops.Has(filewatch.Written) {
					_, err = f.WriteString("x")
					r.check(err)
				} else {
					r.check(f.Close())
				}
				took = append(took, looptest.Await(b, came, "the event").Sub(began))
				_ = f.Close()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
		})
	}
}

// BenchmarkBurst is what an event costs when many come at once: of a file that is renamed to and fro.
func BenchmarkBurst(b *testing.B) {
	for name, ops := range sources {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, filewatch.Config{})
			r.write("a")
			r.add(r.dir, filewatch.Watch{Ops: ops})
			events := 0
			r.handle = func(filewatch.Event) error {
				events++
				return nil
			}
			r.start()
			r.settle()
			r.take()
			from, to := r.path("a"), filepath.Join(r.dir, "b")
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r.check(os.Rename(from, to))
				from, to = to, from
				if n++; n%1000 == 0 {
					r.settle()
					r.take()
				}
			}
			r.settle()
			b.ReportMetric(float64(events)/float64(n), "events/op")
		})
	}
}
