//go:build linux

package channel

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// piece is how many values are handled under one lock: enough to make its price small, and few enough that
// who waits for room doesn't wait for long.
const piece = 32

// queue is a bounded queue. At either end are goroutines, which wait in it, or a loop, which has a bell.
//
// Nobody waits to send unless the queue is full, nobody waits to receive unless it is empty. Who waited longest
// is served first, by whoever makes it possible: so nobody can overtake.
type queue[T any] struct {
	capacity int

	mu    sync.Mutex
	ring  []T // grows up to capacity
	head  int
	count int

	senders   list.List // *waiter[T]: goroutines whose values find no room
	receivers list.List // *waiter[T]: goroutines that find no value

	values *sys.Bell // of the loop that receives; nil if none does
	room   *sys.Bell // of the loop that sends; nil if none does
	wanted bool      // that loop has found it full

	noMore   error // no value is accepted: why
	noReader error // nobody receives any more: why
}

// waiter is a goroutine that waits. Who serves it takes it off its list.
type waiter[T any] struct {
	value  T
	err    error
	served chan struct{}
}

func (w *waiter[T]) serve(err error) {
	w.err = err
	close(w.served)
}

func newQueue[T any](capacity int) *queue[T] {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &queue[T]{capacity: capacity}
}

// push appends a value, for which there is room.
func (q *queue[T]) push(v T) {
	if q.count == len(q.ring) {
		bigger := make([]T, min(max(piece, 2*len(q.ring)), q.capacity))
		n := copy(bigger, q.ring[q.head:])
		copy(bigger[n:], q.ring[:q.head])
		q.ring, q.head = bigger, 0
	}
	i := q.head + q.count
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	q.ring[i] = v
	q.count++
	if q.values != nil {
		q.values.Ring()
	}
}

// drop takes out the first n values, and lets those in that wait for room. It tells whether there are any.
func (q *queue[T]) drop(n int) (woke bool) {
	var none T
	for range n {
		q.ring[q.head] = none
		if q.head++; q.head == len(q.ring) {
			q.head = 0
		}
	}
	q.count -= n
	for q.count < q.capacity && q.senders.Len() > 0 {
		w := q.senders.Remove(q.senders.Front()).(*waiter[T])
		q.push(w.value)
		w.serve(nil)
		woke = true
	}
	if q.wanted && q.count <= q.capacity/2 {
		q.room.Ring()
	}
	return woke
}

// trySend accepts a value, or says why not. The lock is held.
func (q *queue[T]) trySend(v T) error {
	switch {
	case q.noMore != nil:
		return q.noMore
	case q.receivers.Len() > 0:
		w := q.receivers.Remove(q.receivers.Front()).(*waiter[T])
		w.value = v
		w.serve(nil)
	case q.count >= q.capacity:
		return ErrFull
	default:
		q.push(v)
	}
	return nil
}

func (q *queue[T]) send(ctx context.Context, v T) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	q.mu.Lock()
	err := q.trySend(v)
	if err == nil || !errors.Is(err, ErrFull) {
		q.mu.Unlock()
		return err
	}
	w := &waiter[T]{value: v, served: make(chan struct{})}
	place := q.senders.PushBack(w)
	q.mu.Unlock()
	return q.wait(ctx, w, &q.senders, place)
}

func (q *queue[T]) receive(ctx context.Context) (v T, err error) {
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	q.mu.Lock()
	if q.noReader != nil {
		defer q.mu.Unlock()
		return v, q.noReader
	}
	if q.count > 0 {
		defer q.mu.Unlock()
		v = q.ring[q.head]
		q.drop(1)
		return v, nil
	}
	if q.noMore != nil {
		defer q.mu.Unlock()
		return v, q.noMore
	}
	w := &waiter[T]{served: make(chan struct{})}
	place := q.receivers.PushBack(w)
	q.mu.Unlock()
	err = q.wait(ctx, w, &q.receivers, place)
	return w.value, err
}

// wait waits until w is served, or ctx has ended first.
func (q *queue[T]) wait(ctx context.Context, w *waiter[T], l *list.List, place *list.Element) error {
	select {
	case <-w.served:
	case <-ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		select {
		case <-w.served: // what has happened can't be undone
		default:
			l.Remove(place)
			return context.Cause(ctx)
		}
	}
	return w.err
}

// peek returns some of the first values, which stay in the queue until drop. With none it silences the bell of
// the loop that receives, and tells whether more may come.
func (q *queue[T]) peek() (some []T, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		q.values.Quiet()
		return nil, q.noMore == nil
	}
	return q.ring[q.head:min(q.head+min(q.count, piece), len(q.ring))], true
}

// refuse accepts no value from now on; those that wait stay.
func (q *queue[T]) refuse(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuseLocked(cause)
}

func (q *queue[T]) refuseLocked(cause error) {
	if q.noMore != nil {
		return
	}
	q.noMore = closedBy(cause)
	for _, l := range []*list.List{&q.senders, &q.receivers} {
		for l.Len() > 0 {
			l.Remove(l.Front()).(*waiter[T]).serve(q.noMore)
		}
	}
	if q.values != nil {
		q.values.Ring() // the inbox is to look whether it has all
	}
	if q.room != nil {
		q.room.Ring() // the outbox is to look whether it is of any use
	}
}

// abandon ends both: nobody will receive what waits.
func (q *queue[T]) abandon(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuseLocked(cause)
	if q.noReader == nil {
		q.noReader = closedBy(cause)
	}
}

// rest takes out what waits, once nobody receives it any more.
func (q *queue[T]) rest() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noReader == nil || q.count == 0 {
		return nil
	}
	all := make([]T, 0, q.count)
	for range q.count {
		all = append(all, q.ring[q.head])
		q.head = (q.head + 1) % len(q.ring)
	}
	q.ring, q.head, q.count = nil, 0, 0
	return all
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// handled is drop by the loop that receives.
func (q *queue[T]) handled(n int) (woke bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drop(n)
}
