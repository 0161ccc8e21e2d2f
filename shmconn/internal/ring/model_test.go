package ring_test

import (
	"strings"
	"testing"
)

// world is what is to be explored.
type world struct {
	capacity int
	sizes    []int // of the records, with their heads: multiples of 8, so that half of the ring has room for any
	try      int   // the size of a record that the writer tries while it waits for room; 0: it doesn't
	drain    int   // after how many records the writer waits until all are read, by Lack; 0: never
	stages   bool  // the writer may publish several records at once
	stream   bool  // the writer is Transport.Write, which begins anew when its bell rings; else it is a RecordConn
	stops    bool  // the reader may read no more, at any time
	holds    bool  // the reader may sleep or stop before it has released all, and release later
	code     code
}

// code is the code under test, in the pieces that a mutant replaces.
type code struct {
	publish func(*modelWriter) (ring bool)
	end     func(*modelWriter, uint64) (ring bool)
	wait    func(*modelWriter) (room bool, err error)
	waited  func(*modelWriter) // what comes before wait when the bell has rung
	release func(*modelReader)
	// released is Release, and Wakes.
	released func(c *code, r *modelReader, now bool) (ring bool)
	wakes    func(r *modelReader, now bool) (ring bool)
	awake    func(*modelReader)
	sleep    func(*modelReader) (more bool)
	ended    func(*modelReader) (uint64, error)
	// Whether Wakes is told so when the reader is not going to read soon: when it sleeps, when it stops, and when it
	// releases records after it has stopped.
	nowAsleep, nowStopping, nowStopped bool
}

var realCode = code{
	publish:  (*modelWriter).Publish,
	end:      (*modelWriter).End,
	wait:     (*modelWriter).Wait,
	waited:   (*modelWriter).Waited,
	release:  (*modelReader).Release,
	released: func(c *code, r *modelReader, now bool) bool { c.release(r); return c.wakes(r, now) },
	wakes:    (*modelReader).Wakes,
	awake:    (*modelReader).Awake,
	sleep:    (*modelReader).Sleep,
	ended:    (*modelReader).Ended,

	nowAsleep: true, nowStopping: true, nowStopped: true,
}

// worlds are what the two sides do. In a ring that holds two records of 8 bytes the writer waits for room often.
var worlds = map[string]world{
	"one by one":         {capacity: 16, sizes: []int{8, 8, 8, 8}},
	"stream":             {capacity: 16, sizes: []int{8, 8, 8, 8}, stream: true},
	"batches":            {capacity: 16, sizes: []int{8, 8, 8}, stages: true},
	"reader that stops":  {capacity: 16, sizes: []int{8, 8, 8, 8}, stops: true},
	"reader that holds":  {capacity: 16, sizes: []int{8, 8, 8}, holds: true},
	"pads":               {capacity: 32, sizes: []int{8, 16, 16, 16}},
	"pads, none at half": {capacity: 64, sizes: []int{8, 16, 16, 16, 16}},
	"batches and pads":   {capacity: 32, sizes: []int{8, 16, 16}, stages: true},
	"another record":     {capacity: 32, sizes: []int{16, 8, 16}, try: 8},
	"until all is read":  {capacity: 32, sizes: []int{8, 8, 8, 8, 8}, drain: 3},
	"stops in a stream":  {capacity: 32, sizes: []int{8, 8, 8, 8, 8}, stops: true, stream: true},
	"stops and holds":    {capacity: 32, sizes: []int{8, 8, 8, 8, 8}, stops: true, holds: true},
	"everything":         {capacity: 16, sizes: []int{8, 8, 8}, stops: true, holds: true, try: 8},
}

// TestModel goes through all that can happen in each of the worlds in which the reader goes on reading: no side sleeps
// while there is something for it and its bell hasn't been rung, every record comes once, in order and whole, and no bell
// is rung twice for one sleep.
func TestModel(t *testing.T) {
	testWorlds(t, func(w world) bool { return !w.stops && !w.holds })
}

