//go:build linux

package communicator

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/internal/timerqueue"
)

// Handle steers a source in its loop. It belongs to the loop's goroutine. After the source has left
// the loop its methods do nothing.
//
// Want, SetDeadline, MarkReadable, Rebind and Detach are for the author of the source. Of the
// handle of a stream, a listener or another source from elsewhere use only the others.
type Handle struct {
	loop   *Communicator
	source Source
	name   string
	cause  error

	node     timerqueue.Node
	fd       int32
	deadline int64  // on the loop's clock; 0 is none
	seq      uint64 // order of adding
	look     uint64 // the look that found it ready
	calls    uint64
	spent    int64 // in callbacks
	active   int64 // when the last callback ended, on the loop's clock
	extra    *extra
	entries  uint32 // number of its newest entry in the ready queue; older ones are void
	longest  uint32 // callback, in microseconds
	failing  uint32 // callbacks in a row for an error or a hang-up

	generation uint32 // tells this use of the slot from earlier ones
	seen       uint32 // the look that saw it last, cut
	priority   int32
	state      state
	can        ability
	want       Interest
	watched    Interest // what epoll was told
	pending    Interest // what epoll has reported and nobody has served
}

type state uint16

const (
	gone       state = 1 << iota // removed or detached: no callback but HandleClose
	disabled                     // no callback
	urgent                       // watched in the urgent epoll set
	ready                        // in the ready queue
	due                          // its deadline has come
	marked                       // by MarkReadable
	detached                     // left by Detach
	remind                       // in the ready queue by a mark
	paired                       // another stands beside it
	background                   // doesn't keep the loop running
	limited                      // has had its events of the interval
	overdue                      // its deadline had passed when it was set, or when the source was enabled
	essential                    // its failure ends the loop

	silent = disabled | limited // no callback for now
)

type ability uint8

const (
	canRead ability = 1 << iota
	canWrite
	canTimeout
	canClose
)

func abilities(s Source) (can ability) {
	if _, ok := s.(ReadHandler); ok {
		can |= canRead
	}
	if _, ok := s.(WriteHandler); ok {
		can |= canWrite
	}
	if _, ok := s.(TimeoutHandler); ok {
		can |= canTimeout
	}
	if _, ok := s.(CloseHandler); ok {
		can |= canClose
	}
	return can
}

// Loop is the loop that the source is in.
func (h *Handle) Loop() *Communicator { return h.loop }

// Name is the name given at Add, or what stands for it.
func (h *Handle) Name() string {
	if h.name != "" {
		return h.name
	}
	if s, ok := h.source.(fmt.Stringer); ok {
		return s.String()
	}
	if h.fd == NoFD {
		return fmt.Sprintf("%T", h.source)
	}
	return fmt.Sprintf("%T fd %d", h.source, h.fd)
}

// Active tells whether the source is in the loop.
func (h *Handle) Active() bool { return h.state&gone == 0 }

// Enabled tells whether the source may be called back; also while its rate keeps it from that.
func (h *Handle) Enabled() bool { return h.state&(gone|disabled) == 0 }

// standBeside lets the handle be enabled, and have the priority, as another.
func (h *Handle) standBeside(other *Handle) {
	if other.state&gone != 0 {
		return
	}
	other.state |= paired
	h.loop.beside[other] = h
	h.SetPriority(other.Priority())
	h.SetEnabled(other.Enabled())
}

// pair is the handle that stands beside this one; nil if there is none any more.
func (h *Handle) pair() *Handle {
	if h.state&paired == 0 {
		return nil
	}
	return h.loop.beside[h]
}

// SetEnabled switches the source on or off. A source that is off gets no callback, not even for
// what has already been reported in this turn; its deadline stays and, if it has passed, fires when
// the source is switched on again. If the kernel refuses to watch the descriptor the source is
// removed with that error.
func (h *Handle) SetEnabled(on bool) {
	if h.state&gone != 0 || on == (h.state&disabled == 0) {
		return
	}
	if on {
		h.state &^= disabled
		h.resume()
	} else {
		again := h.state&ready != 0 && h.state&remind != 0
		h.discardReported()
		if again {
			h.state |= marked
		}
		h.state |= disabled
		h.schedule()
	}
	h.watch()
	if other := h.pair(); other != nil {
		other.SetEnabled(on)
	}
}

// SetBackground says whether the source lets Run return although it is in the loop: see
// Options.Background.
func (h *Handle) SetBackground(on bool) {
	if h.state&gone != 0 || on == (h.state&background != 0) {
		return
	}
	h.state ^= background
	if on {
		h.loop.keeping--
	} else {
		h.loop.keeping++
	}
}

// Priority is the source's priority.
func (h *Handle) Priority() int { return int(h.priority) }

// SetPriority changes the priority, also of a source that is ready in this turn. Values beyond an
// int32 are cut to one.
func (h *Handle) SetPriority(priority int) {
	p := clampPriority(priority)
	if h.state&gone != 0 || p == h.priority {
		return
	}
	h.priority = p
	if other := h.pair(); other != nil {
		other.SetPriority(priority)
	}
	if h.state&ready != 0 {
		h.loop.ready.push(h) // the entry with the old priority is void
	}
	if (p < 0) != (h.state&urgent != 0) {
		want := h.want
		h.want = Nothing // out of one epoll set, into the other
		h.watch()
		h.state ^= urgent
		if p < 0 {
			h.loop.urgents++
		} else {
			h.loop.urgents--
		}
		h.want = want
		h.watch()
	}
}

