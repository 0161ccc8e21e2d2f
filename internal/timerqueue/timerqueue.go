// Package timerqueue orders things by the moment they are due.
//
// It is pure: moments are numbers, and nothing here reads a clock. The queue is a heap with four
// children a node, after D. B. Johnson, "Priority queues with update and finding minimum spanning
// trees" (1975): half as deep as a binary heap, and the children of a node share a cache line or
// two. Each item knows its place, so that changing and removing cost O(log n) without a search.
package timerqueue

// Node is an item's place in a queue. It is embedded in what the item stands for; the zero value is
// in no queue. It must not be copied while it is in one.
type Node struct {
	place int32 // its index in the heap plus one; 0 is in none
}

// Queued tells whether the node is in a queue.
func (n *Node) Queued() bool { return n.place != 0 }

// Queue orders values of type T. The zero value is an empty queue.
type Queue[T any] struct {
	heap []entry[T]
}

type entry[T any] struct {
	when  int64
	node  *Node
	value T
}

const children = 4

// Len is the number of values in the queue.
func (q *Queue[T]) Len() int { return len(q.heap) }

// Set puts a value into the queue, or moves it if its node is there.
func (q *Queue[T]) Set(n *Node, when int64, value T) {
	if n.place == 0 {
		q.heap = append(q.heap, entry[T]{})
		q.up(len(q.heap)-1, entry[T]{when, n, value})
		return
	}
	i := int(n.place) - 1
	e := entry[T]{when, n, value}
	if when < q.heap[i].when {
		q.up(i, e)
	} else {
		q.down(i, e)
	}
}

// Remove takes a value out of the queue, if it is there.
func (q *Queue[T]) Remove(n *Node) {
	if n.place == 0 {
		return
	}
	i := int(n.place) - 1
	n.place = 0
	end := len(q.heap) - 1
	last := q.heap[end]
	q.heap[end] = entry[T]{}
	q.heap = q.heap[:end]
	switch {
	case i == end:
	case last.when < q.heap[i].when:
		q.up(i, last)
	default:
		q.down(i, last)
	}
	if cap(q.heap) > 1024 && end < cap(q.heap)/4 {
		q.heap = append(make([]entry[T], 0, cap(q.heap)/2), q.heap...)
	}
}

// Next is the earliest moment in the queue; false if the queue is empty.
func (q *Queue[T]) Next() (when int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].when, true
}

// PopDue takes out the earliest value if it is due at now.
func (q *Queue[T]) PopDue(now int64) (value T, ok bool) {
	if len(q.heap) == 0 || q.heap[0].when > now {
		return value, false
	}
	value = q.heap[0].value
	q.Remove(q.heap[0].node)
	return value, true
}

// up places e at i or above.
func (q *Queue[T]) up(i int, e entry[T]) {
	for i > 0 {
		parent := (i - 1) / children
		if q.heap[parent].when <= e.when {
			break
		}
		q.place(i, q.heap[parent])
		i = parent
	}
	q.place(i, e)
}

// down places e at i or below.
func (q *Queue[T]) down(i int, e entry[T]) {
	for {
		first := i*children + 1
		if first >= len(q.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+children, len(q.heap)); c++ {
			if q.heap[c].when < q.heap[least].when {
				least = c
			}
		}
		if e.when <= q.heap[least].when {
			break
		}
		q.place(i, q.heap[least])
		i = least
	}
	q.place(i, e)
}

func (q *Queue[T]) place(i int, e entry[T]) {
	q.heap[i] = e
	e.node.place = int32(i) + 1
}
