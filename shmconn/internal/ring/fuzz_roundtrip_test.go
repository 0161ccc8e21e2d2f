package ring_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// queue is what a ring should be.
type queue struct {
	staged, published []item
	before            []item // published, before the last record was read; nil if that can't come again
	held              []heldRecord
	again             bool // Unread was called
	sleeping, rung    bool
}

// item is a record, or what is left of one Write, which the ring may have in pieces.
type item struct {
	data  []byte
	kind  uint32
	write bool
}

// heldRecord is a record in the ring, and what it was when it was read.
type heldRecord struct{ record, was []byte }

func (q *queue) stage(i item) { q.staged = append(q.staged, i) }

func (q *queue) publish(t *testing.T, w *ring.Writer) {
	t.Helper()
	want := w.Unpublished() && q.sleeping && !q.rung
	if rings := w.Publish(); rings != want {
		t.Fatalf("Publish rings: %v, and should: %v", rings, want)
	}
	q.rung = q.rung || want
	q.published = append(slices.Clone(q.published), q.staged...)
	q.before, q.staged = nil, nil
}

func (q *queue) next(t *testing.T, r *ring.Reader) {
	t.Helper()
	record, kind, ok, err := r.Next()
	if err != nil || ok != (len(q.published) > 0) {
		t.Fatalf("Next: %v, %v, and there are %d", ok, err, len(q.published))
	}
	q.again = false
	if !ok {
		return
	}
	first := q.published[0]
	rest := []item{}
	if first.write && len(record) > 0 && len(record) < len(first.data) {
		rest = append(rest, item{first.data[len(record):], kind, true})
		first.data = first.data[:len(record)]
	}
	if kind != first.kind || !bytes.Equal(record, first.data) {
		t.Fatalf("read %d bytes of kind %d, not %d of kind %d", len(record), kind, len(first.data), first.kind)
	}
	q.before = q.published
	q.published = append(rest, q.published[1:]...)
	q.held = append(q.held, heldRecord{record, bytes.Clone(record)})
}

func (q *queue) unread(r *ring.Reader) {
	if q.before != nil && len(q.held) > 0 {
		r.Unread()
		q.published, q.before = q.before, nil
		q.held = q.held[:len(q.held)-1]
		q.again = true
	}
}

func (q *queue) release(r *ring.Reader) {
	r.Release()
	q.held, q.before = nil, nil
}

func (q *queue) releaseOthers(r *ring.Reader) {
	if !q.again {
		r.ReleaseOthers()
		q.held = q.held[max(0, len(q.held)-1):]
	}
}

func (q *queue) empty() bool { return len(q.staged)+len(q.published)+len(q.held) == 0 }

// lacks is what follows when there was no room.
func (q *queue) lacks(t *testing.T, w *ring.Writer) {
	t.Helper()
	if room, err := w.Wait(); room || err != nil || !w.Waiting() {
		t.Fatalf("there is no room, and Wait says: %v, %v", room, err)
	}
	w.Waited()
}

// check compares the ring with the queue.
func (q *queue) check(t *testing.T, w *ring.Writer, r *ring.Reader) {
	t.Helper()
	for i, h := range q.held {
		if !bytes.Equal(h.record, h.was) {
			t.Fatalf("record %d of %d that are in use has changed", i, len(q.held))
		}
	}
	if r.Held() != len(q.held) {
		t.Fatalf("%d records are held, not %d", r.Held(), len(q.held))
	}
	if len(q.staged) > 0 && !w.Unpublished() || len(q.published) > 0 && !r.Left() {
		t.Fatalf("%d are staged: %v, %d published: %v", len(q.staged), w.Unpublished(), len(q.published), r.Left())
	}
}

// FuzzRoundTrip is an honest writer and an honest reader, against a queue.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte{0, 3, 0, 0, 30, 1, 1, 2, 3, 2, 3, 4})
	f.Add(bytes.Repeat([]byte{0, 50, 1, 1, 2, 5, 3}, 30))
	f.Add(bytes.Repeat([]byte{6, 250, 1, 2, 2, 7, 2, 3, 5, 4}, 10))
	f.Add(bytes.Repeat([]byte{0, 8, 8, 0, 56, 1, 9, 0, 1, 2, 4, 2, 3}, 20))
	f.Fuzz(func(t *testing.T, calls []byte) {
		w, r := oneRing(t, fuzzCapacity)
		q := &queue{}
		in := input(calls)
		for number := byte(1); len(in) > 0; number++ {
			switch in.byte() % 9 {
			case 0:
				n := int(in.byte()) % (w.Max() + 1)
				room, err := w.Reserve(n)
				if err != nil || room == nil && q.empty() {
					t.Fatalf("Reserve: %v, and the ring is empty: %v", err, q.empty())
				}
				if room == nil {
					q.lacks(t, w)
					continue
				}
				n -= int(in.byte()) % (n + 1)
				i := item{bytes.Repeat([]byte{number}, n), [...]uint32{ring.KindData, ring.KindUser, 15}[n%3], false}
				if !w.Commit(copy(room, i.data), i.kind) {
					t.Fatalf("%d bytes can't be ended", n)
				}
				q.stage(i)
			case 1:
				q.publish(t, w)
			case 2, 3:
				q.next(t, r)
			case 4:
				q.unread(r)
			case 5:
				q.release(r)
			case 6:
				p := bytes.Repeat([]byte{number}, 4*int(in.byte()))
				n, err := w.Write(p)
				if err != nil || n == 0 && len(p) > 0 && q.empty() {
					t.Fatalf("Write: %v, and the ring is empty: %v", err, q.empty())
				}
				if n > 0 {
					q.stage(item{p[:n], ring.KindPiece, true})
				}
				if n < len(p) {
					q.lacks(t, w)
				}
			case 7:
				q.releaseOthers(r)
			case 8:
				more := r.Sleep()
				if len(q.published) > 0 && !more {
					t.Fatal("sleeps, and there is something to read")
				}
				q.rung = q.rung && q.sleeping
				q.sleeping = !more
				if in.byte()%2 == 0 {
					r.Awake()
					q.sleeping = false
				}
			}
			q.check(t, w, r)
		}
	})
}