func clampPriority(p int) int32 { return int32(min(max(p, math.MinInt32), math.MaxInt32)) }

// Interest is what the source is watched for.
func (h *Handle) Interest() Interest { return h.want }

// Want changes what the descriptor is watched for; Nothing pauses it. What the source has no
// handler for is never watched. If the kernel refuses, the source is removed with that error.
func (h *Handle) Want(want Interest) {
	if h.state&gone != 0 {
		return
	}
	h.want = want & h.able()
	if h.want == EdgeTriggered {
		h.want = Nothing
	}
	h.watch()
}

func (h *Handle) able() Interest {
	able := Nothing
	if h.can&canRead != 0 {
		able |= Read | Exceptional
	}
	if h.can&canWrite != 0 {
		able |= Write
	}
	return able | EdgeTriggered
}

// watch makes epoll agree with what the handle wants.
func (h *Handle) watch() {
	want := h.want
	if h.fd == NoFD || h.state&(gone|silent) != 0 {
		want = Nothing
	}
	if want == h.watched {
		return
	}
	err := h.loop.watch(h, want)
	if err != nil {
		h.Remove(err)
	}
}

// MarkReadable lets HandleRead run in the next turn, as if the kernel had found the descriptor
// readable. It is for a source that has read more than it could handle in one go, and for one
// without a descriptor. If the source is urgent it runs in this turn, as soon as nothing more important is
// ready. The mark of a disabled source waits until it is enabled; that of a source which does not want to
// read when its turn comes is lost.
func (h *Handle) MarkReadable() {
	if h.state&(gone|marked) != 0 || h.can&canRead == 0 {
		return
	}
	c := h.loop
	if h.state&(urgent|silent) == urgent && c.life.Load() == running {
		c.look++
		h.state |= remind
		c.enqueue(h, Read, c.look)
		return
	}
	h.state |= marked
	if h.state&silent == 0 {
		c.marked = append(c.marked, h)
	}
}

// Rebind asks the source for its descriptor again, and watches that instead of the one before. It
// is for a source whose descriptor comes later, as that of a connection being made, or changes. The
// old one must still be open; it is not closed. A number that can't be added (EBADF, ErrAdded)
// leaves the source in the loop without a descriptor; if the kernel refuses to watch the new one
// the source is removed with that error.
func (h *Handle) Rebind() error {
	if h.state&gone != 0 {
		return ErrClosed
	}
	h.loop.unbind(h)
	if err := h.loop.bind(h, h.source.FD()); err != nil {
		h.loop.bare[h.source] = h
		return err
	}
	h.watch()
	if h.state&gone != 0 {
		return h.cause
	}
	return nil
}

// Remove takes the source out of the loop at once, and closes it at the end of the turn with that
// cause; nil says that it was meant to end.
func (h *Handle) Remove(cause error) {
	if h.state&gone != 0 {
		return
	}
	h.leave()
	h.cause = cause
	h.loop.closing = append(h.loop.closing, h)
}

// Detach takes the source out of the loop at once and leaves it open: neither its Close nor
// HandleClose is called. It can be added again, to this loop or another.
func (h *Handle) Detach() {
	if h.state&gone != 0 {
		return
	}
	h.leave()
	h.state |= detached
	h.loop.forget(h)
}

// fail is Remove for an error that a callback returned, which may have removed its source itself.
func (h *Handle) fail(err error) {
	switch {
	case h.state&detached != 0:
		h.loop.log.Warn("a source that was detached failed", "source", h, "error", err)
	case h.state&gone != 0 && h.cause == nil:
		h.cause = err
	}
	h.Remove(err)
}

// discardReported forgets what was reported and has not been served.
func (h *Handle) discardReported() {
	h.loop.unqueue(h)
	h.state &^= due
	h.pending = Nothing
}

func (h *Handle) leave() {
	if h.state&paired != 0 {
		delete(h.loop.beside, h)
	}
	h.want = Nothing
	h.watch()
	h.loop.deadlines.Remove(&h.node)
	h.discardReported()
	if h.state&urgent != 0 {
		h.loop.urgents--
	}
	if h.state&background == 0 {
		h.loop.keeping--
	}
	h.state = gone | h.state&essential
	h.loop.live--
}

// LogValue is the source in a log: its name, descriptor and priority.
func (h *Handle) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", h.Name()), slog.Int("fd", int(h.fd)), slog.Int("priority", int(h.priority)))
}

// failed is, in what epoll has reported, an error or a hang-up.
const failed Interest = 1 << 7

// epoll's events for an interest, and the interest that events serve. An error or a hang-up serves
// both: the handler finds out by its own call.
func (i Interest) events() (events uint32) {
	if i&Read != 0 {
		events |= sys.Readable
	}
	if i&Write != 0 {
		events |= sys.Writable
	}
	if i&Exceptional != 0 {
		events |= sys.Exceptional
	}
	if i&EdgeTriggered != 0 {
		events |= sys.EdgeTriggered | sys.Readable | sys.Writable
	}
	return events
}

func interestOf(events uint32) (i Interest) {
	if events&(sys.HangUp|sys.Failed) != 0 {
		return Read | Write | Exceptional | failed
	}
	if events&sys.Readable != 0 {
		i |= Read
	}
	if events&sys.Writable != 0 {
		i |= Write
	}
	if events&sys.Exceptional != 0 {
		i |= Exceptional
	}
	return i
}
