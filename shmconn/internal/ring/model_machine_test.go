package ring_test

import (
	"fmt"
	"strings"
)

// The model enumerates all interleavings of a writer and a reader of one ring. Each of them goes on by operations
// (model_sides_test.go), and an operation by steps: loads and stores of a word, and rings of a bell. After every step it
// can be the other side's turn. That is all that can happen, as sync/atomic has one order for all accesses, and what
// else an operation does nobody sees before its next step.
//
// What a side has done within its operation is a history of what its steps have seen. To take one more the
// operation is run again from its beginning: its first steps see what they saw before, the next one acts on the memory,
// and the one behind that ends the run. So what is run is ordinary code, and a state is a small value.

// Where the words of the model's memory are: those of the headers that belong to the one ring, and its data, of which
// a byte stands for 8.
const (
	atPublished = iota
	atWaiting
	atEnded
	atReleased
	atAsleep
	atData
	memorySize = atData + maxCapacity/wordSize

	maxCapacity = 64
)

// The sides.
const (
	writer = iota
	reader
)

var sideNames = [2]string{"writer", "reader"}

// history is what the accesses of an operation have seen so far.
type history struct {
	n    uint8
	seen [12]uint8
}

// state is one of the world, between two steps.
type state struct {
	memory [memorySize]uint8
	bells  [2]bool  // rung, and its owner hasn't woken
	rung   [2]uint8 // the value of the other side's word for which each has rung last
	doing  [2]operation
	seen   [2]history
	writer writerState // as of the beginning of its operation
	reader readerState
}

// node is a state and how it came about.
type node struct {
	state state
	from  int32
	side  int
	doing operation
}

// machine runs the world.
type machine struct {
	world
	state

	side     int
	position int
	acted    bool
	saw      uint8  // the word that says whether the other side is to be woken, when it was loaded last
	late     func() // what is to be done with the next access
	broken   string // what must not be

	w modelWriter
	r modelReader
}

// suspended ends the run of an operation.
type suspended struct{}

// again tells what an access has seen when it was made before.
func (m *machine) again() (uint64, bool) {
	h := &m.seen[m.side]
	if m.position < int(h.n) {
		m.position++
		m.late = nil
		return uint64(h.seen[m.position-1]), true
	}
	if m.acted || m.broken != "" {
		panic(suspended{})
	}
	m.acted = true
	if m.late != nil {
		m.late()
	}
	return 0, false
}

// note notes what an access has seen.
func (m *machine) note(value uint64) uint64 {
	h := &m.seen[m.side]
	if value > 255 || int(h.n) == len(h.seen) {
		panic(fmt.Sprintf("the model is too small for the access %d of an operation, which sees %d", h.n, value))
	}
	h.seen[h.n] = uint8(value)
	h.n++
	m.position++
	return value
}

// breaks says what must not be.
func (m *machine) breaks(format string, a ...any) {
	if m.broken == "" {
		m.broken = sideNames[m.side] + ": " + fmt.Sprintf(format, a...)
	}
}

// word is a word of a header.
type word struct {
	m  *machine
	at uint8
}

// Load is a step.
func (w word) Load() uint64 {
	value, ok := w.m.again()
	if !ok {
		value = w.m.note(uint64(w.m.memory[w.at]))
	}
	if w.at == wakesAt[w.m.side] {
		w.m.saw = uint8(value)
	}
	return value
}

// wakesAt is where each side looks whether the other is to be woken.
var wakesAt = [2]uint8{writer: atAsleep, reader: atWaiting}

// Store is a step.
func (w word) Store(value uint64) {
	if _, ok := w.m.again(); !ok {
		w.m.memory[w.at] = uint8(value)
		w.m.note(0)
	}
}

// A record of the model has in each 8 bytes of its own what it is: its number and its size, or that it pads.
const (
	padNumber = 15
	sizeBits  = 4
)

// put writes a record. It is part of the step before: the sooner, the worse for who still reads what was there.
func (m *machine) put(position uint64, size int, number uint8) {
	at := atData + int(position)%m.capacity/wordSize
	for i := range size / wordSize {
		m.memory[at+i] = number<<sizeBits | uint8(size/wordSize)
	}
}

