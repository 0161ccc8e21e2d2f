package timerwheel

// item is a node in the heap, with its moment beside it so that most comparisons need not touch the node.
type item struct {
	when int64
	node *Node
}

func (i *item) before(o *item) bool {
	if i.when != o.when {
		return i.when < o.when
	}
	return int32(i.node.order-o.node.order) < 0
}

// push puts a node into the heap.
func (w *Wheel) push(n *Node) {
	w.heap = append(w.heap, item{})
	w.up(len(w.heap)-1, item{n.when, n})
}

// pull takes the entry at index i out of the heap.
func (w *Wheel) pull(i int) {
	end := len(w.heap) - 1
	last := w.heap[end]
	w.heap[end] = item{}
	w.heap = w.heap[:end]
	switch {
	case i == end:
	case i > 0 && last.before(&w.heap[(i-1)/2]):
		w.up(i, last)
	default:
		w.down(i, last)
	}
}

// up places e at i or above.
func (w *Wheel) up(i int, e item) {
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&w.heap[parent]) {
			break
		}
		w.place(i, w.heap[parent])
		i = parent
	}
	w.place(i, e)
}

// down places e at i or below.
func (w *Wheel) down(i int, e item) {
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			break
		}
		if child+1 < len(w.heap) && w.heap[child+1].before(&w.heap[child]) {
			child++
		}
		if !w.heap[child].before(&e) {
			break
		}
		w.place(i, w.heap[child])
		i = child
	}
	w.place(i, e)
}

func (w *Wheel) place(i int, e item) {
	w.heap[i] = e
	e.node.place = int32(i) + 1
}

// trim gives back the room of an empty heap that is large for what is in the wheel.
func (w *Wheel) trim() {
	if cap(w.heap) > spare && cap(w.heap)/2 > w.length {
		w.heap = nil
	}
}
