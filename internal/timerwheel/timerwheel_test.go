package timerwheel_test

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/internal/timerwheel"
)

const (
	tick  = int64(1) << 22
	day   = int64(24 * 60 * 60 * 1e9)
	never = math.MaxInt64
)

// item is what the tests put into a wheel. The node is its first field, so that its address is the item's.
type item struct {
	node  timerwheel.Node
	when  int64
	order int
	index int // in the model
}

func itemOf(n *timerwheel.Node) *item { return (*item)(unsafe.Pointer(n)) }

// model is a wheel, and what has to be in it.
type model struct {
	t     testing.TB
	wheel timerwheel.Wheel
	items []*item
	now   int64
	order int
}

func (m *model) set(it *item, when int64) {
	if !it.node.Queued() {
		it.index = len(m.items)
		m.items = append(m.items, it)
	}
	m.order++
	it.when, it.order = when, m.order
	m.wheel.Set(&it.node, when)
	if !it.node.Queued() || it.node.When() != when {
		m.t.Fatalf("set to %d, but queued %v for %d", when, it.node.Queued(), it.node.When())
	}
}

// drop takes an item out of the model.
func (m *model) drop(it *item) {
	last := m.items[len(m.items)-1]
	m.items[it.index], last.index = last, it.index
	m.items = m.items[:len(m.items)-1]
}

func (m *model) remove(it *item) {
	queued := it.node.Queued()
	if queued {
		m.drop(it)
	}
	if removed := m.wheel.Remove(&it.node); removed != queued || it.node.Queued() {
		m.t.Fatalf("Remove answers %v of a node that was queued %v, and is %v", removed, queued, it.node.Queued())
	}
}

// pop moves the clock, and takes out what is due, no more than that many.
func (m *model) pop(now int64, most int) {
	m.now = now
	var last *item
	moves := 0
	for most > 0 {
		n, more := m.wheel.Pop(now)
		if n == nil {
			if more {
				if moves++; moves > 10+len(m.items) {
					m.t.Fatal("there is always more to move")
				}
				continue
			}
			for _, it := range m.items {
				if it.when <= now {
					m.t.Fatalf("at %d one that is due at %d stayed", now, it.when)
				}
			}
			return
		}
		most--
		it := itemOf(n)
		if it.when > now || n.Queued() || n.When() != it.when {
			m.t.Fatalf("at %d one of %d came for %d, queued %v", now, it.when, n.When(), n.Queued())
		}
		if last != nil && cmp.Or(cmp.Compare(last.when, it.when), cmp.Compare(last.order, it.order)) >= 0 {
			m.t.Fatalf("%d, set as %d, came after %d, set as %d", it.when, it.order, last.when, last.order)
		}
		if it.index >= len(m.items) || m.items[it.index] != it {
			m.t.Fatal("one came that isn't there")
		}
		m.drop(it)
		last = it
	}
}

// check holds what the wheel says of itself.
func (m *model) check() {
	if m.wheel.Len() != len(m.items) {
		m.t.Fatalf("%d in the wheel, want %d", m.wheel.Len(), len(m.items))
	}
	next, ok := m.wheel.Next()
	if ok != (len(m.items) > 0) {
		m.t.Fatalf("Next says %v of %d items", ok, len(m.items))
	}
	if !ok {
		return
	}
	first := slices.MinFunc(m.items, func(a, b *item) int { return cmp.Compare(a.when, b.when) }).when
	if next > first {
		m.t.Fatalf("next is %d, later than %d", next, first)
	}
	if len(m.items) <= 8 && next != first && next > m.now {
		m.t.Fatalf("next is %d of %d items, want %d", next, len(m.items), first)
	}
}

// TestAgainstModel plays random operations with distances of all lengths.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := &model{t: t}
		all := make([]*item, 300<<seed)
		for i := range all {
			all[i] = &item{}
		}
		// A length at random, and within it a distance at random; a few are equal, or have passed.
		away := func() int64 {
			switch rng.IntN(12) {
			case 0:
				return -rng.Int64N(5 * tick)
			case 1:
				return tick * rng.Int64N(4)
			}
			return rng.Int64N(1 << (1 + rng.IntN(55)))
		}
		for range 40_000 {
			it := all[rng.IntN(len(all))]
			switch op := rng.IntN(16); {
			case op < 10:
				m.set(it, m.now+away())
			case op < 13:
				m.remove(it)
				m.remove(it)
			case op < 14:
				m.pop(m.now+rng.Int64N(1<<(1+rng.IntN(40))), 1+rng.IntN(4)) // and others later
			default:
				m.pop(m.now+rng.Int64N(1<<(1+rng.IntN(40))), never)
			}
			if rng.IntN(16) == 0 {
				m.check()
			}
		}
		m.pop(never, never)
		m.check()
	}
}

