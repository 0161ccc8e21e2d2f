// Package timerwheel orders very many things by the moment they are due.
//
// It is a hierarchical timing wheel, after G. Varghese and A. Lauck, "Hashed and Hierarchical Timing
// Wheels" (1987): setting and removing touch a node and its neighbours, however many there are. What comes
// next is put in exact order by a binary heap that holds one slot of the wheel, so that nothing is early and
// nothing is out of order. It is pure: moments are numbers, and nothing here reads a clock.
//
// Do not use it for what is counted in hundreds: package timerqueue is smaller, takes no 12 KiB for being
// empty and never has to be woken up to sort.
package timerwheel

import "math/bits"

const (
	tickBits  = 22 // a tick, which is a slot of level 0, is 2^22 ns, some 4 ms: level 0 has what is due within a second
	levelBits = 8
	slots     = 1 << levelBits
	levels    = 6 // 22 bits and 6 times 8 are more than an int64 has, so that no moment is too far away
	slotMask  = slots - 1

	piece = 1024 // nodes that one Pop may move from slot to slot: some 20 µs
	few   = 8    // nodes among which Next looks for the first
	spare = 1024 // entries that the heap keeps room for whatever happens
)

// Node is an item's place in a wheel: a field of what the item stands for. The zero value is in no wheel. It
// must not be copied while it is in one.
type Node struct {
	when       int64
	next, prev *Node  // in its slot
	place      int32  // 0: in no wheel; above: its index in the heap plus one; below: ^slot
	order      uint32 // counts what was set
}

// Queued tells whether the node is in a wheel.
func (n *Node) Queued() bool { return n.place != 0 }

// When is the moment that the node was last set to.
func (n *Node) When() int64 { return n.when }

// Wheel orders nodes by their moments, in nanoseconds from anywhere; equal ones by the order of Set, as long
// as fewer than 2^31 calls lie between them. The zero value is an empty wheel at moment 0. A node belongs to
// one wheel at a time.
//
// The level of a node is that of the highest digit, to the base of 256, in which its tick differs from the
// wheel's. So what is on a level comes before all that is on the next, and a slot is spread over the levels
// below when the wheel's tick enters it.
type Wheel struct {
	tick      int64 // the nodes of this tick, and of those before, are in the heap
	heap      []item
	used      [levels][slots / 64]uint64 // slots with nodes in them
	levels    uint8                      // levels with such slots
	order     uint32
	spreading int // the slot that is being spread, plus one; 0 is none
	length    int
	heads     [levels * slots]*Node
}

// Len is the number of nodes in the wheel.
func (w *Wheel) Len() int { return w.length }

// Set puts a node into the wheel, or moves it if it is there.
func (w *Wheel) Set(n *Node, when int64) {
	w.order++
	if n.place < 0 {
		if slot, ok := w.slot(when); ok && ^n.place == slot {
			n.when, n.order = when, w.order
			return
		}
	}
	if n.place != 0 {
		w.take(n)
	} else {
		w.length++
	}
	n.when, n.order = when, w.order
	w.put(n)
}

// Remove takes a node out of the wheel; false if it is in none.
func (w *Wheel) Remove(n *Node) bool {
	if n.place == 0 {
		return false
	}
	w.take(n)
	n.place = 0
	w.length--
	return true
}

// Next is a moment at which Pop ought to be called: never later than that of the first node. It is exactly that
// if the node is due within a tick or has few others about it, and else the beginning of the slot that it is
// in. False if the wheel is empty.
func (w *Wheel) Next() (when int64, ok bool) {
	switch {
	case w.spreading != 0:
		return w.tick << tickBits, true
	case len(w.heap) > 0:
		return w.heap[0].when, true
	case w.levels == 0:
		return 0, false
	}
	slot, tick := w.first()
	n := w.heads[slot]
	when = n.when
	for range few {
		if n = n.next; n == nil {
			return when, true
		}
		when = min(when, n.when)
	}
	return tick << tickBits, true
}