// get reads a record. It is part of the step before; that the record stays until it is released is for intact.
func (m *machine) get(position uint64) (size int, number uint8) {
	head := m.memory[atData+int(position)%m.capacity/wordSize]
	return int(head) & (1<<sizeBits - 1) * wordSize, head >> sizeBits
}

// intact checks that the records from number on, which were read and lie from one position to another, are still
// there. It is part of the next step, which gives their room back.
func (m *machine) intact(from, to uint64, number uint8) {
	m.late = func() {
		for from != to {
			size, is := m.get(from)
			if is != padNumber {
				if is != number {
					m.breaks("record %d was overwritten while it was in use", number)
				}
				number++
			}
			if size == 0 || uint64(size) > to-from {
				m.breaks("a record was overwritten while it was in use")
				return
			}
			from += uint64(size)
		}
	}
}

// ring rings the other side's bell, in one step, and checks that this is done once at most for each time that the other
// side has said that it is to be woken.
func (m *machine) ring(wakes bool) {
	if !wakes {
		return
	}
	if _, ok := m.again(); ok {
		return
	}
	m.note(0)
	m.bells[1-m.side] = true
	if m.saw&1 == 0 || m.saw == m.rung[m.side] {
		m.breaks("rings for %d, and has rung for %d", m.saw, m.rung[m.side])
	}
	m.rung[m.side] = m.saw
}

// forget makes states equal that differ only in how often a side has slept or waited: of these counts the code looks at
// nothing but whether they are odd, and equal. It lowers all by as much, once what the side that looks at them is doing
// depends on none of them.
func (m *machine) forget() {
	s := &m.state
	if s.seen[writer].n == 0 {
		lower(&s.memory[atAsleep], &s.reader.sleeps, &s.writer.rung, &s.rung[writer])
	}
	if s.seen[reader].n == 0 {
		lower(&s.memory[atWaiting], &s.writer.waits, &s.reader.rung, &s.rung[reader])
	}
}

// lower lowers what a side has said, what it knows to have said, and values of it that are remembered.
func lower(said, known *uint8, remembered ...*uint8) {
	by := min(*said, *known) &^ 1
	*said -= by
	*known -= by
	for _, r := range remembered {
		*r -= min(by, *r)
	}
}

// step lets a side take a step of its operation.
func (m *machine) step(side int) {
	m.side, m.position, m.acted, m.late = side, 0, false, nil
	defer func() {
		if p := recover(); p != nil && p != (suspended{}) {
			panic(p)
		}
	}()
	next := m.run(side)
	m.doing[side], m.seen[side] = next, history{}
	m.keep(side)
}

// explore goes through all states that can be reached, and returns how many there are, or what must not be and how it
// comes to that.
func explore(w world) (states int, broken string) {
	m := newMachine(w)
	nodes := []node{{state: m.state, from: -1}}
	known := make(map[state]struct{}, 1<<17)
	known[m.state] = struct{}{}
	for at := 0; at < len(nodes); at++ {
		from := nodes[at].state
		for side := range sideNames {
			for _, doing := range m.choices(side, &from) {
				m.state = from
				m.doing[side] = doing
				m.load(side)
				if m.step(side); m.broken == "" {
					m.check()
					m.forget()
				}
				if m.broken != "" {
					nodes = append(nodes, node{m.state, int32(at), side, doing})
					return len(nodes), m.broken + story(nodes)
				}
				if _, ok := known[m.state]; !ok {
					known[m.state] = struct{}{}
					nodes = append(nodes, node{m.state, int32(at), side, doing})
				}
			}
		}
	}
	return len(nodes), ""
}

// story tells how it came to the last of the nodes. Counts are as forget has left them.
func story(nodes []node) string {
	var steps []string
	for at := len(nodes) - 1; at > 0; at = int(nodes[at].from) {
		n, s := &nodes[at], &nodes[at].state
		steps = append(steps, fmt.Sprintf("%s in %-8v published %2d ended %d asleep %d | released %2d waiting %d | bells %v",
			sideNames[n.side], n.doing, s.memory[atPublished], s.memory[atEnded], s.memory[atAsleep], s.memory[atReleased],
			s.memory[atWaiting], s.bells))
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString("\n\t" + steps[i])
	}
	return b.String()
}
