package ring_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// TestAllocations holds that nothing of it allocates.
func TestAllocations(t *testing.T) {
	w, r := oneRing(t, 4096)
	big := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { roundTrip(t, w, r, 64) }); n != 0 {
		t.Errorf("a record allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if n, err := w.Write(big); n != len(big) || err != nil {
			t.Fatal(n, err)
		}
		w.Publish()
		for {
			if _, _, ok, err := r.Next(); err != nil {
				t.Fatal(err)
			} else if !ok {
				break
			}
		}
		r.Release()
	}); n != 0 {
		t.Errorf("Write allocates %v times", n)
	}
}

// roundTrip sends a record through the ring, with what goes with it.
func roundTrip(tb testing.TB, w *ring.Writer, r *ring.Reader, n int) {
	room, err := w.Reserve(n)
	if room == nil || err != nil {
		tb.Fatal("no room:", err)
	}
	room[0]++
	w.Commit(n, ring.KindData)
	w.Publish()
	if record, _, ok, err := r.Next(); len(record) != n || !ok || err != nil {
		tb.Fatal("no record:", err)
	}
	r.Release()
	r.Wakes(false)
	if r.Sleep() {
		tb.Fatal("doesn't sleep")
	}
	r.Awake()
}

// BenchmarkRecord is a record of 64 bytes, written, published, read and released by one goroutine.
func BenchmarkRecord(b *testing.B) {
	w, r := oneRing(b, 1<<16)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		room, _ := w.Reserve(64)
		room[0]++
		w.Commit(64, ring.KindData)
		w.Publish()
		record, _, ok, err := r.Next()
		if len(record) != 64 || !ok || err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
}

// BenchmarkBatch is the same in batches of 32, and BenchmarkSleep with a reader that is about to sleep after each one.
func BenchmarkBatch(b *testing.B) {
	const batch = 32
	w, r := oneRing(b, 1<<16)
	b.ReportAllocs()
	b.SetBytes(64)
	for n := 0; b.Loop(); n++ {
		room, _ := w.Reserve(64)
		room[0]++
		w.Commit(64, ring.KindData)
		if n%batch < batch-1 {
			continue
		}
		w.Publish()
		for {
			_, _, ok, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
		}
		r.Release()
	}
}

func BenchmarkSleep(b *testing.B) {
	w, r := oneRing(b, 1<<16)
	b.ReportAllocs()
	b.SetBytes(64)
	for b.Loop() {
		roundTrip(b, w, r, 64)
	}
}
