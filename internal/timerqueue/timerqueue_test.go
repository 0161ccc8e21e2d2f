package timerqueue_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/timerqueue"
)

type item struct {
	timerqueue.Node
	when int64
}

// TestAgainstSlice plays random operations on a queue and on a slice that is searched, with a clock
// that only the test moves.
func TestAgainstSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q timerqueue.Queue[*item]
	var model []*item
	var now int64
	for range 200_000 {
		switch op := rng.IntN(10); {
		case op < 4 || len(model) == 0:
			it := &item{when: now + rng.Int64N(1000)}
			q.Set(&it.Node, it.when, it)
			model = append(model, it)
		case op < 6: // move
			it := model[rng.IntN(len(model))]
			it.when = now + rng.Int64N(1000)
			q.Set(&it.Node, it.when, it)
		case op < 8: // remove, twice: the second does nothing
			i := rng.IntN(len(model))
			q.Remove(&model[i].Node)
			q.Remove(&model[i].Node)
			model = slices.Delete(model, i, i+1)
		default:
			now += rng.Int64N(100)
			last := int64(-1)
			for {
				it, ok := q.PopDue(now)
				if !ok {
					break
				}
				if it.when > now || it.when < last || it.Queued() {
					t.Fatalf("popped %d after %d at %d, queued %v", it.when, last, now, it.Queued())
				}
				last = it.when
				model = slices.DeleteFunc(model, func(o *item) bool { return o == it })
			}
			if slices.ContainsFunc(model, func(o *item) bool { return o.when <= now }) {
				t.Fatalf("something that is due at %d stayed", now)
			}
		}
		if q.Len() != len(model) {
			t.Fatalf("%d in the queue, want %d", q.Len(), len(model))
		}
		next, ok := q.Next()
		if ok != (len(model) > 0) {
			t.Fatalf("Next says %v of %d items", ok, len(model))
		}
		if ok {
			if want := slices.MinFunc(model, func(a, b *item) int { return int(a.when - b.when) }).when; next != want {
				t.Fatalf("next is %d, want %d", next, want)
			}
		}
	}
}

func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	rng := rand.New(rand.NewPCG(1, 2))
	items := make([]item, n)
	for i := range items {
		items[i].when = rng.Int64N(1 << 40)
	}
	var q timerqueue.Queue[*item]
	for b.Loop() {
		for i := range items {
			q.Set(&items[i].Node, items[i].when, &items[i])
		}
		for range items {
			q.PopDue(1 << 40)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/add+fire")
}
