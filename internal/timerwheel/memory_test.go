package timerwheel_test

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/internal/timerwheel"
)

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(timerwheel.Node{}); size > 32 {
		t.Errorf("a node has %d bytes, want 32", size)
	}
}

// TestAllocations: a node that is set and removed allocates nothing.
func TestAllocations(t *testing.T) {
	var w timerwheel.Wheel
	var n [100]timerwheel.Node
	now := int64(0)
	round := func() {
		for i := range n {
			w.Set(&n[i], now+int64(i)*tick/3)
		}
		w.Remove(&n[5])
		for now += 50 * tick; ; {
			if _, more := w.Pop(now); !more {
				return
			}
		}
	}
	round()
	if got := testing.AllocsPerRun(100, round); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestMemory: the heap gives back what a large tick has made it grow to.
func TestMemory(t *testing.T) {
	const nodes = 200_000
	w := &timerwheel.Wheel{}
	n := make([]timerwheel.Node, nodes)
	used := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := used()
	for i := range n {
		w.Set(&n[i], int64(i))
	}
	if grown := used() - before; grown < 16*nodes || grown > 32*nodes {
		t.Errorf("%d bytes for a heap of %d nodes", grown, nodes)
	}
	for range n {
		if first, _ := w.Pop(tick); first == nil {
			t.Fatal("nothing is due")
		}
	}
	if first, more := w.Pop(tick); first != nil || more {
		t.Fatal("there is more than was put in")
	}
	if grown := used() - before; grown > nodes {
		t.Errorf("%d bytes are left", grown)
	}
	runtime.KeepAlive(n)
	runtime.KeepAlive(w)
}