// Pop takes out the first node if it is due at now. Without a node, more tells that there may be one all the
// same: this call has only moved a piece of a large slot. now must not go back.
func (w *Wheel) Pop(now int64) (n *Node, more bool) {
	for room := piece; ; {
		if w.spreading == 0 {
			if len(w.heap) > 0 {
				if n = w.heap[0].node; w.heap[0].when > now {
					return nil, false
				}
				w.pull(0)
				n.place = 0
				w.length--
				return n, true
			}
			w.trim()
			slot, tick := w.first()
			if w.levels == 0 || tick > now>>tickBits {
				w.tick = max(w.tick, now>>tickBits)
				return nil, false
			}
			w.tick, w.spreading = tick, slot+1
		}
		if room = w.spread(room); w.spreading != 0 {
			return nil, true
		}
	}
}

// Clear takes out all nodes.
func (w *Wheel) Clear() {
	for _, i := range w.heap {
		i.node.place = 0
	}
	for _, n := range w.heads {
		for n != nil {
			next := n.next
			n.next, n.prev, n.place = nil, nil, 0
			n = next
		}
	}
	*w = Wheel{tick: w.tick, order: w.order}
}

// slot is where a moment belongs now; false: in the heap.
func (w *Wheel) slot(when int64) (slot int32, ok bool) {
	tick := when >> tickBits
	if tick <= w.tick {
		return 0, false
	}
	level := (bits.Len64(uint64(tick^w.tick)) - 1) / levelBits
	return int32(level<<levelBits | int(tick>>(level*levelBits))&slotMask), true
}

func (w *Wheel) put(n *Node) {
	slot, ok := w.slot(n.when)
	if !ok {
		w.push(n)
		return
	}
	head := w.heads[slot]
	n.next, n.place = head, ^slot
	if head != nil {
		head.prev = n
	} else {
		level, digit := slot>>levelBits, slot&slotMask
		w.used[level][digit>>6] |= 1 << (digit & 63)
		w.levels |= 1 << level
	}
	w.heads[slot] = n
}

// take undoes put.
func (w *Wheel) take(n *Node) {
	if n.place > 0 {
		w.pull(int(n.place) - 1)
		return
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		slot := ^n.place
		if w.heads[slot] = n.next; n.next == nil {
			w.vacate(slot)
		}
	}
	n.next, n.prev = nil, nil
}

// vacate notes that a slot has become empty.
func (w *Wheel) vacate(slot int32) {
	level, digit := slot>>levelBits, slot&slotMask
	words := &w.used[level]
	words[digit>>6] &^= 1 << (digit & 63)
	if words[0]|words[1]|words[2]|words[3] == 0 {
		w.levels &^= 1 << level
	}
}

// first is the first slot with nodes in it, and the tick at which it begins. It means nothing if there is
// none.
func (w *Wheel) first() (slot int, tick int64) {
	level := bits.TrailingZeros8(w.levels)
	if level >= levels {
		return 0, 0
	}
	digit := 0
	for i, word := range w.used[level] {
		if word != 0 {
			digit = i<<6 | bits.TrailingZeros64(word)
			break
		}
	}
	above := w.tick >> ((level + 1) * levelBits) << levelBits
	return level<<levelBits | digit, (above | int64(digit)) << (level * levelBits)
}

// spread moves nodes, no more than there is room for, from the slot that the wheel's tick has entered to where
// they belong now. It returns the room that is left.
func (w *Wheel) spread(room int) int {
	slot := w.spreading - 1
	n := w.heads[slot]
	for ; n != nil && room > 0; room-- {
		next := n.next
		n.next, n.prev = nil, nil
		w.put(n)
		n = next
	}
	if w.heads[slot] = n; n != nil {
		n.prev = nil
		return room
	}
	w.vacate(int32(slot))
	w.spreading = 0
	return room
}
