//go:build linux

package timer

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/timerwheel"
)

// Set is any number of light timers behind one source of the loop, which has the name, the priority and the
// switch for all of them. Starting and stopping one takes the same short time whether there are ten or a
// million; the set itself has 13 KiB.
//
// Entries fire in the order of their moments, equal ones in the order in which they were started, never early
// by the monotonic clock, and no more than once per start. One callback of the loop serves all that are due,
// unless something more important comes up or it has had its time: then the others get their turn first.
//
// An empty set does not keep Run from returning, one with an entry does, unless Options.Background was given.
// After Shutdown no set does; its entries go on firing until the loop has ended, as what is still being finished
// may need its time-outs.
//
// All of it belongs to the loop's goroutine.
type Set struct {
	handle *communicator.Handle
	start  time.Time // moment 0 of the wheel
	armed  int64     // the moment of the handle's deadline, or never
	floor  int64     // the first moment that is not for the batch which fires now
	firing bool
	light  bool // never keeps Run from returning
	keeps  bool // does so now
	wheel  timerwheel.Wheel
}

// never is later than all moments of a set, which end after 146 years.
const never = 1 << 62

// DefaultSlack is the Slack of a Set that names none. Linux lets the sleeps of ordinary threads be as late as
// that (PR_SET_TIMERSLACK), for the same reason: of a million timers many are due at about the same time.
const DefaultSlack = 50 * time.Microsecond

// NewSet adds an empty set of timers to a loop. Of the options, Slack is how much later than it is due each entry
// may fire (zero: DefaultSlack; below 0: none), and Rate counts each that fires, and now and then a callback that
// only sorts; Deadline and Want mean nothing here. Handle.SetBackground has no effect for long: the set changes
// that itself.
func NewSet(loop *communicator.Communicator, o communicator.Options) (*Set, error) {
	s := &Set{start: time.Now(), armed: never, light: o.Background}
	o.Deadline, o.Background = time.Time{}, true
	if o.Slack == 0 {
		o.Slack = DefaultSlack
	}
	handle, err := loop.Add((*set)(s), o)
	if err != nil {
		return nil, err
	}
	s.handle = handle
	return s, nil
}

// Entry is a timer of a Set. One that Start is given may be a field of something else; it is 48 bytes then, and
// nothing is allocated. Its zero value is not active. It must not be copied while it is active, and belongs to
// one set at a time. After it has fired it still holds its function.
type Entry struct {
	node timerwheel.Node // the first field: see entryOf
	_    noCopy
	set  *Set
	f    func(*Entry)
}

// entryOf is the entry whose node that is.
func entryOf(n *timerwheel.Node) *Entry { return (*Entry)(unsafe.Pointer(n)) }

// After calls f once, after d, on the loop's goroutine; a d of 0 or less means in the next turn. f may stop,
// reset and start any entry, its own too, and close the set. Of a set that has left the loop the entry is not
// active, and never fires.
func (s *Set) After(d time.Duration, f func(*Entry)) *Entry {
	e := &Entry{}
	s.Start(e, d, f)
	return e
}

// Start is After for an entry that the caller provides. One that is active is moved, and has the new function
// from now on; it leaves another set for this.
func (s *Set) Start(e *Entry, d time.Duration, f func(*Entry)) {
	if f == nil {
		panic("timer: nil function")
	}
	if e.set != s {
		e.Stop()
		e.set = s
	}
	e.f = f
	e.Reset(d)
}

// Len is the number of entries that are active.
func (s *Set) Len() int { return s.wheel.Len() }

// Handle is the set's place in its loop.
func (s *Set) Handle() *communicator.Handle { return s.handle }

// Close takes the set out of the loop and stops all entries: none is called any more, not even one that is due
// in this turn. It takes about 0.1 µs for each of them. Where the set leaves the loop in another way, they are
// stopped when the loop closes it.
func (s *Set) Close() {
	s.handle.Remove(nil)
	s.wheel.Clear()
}

// Reset lets the entry call its function after d from now, whether it is active, has fired or was stopped. It
// returns false, and does nothing, for an entry that was never started and for one whose set has left the loop.
func (e *Entry) Reset(d time.Duration) bool {
	s := e.set
	if s == nil || !s.handle.Active() {
		return false
	}
	now := s.clock()
	when := max(s.floor, now+min(max(0, int64(d)), never-1-now))
	s.wheel.Set(&e.node, when)
	if s.firing {
		return true // HandleTimeout looks at the rest
	}
	if when < s.armed {
		s.arm(when)
	}
	s.keep()
	return true
}

// Stop lets the entry not fire, not even if it is due in this turn. It returns false if it was not active.
func (e *Entry) Stop() bool {
	s := e.set
	if s == nil || !s.wheel.Remove(&e.node) {
		return false
	}
	if !s.firing {
		s.keep()
	}
	return true
}

// Active tells whether the entry is going to fire. Within its function it is not, until that starts it again.
func (e *Entry) Active() bool { return e.node.Queued() }

// Due is when the entry fires; if it is not active, when it would have fired or ought to have. Zero if it was
// never started.
func (e *Entry) Due() time.Time {
	if e.set == nil {
		return time.Time{}
	}
	return e.set.start.Add(time.Duration(e.node.When()))
}

// clock is the time now. The loop's own, when its callback began, would be too early to count from.
func (s *Set) clock() int64 { return int64(time.Since(s.start)) }

// arm sets the deadline of the source. It stays when the entry is stopped that it was set for: one wake-up for
// nothing costs less than keeping up with all that is stopped.
func (s *Set) arm(when int64) {
	s.armed = when
	s.handle.SetDeadline(s.start.Add(time.Duration(when)))
}

// keep lets the set keep Run from returning while it has an entry.
func (s *Set) keep() {
	if keeps := s.wheel.Len() > 0 && !s.light; keeps != s.keeps {
		s.keeps = keeps
		s.handle.SetBackground(!keeps)
	}
}

// set is a Set as the loop sees it.
type set Set

func (t *set) FD() int { return communicator.NoFD }

func (t *set) String() string { return fmt.Sprintf("set of %d timers", t.wheel.Len()) }

func (t *set) HandleTimeout(h *communicator.Handle) error {
	s := (*Set)(t)
	now := s.clock()
	s.armed, s.floor, s.firing = never, now+1, true
	for {
		n, _ := s.wheel.Pop(now)
		if n == nil { // nothing is due, or a part of a slot was moved: then that goes on in the next turn
			break
		}
		e := entryOf(n)
		e.f(e)
		if when, ok := s.wheel.Next(); !ok || when > now || !h.Continue() {
			break
		}
	}
	s.firing = false
	if when, ok := s.wheel.Next(); ok {
		s.arm(when)
	}
	s.keep()
	return nil
}

// HandleShutdown lets what is still being finished have its time-outs, but waits for none of them.
func (t *set) HandleShutdown(h *communicator.Handle) {
	t.light = true
	h.SetBackground(true)
}

func (t *set) Close() error {
	t.wheel.Clear()
	return nil
}

// noCopy lets go vet complain of a copy.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
