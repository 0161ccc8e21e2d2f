//go:build linux

package worker_test

import (
	"context"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// BenchmarkDo is work that does nothing: to a worker and back to the loop, one after the other, or as many at
// once as the pool takes.
func BenchmarkDo(b *testing.B) {
	for name, atOnce := range map[string]int{"alone": 1, "crowd": 1000} {
		b.Run(name, func(b *testing.B) {
			loop, _ := looptest.New(b)
			p := newPool(b, loop, worker.Config{})
			begun, done := 0, 0
			var next func(int, error)
			submit := func() {
				if begun < b.N {
					begun++
					do(b, p, func(context.Context) (int, error) { return 1, nil }, next)
				}
			}
			next = func(v int, err error) {
				if err != nil {
					b.Error(err)
				}
				done += v
				submit()
			}
			for range atOnce {
				submit()
			}
			b.ReportAllocs()
			b.ResetTimer()
			looptest.Run(b, loop)
			if done != b.N {
				b.Errorf("%d of %d were done", done, b.N)
			}
		})
	}
}