// TestLargeSlots: slots that one Pop can't spread, with changes between the pieces.
func TestLargeSlots(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := &model{t: t}
	all := make([]item, 20_000)
	begin := 70_000 * tick // on the third level
	for i := range all {
		m.set(&all[i], begin+rng.Int64N(3*tick))
	}
	moved := 0
	for popped := 0; m.wheel.Len() > 0; {
		now := begin + 3*tick
		n, more := m.wheel.Pop(now)
		if n == nil && !more {
			t.Fatalf("%d are left", m.wheel.Len())
		}
		if n != nil {
			m.drop(itemOf(n))
			popped++
			continue
		}
		moved++
		if popped > 0 {
			continue
		}
		if next, _ := m.wheel.Next(); next > now {
			t.Fatalf("next is %d while there is something to do at %d", next, now)
		}
		for range 50 {
			it := &all[rng.IntN(len(all))]
			switch rng.IntN(3) {
			case 0:
				m.remove(it)
			case 1:
				m.set(it, now-rng.Int64N(tick))
			default:
				m.set(it, now+1+rng.Int64N(tick))
			}
		}
		if m.wheel.Len() != len(m.items) {
			t.Fatalf("%d in the wheel, want %d", m.wheel.Len(), len(m.items))
		}
		if moved > 12 {
			m.pop(now, never)
			m.pop(now+2*tick, never)
		}
	}
	if moved < 10 {
		t.Errorf("20000 nodes were moved in %d pieces", moved)
	}
}

// TestOneTick: what is due in the same tick is in order, whatever is removed and moved among it.
func TestOneTick(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		m := &model{t: t}
		all := make([]item, 1000)
		for i := range all {
			m.set(&all[i], rng.Int64N(tick))
		}
		for range 2 * len(all) {
			if it := &all[rng.IntN(len(all))]; rng.IntN(2) == 0 {
				m.remove(it)
			} else {
				m.set(it, rng.Int64N(tick))
			}
		}
		m.pop(tick/2, never)
		m.check()
		m.pop(tick, never)
	}
}

// TestEmptiedWhileSpreading: all that a slot still holds is removed between two pieces. The first comes last.
func TestEmptiedWhileSpreading(t *testing.T) {
	m := &model{t: t}
	all := make([]item, 5000)
	for i := range all {
		m.set(&all[i], 300*tick+int64(i)*tick/100)
	}
	m.now = 300 * tick
	if n, more := m.wheel.Pop(m.now); n != nil || !more {
		t.Fatalf("Pop answers %v, %v", n, more)
	}
	m.check()
	for i := range all[1:] {
		m.remove(&all[i])
	}
	m.check()
	m.pop(400*tick, never)
	m.check()
}

// TestFarAway: what passes unused costs nothing, and what is years away comes in order. Going through each
// slot on the way would take hours.
func TestFarAway(t *testing.T) {
	m := &model{t: t}
	for _, when := range []int64{never, never - 1, never, 290 * 365 * day, 53 * day, 52 * day, 1 << 52, 1<<52 - 1, 1 << 60, 0, -5, math.MinInt64} {
		m.set(&item{}, when)
	}
	for now := int64(0); now < 100*365*day; now += day - 12_345 {
		m.pop(now, never)
	}
	m.check()
	m.pop(never-1, never)
	if m.check(); m.wheel.Len() != 2 {
		t.Errorf("%d are left, want 2", m.wheel.Len())
	}
	m.pop(never, never)
	m.set(&item{}, 5) // has passed
	m.pop(never, never)
	m.check()
}

// TestNext: woken up when Next says so, and only then, what is alone is popped with one look; what has
// many about it with one look a level at most.
func TestNext(t *testing.T) {
	for _, many := range []int{1, 100} {
		m := &model{t: t}
		for _, when := range []int64{7, 3 * tick, 300 * tick, 70_000 * tick, 1 << 50, 1 << 61} {
			for i := range many {
				m.set(&item{}, when+int64(i)*tick/128)
			}
		}
		looks := 0
		for {
			now, ok := m.wheel.Next()
			if !ok {
				break
			}
			looks++
			m.pop(now, never)
		}
		most := 6 * many
		if many > 1 {
			most += 6 * 5
		}
		if looks > most {
			t.Errorf("%d looks for 6 times %d, want %d at most", looks, many, most)
		}
	}
}

func TestClear(t *testing.T) {
	m := &model{t: t}
	all := make([]item, 3000)
	for i := range all {
		m.set(&all[i], int64(i)*int64(i)*tick/1000)
	}
	m.pop(100*tick, 10)
	m.wheel.Clear()
	for i := range all {
		if all[i].node.Queued() || m.wheel.Remove(&all[i].node) {
			t.Fatalf("item %d is still there", i)
		}
	}
	m.items = nil
	m.check()
	for i := range all {
		m.set(&all[i], 150*tick-int64(i))
	}
	m.check()
	m.pop(200*tick, never)
	m.check()
}

// FuzzWheel takes its input for operations of nine bytes: what, on which of 64 nodes, and when.
func FuzzWheel(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc0\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("\x01\x00\x00\x10\x00\x00\x00\x00\x00\x02\x00\x00\x20\x00\x00\x00\x00\x00\x81\x00\x00\x00\x10\x00\x00\x00\x00\xc2\x00\x00\x00\x40\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 9*200 {
			return
		}
		m := &model{t: t}
		var all [64]item
		for ; len(ops) >= 9; ops = ops[9:] {
			it, arg := &all[ops[0]&63], int64(binary.LittleEndian.Uint64(ops[1:]))
			switch ops[0] >> 6 {
			case 0, 1:
				m.set(it, arg)
			case 2:
				m.remove(it)
			case 3:
				m.pop(max(m.now, arg), never)
			}
			m.check()
		}
		m.pop(never, never)
		m.check()
	})
}
