//go:build linux

package channel

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
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
	shown int // of the first values: those that the loop which receives has at hand

	senders   list.List // *waiter[T]: goroutines whose values find no room
	receivers list.List // *waiter[T]: goroutines that find no value

	values end  // of the loop that receives
	room   end  // of the loop that sends
	wanted bool // that loop has found it full

	noMore   error // no value is accepted: why
	noReader error // nobody receives any more: why
}

// end is what a loop has at one end of a queue. The zero end is that of goroutines.
type end struct {
	bell *sys.Bell
	loop *communicator.Communicator
	look func() // takes the source out of the loop if the queue has ended and holds nothing more for it
}

// ring tells the loop that something waits for its source.
func (e end) ring() {
	if e.bell != nil {
		e.bell.Ring()
	}
}

// tell tells the loop that the queue has ended. The bell lets the source handle what waits, in the order of its
// priority; a source that is disabled or over its rate doesn't hear it, and has to be looked at.
func (e end) tell() {
	if e.bell == nil {
		return
	}
	e.bell.Ring()
	_ = e.loop.Post(e.look) // refused when the loop has ended, or too much is posted: then the bell has to do
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
	q.values.ring()
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
		q.room.ring()
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
	if q.values.bell != nil {
		defer q.mu.Unlock()
		return v, ErrJoined
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

// peek returns some of the first values, which stay in the queue until handled. With none it silences the bell of
// the loop that receives, and tells whether more may come.
func (q *queue[T]) peek() (some []T, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		q.values.bell.Quiet()
		return nil, q.noMore == nil
	}
	some = q.ring[q.head:min(q.head+min(q.count, piece), len(q.ring))]
	q.shown = len(some)
	return some, true
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
	q.values.tell()
	q.room.tell()
}

// spent tells whether no value waits and none will.
func (q *queue[T]) spent() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.noMore != nil && q.count == 0
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

// closeReceive ends both, and takes out what waits.
func (q *queue[T]) closeReceive() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noReader == nil {
		q.noReader = closedBy(nil)
	}
	all := q.restLocked()
	q.refuseLocked(nil) // tells a loop that receives, which looks for what waits
	return all
}

// rest takes out what waits, once nobody receives it any more.
func (q *queue[T]) rest() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.noReader == nil {
		return nil
	}
	return q.restLocked()
}

// restLocked takes out what waits, but for what a loop has at hand: that is going to be handled.
func (q *queue[T]) restLocked() []T {
	if q.count == q.shown {
		return nil
	}
	var none T
	all := make([]T, 0, q.count-q.shown)
	for ; q.count > q.shown; q.count-- {
		i := (q.head + q.shown + len(all)) % len(q.ring)
		all = append(all, q.ring[i])
		q.ring[i] = none
	}
	if q.count == 0 {
		q.ring, q.head = nil, 0
	}
	return all
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// handled is drop by the loop that receives, of as many as it has handled of what peek has shown.
func (q *queue[T]) handled(n int) (woke bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shown = 0
	return q.drop(n)
}