// TestModelResting is the same with a reader that may rest with something left to read, or to release.
func TestModelResting(t *testing.T) {
	testWorlds(t, func(w world) bool { return w.stops || w.holds })
}

func testWorlds(t *testing.T, choose func(world) bool) {
	t.Helper()
	skipUnderRace(t)
	for name, w := range worlds {
		if !choose(w) {
			continue
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w.code = realCode
			states, broken := explore(w)
			if broken != "" {
				t.Fatal(broken)
			}
			t.Logf("%d states", states)
		})
	}
}

// Texts of what breaks.
const (
	unread      = "reader: sleeps, and there is something to read"
	unheardEnd  = "reader: sleeps, and the writer has ended"
	lost        = "reader: comes to the end with"
	overwritten = "was overwritten while it was in use"
	unusedRoom  = "writer: sleeps, and there is the room that it wants"
	rings       = "rings for"
)

// TestMutants holds that the model would find what could be wrong with the code.
func TestMutants(t *testing.T) {
	skipUnderRace(t)
	for _, mutant := range []struct {
		name, world string
		change      func(c *code)
		breaks      string
	}{
		{"the writer looks whether the reader sleeps before it publishes", "one by one", func(c *code) {
			c.publish = func(w *modelWriter) bool {
				if !w.Unpublished() {
					return false
				}
				ring := w.wakes()
				w.shown = w.next
				w.published.Store(w.next)
				return ring
			}
		}, unread},
		{"the writer never rings", "one by one", func(c *code) {
			c.publish = func(w *modelWriter) bool { w.Publish(); return false }
		}, unread},
		{"the writer forgets what it has rung for", "one by one", func(c *code) {
			c.publish = func(w *modelWriter) bool {
				w.rung = 0
				return w.Publish()
			}
		}, "writer: " + rings},
		{"the writer remembers that it has rung, and not for which sleep", "one by one", func(c *code) {
			c.publish = func(w *modelWriter) bool {
				rung := w.rung
				ring := w.Publish()
				return ring && rung == 0
			}
		}, unread},
		{"the writer has rung for a sleep for which it hasn't", "one by one", func(c *code) {
			c.publish = func(w *modelWriter) bool {
				ring := w.Publish()
				w.rung |= 1 // the sleep that comes
				return ring
			}
		}, unread},
		{"the writer ends before it publishes", "batches", func(c *code) {
			c.end = func(w *modelWriter, how uint64) bool {
				w.ended.Store(how)
				w.published.Store(w.next)
				w.shown = w.next
				return w.wakes()
			}
		}, lost},
		{"the writer looks whether the reader sleeps before it ends", "one by one", func(c *code) {
			c.end = func(w *modelWriter, how uint64) bool {
				ring := w.wakes()
				w.ended.Store(how)
				return ring
			}
		}, unheardEnd},
		{"the writer waits and doesn't look for room once more", "one by one", func(c *code) {
			c.wait = func(w *modelWriter) (bool, error) {
				if w.waits&1 == 0 {
					w.waits++
					w.waiting.Store(w.waits)
				}
				return false, nil
			}
		}, unusedRoom},
		{"the writer looks for room before it says that it waits", "one by one", func(c *code) {
			c.wait = func(w *modelWriter) (bool, error) {
				room, err := w.Room()
				if !room && w.waits&1 == 0 {
					w.waits++
					w.waiting.Store(w.waits)
				}
				return room, err
			}
		}, unusedRoom},
		{"the writer doesn't say again that it waits when there was too little room", "until all is read", func(c *code) {
			c.waited = func(*modelWriter) {}
		}, unusedRoom},
		{"the same in a stream", "stops in a stream", func(c *code) {
			c.waited = func(*modelWriter) {}
		}, unusedRoom},
		{"the writer says each time with the same value that it waits", "one by one", func(c *code) {
			c.waited = func(w *modelWriter) {
				w.Waited()
				w.waits = 0
			}
			c.wait = func(w *modelWriter) (room bool, err error) {
				w.waiting.Store(1)
				w.waits = 1
				if room, err = w.Room(); room {
					c.waited(w)
				}
				return room, err
			}
		}, unusedRoom},
		{"the reader sleeps and doesn't look once more", "one by one", func(c *code) {
			c.sleep = func(r *modelReader) bool {
				if r.sleeps&1 == 0 {
					r.sleeps++
					r.asleep.Store(r.sleeps)
				}
				return false
			}
		}, unread},
		{"the reader looks before it says that it sleeps", "one by one", func(c *code) {
			c.sleep = func(r *modelReader) bool {
				more := r.More()
				if !more && r.sleeps&1 == 0 {
					r.sleeps++
					r.asleep.Store(r.sleeps)
				}
				return more
			}
		}, unread},
		{"the reader looks once more, and not whether the writer has ended", "one by one", func(c *code) {
			c.sleep = func(r *modelReader) bool {
				if r.sleeps&1 == 0 {
					r.sleeps++
					r.asleep.Store(r.sleeps)
				}
				if !r.Left() {
					return false
				}
				r.Awake()
				return true
			}
		}, unheardEnd},
		{"the reader doesn't say that it sleeps no more", "one by one", func(c *code) {
			c.awake = func(*modelReader) {}
		}, unread},
		{"the reader says each time with the same value that it sleeps", "one by one", func(c *code) {
			c.awake = func(r *modelReader) {
				r.Awake()
				r.sleeps = 0
			}
		}, unread},
		{"the reader looks whether the writer waits before it releases", "reader that holds", func(c *code) {
			c.released = func(c *code, r *modelReader, now bool) bool {
				ring := c.wakes(r, now)
				c.release(r)
				return ring
			}
		}, unusedRoom},
		{"the reader releases before it reads", "one by one", func(c *code) {
			c.awake = func(r *modelReader) {
				r.Awake()
				if r.Look() == nil {
					r.release(r.seen, 0)
				}
			}
		}, overwritten},
		{"the reader forgets what it has rung for", "one by one", func(c *code) {
			c.wakes = func(r *modelReader, now bool) bool {
				r.rung = 0
				return r.Wakes(now)
			}
		}, "reader: " + rings},
		{"the reader remembers that it has rung, and not for which wait", "one by one", func(c *code) {
			c.wakes = func(r *modelReader, now bool) bool {
				rung := r.rung
				return r.Wakes(now) && rung == 0
			}
		}, unusedRoom},
		{"the reader has rung when half of the ring isn't read yet", "stops in a stream", func(c *code) {
			c.wakes = func(r *modelReader, now bool) bool {
				waiting := r.waiting.Load()
				if waiting&1 == 0 || waiting == r.rung {
					return false
				}
				r.rung = waiting
				return now || int(r.seen-r.next) <= len(r.data)/2
			}
		}, unusedRoom},
		{"the reader doesn't ring when it stops", "stops in a stream", func(c *code) {
			c.nowStopping = false
		}, unusedRoom},
		{"the reader doesn't ring when it releases after it has stopped", "stops and holds", func(c *code) {
			c.nowStopped = false
		}, unusedRoom},
		{"the reader looks for the end after it has looked for more", "one by one", func(c *code) {
			c.ended = func(r *modelReader) (uint64, error) {
				if err := r.Look(); err != nil || r.next != r.seen {
					return 0, err
				}
				return r.ended.Load(), nil
			}
		}, lost},
	} {
		t.Run(strings.ReplaceAll(mutant.name, " ", "_"), func(t *testing.T) {
			w, ok := worlds[mutant.world]
			if !ok {
				t.Fatalf("there is no world %q", mutant.world)
			}
			w.code = realCode
			mutant.change(&w.code)
			states, broken := explore(w)
			if !strings.Contains(broken, mutant.breaks) {
				t.Errorf("not found in %d states, but: %s", states, broken)
			}
			t.Logf("found in %d states: %s", states, broken)
		})
	}
}

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("the model is one goroutine: the race detector finds nothing in it, and makes it take ten times as long")
	}
}
