//go:build linux

package communicator

// readyQueue holds what is ready to be called, most important first. It is a binary heap: turns are
// short, and entries that became void are dropped when they come up.
type readyQueue []readyEntry

// readyEntry is a handle as it became ready: by priority, then by the look that found it, then in
// the order of adding. It is void when the handle has been served, removed, disabled or given
// another priority since.
type readyEntry struct {
	h         *Handle
	look, seq uint64
	priority  int32
	number    uint32 // of the handle's entries; only the last one counts
}

func (e *readyEntry) before(o *readyEntry) bool {
	if e.priority != o.priority {
		return e.priority < o.priority
	}
	if e.look != o.look {
		return e.look < o.look
	}
	return e.seq < o.seq
}

func (e *readyEntry) void() bool {
	return e.h.state&ready == 0 || e.h.entries != e.number
}

func (q *readyQueue) push(h *Handle) {
	h.entries++
	q.place(readyEntry{h: h, look: h.look, seq: h.seq, priority: h.priority, number: h.entries})
}

func (q *readyQueue) place(e readyEntry) {
	*q = append(*q, e)
	heap := *q
	i := len(heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&heap[parent]) {
			break
		}
		heap[i] = heap[parent]
		i = parent
	}
	heap[i] = e
}

// dropVoid takes out what is void: left alone at the bottom it would keep the loop awake.
func (q *readyQueue) dropVoid() {
	all := *q
	*q = all[:0]
	for _, e := range all {
		if !e.void() {
			q.place(e)
		}
	}
	clear(all[len(*q):])
}

func (q *readyQueue) pop() readyEntry {
	heap := *q
	top := heap[0]
	last := len(heap) - 1
	e := heap[last]
	heap[last] = readyEntry{}
	heap = heap[:last]
	*q = heap
	if last == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && heap[child+1].before(&heap[child]) {
			child++
		}
		if !heap[child].before(&e) {
			break
		}
		heap[i] = heap[child]
		i = child
	}
	heap[i] = e
	return top
}

// urgent tells whether the most important entry is urgent.
func (q readyQueue) urgent() bool { return len(q) > 0 && q[0].priority < 0 }
