//go:build linux

package communicator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/internal/timerqueue"
)

// How many events are asked for at once: while something urgent is in the loop no more than a piece,
// because asking keeps it waiting, and else as many as there may well be.
const (
	piece = 64
	whole = 1024
)

const (
	// BufferSize is the size in bytes of the loop's buffers, and so the most that a stream reads in
	// one callback. 64 KiB is where larger reads from a socket stop to pay.
	BufferSize = 64 << 10
	// DefaultSlowCallback is the time after which a callback is reported.
	DefaultSlowCallback = 500 * time.Millisecond
	// DefaultMaxPosted is how many posted functions may wait.
	DefaultMaxPosted = 1 << 20
	// LookInterval is the least time between two looks at the urgent descriptors within a turn. A
	// look costs about 0.3 µs and an ordinary I/O callback 5 µs or more, so that an urgent source
	// waits for one such callback, and for a handful of the very short ones.
	LookInterval = 5 * time.Microsecond
)

// Config says how a loop works. The zero value is right for most.
type Config struct {
	// Logger receives removals (at debug level, at warning level when a source that doesn't handle
	// its own closing failed) and slow callbacks. Nil: logrus' standard logger.
	Logger *slog.Logger
	// SlowCallback is the time after which a callback is reported. Zero: DefaultSlowCallback; below
	// 0: never.
	SlowCallback time.Duration
	// OnSlow is called after a slow callback, on the loop's goroutine, besides the log. h is nil
	// for a posted function. Nil: only the log.
	OnSlow func(h *Handle, took time.Duration)
	// Observer is told of every callback: see package communicator/inspect. Nil: nobody is.
	Observer Observer
	// MaxPosted is how many posted functions may wait. Zero: DefaultMaxPosted.
	MaxPosted int
}

// Communicator is a run loop. Make one with New.
type Communicator struct {
	config  Config
	log     *slog.Logger
	start   time.Time
	now     int64 // time since start at the last look at the clock, in nanoseconds
	began   int64 // when the callback that is running now began
	woken   int64 // when the turn began
	yielded int64 // when others could last run on this processor, on the same clock
	slow    int64

	epfd, urgentfd, timerfd, wakefd int

	slots      []*Handle          // by descriptor
	bare       map[Source]*Handle // those without a descriptor
	beside     map[*Handle]*Handle
	generation uint32
	seq        uint64
	live       int // handles in the loop
	keeping    int // those of them that keep it running
	urgents    int // those of them that are urgent
	urgent     int // descriptors in the urgent set

	events    []sys.Event
	ready     readyQueue
	look      uint64 // counts the turns' looks and those between
	turnLook  uint64 // the look with which the turn began
	queued    int    // handles in the ready queue
	left      int    // those of them that are ready since the turn began, or longer
	nextLook  int64  // when the urgent descriptors may be looked at again
	deadlines timerqueue.Queue[*Handle]
	armed     int64 // when the timer descriptor fires; 0 is never
	marked    []*Handle
	closing   []*Handle
	deferred  []func()
	after     []func()
	exits     []func(cause error)
	observer  Observer
	observed  bool    // it was told of the beginning of the callback that is running now,
	calling   *Handle // which is of this source,
	call      Call    // and of this kind
	ending    bool    // Run is about to return: nothing but what ends is called
	finishing bool    // nothing can be added any more
	woke      bool    // this turn made another goroutine runnable
	counted   bool    // Continue has counted all that the callback which is running now has served
	limit     int64   // when a shutdown has to be over; 0 is none

	life     atomic.Int32
	loopID   atomic.Uint64 // the goroutine of Run
	stopping atomic.Bool
	posts    posts
	stats    Stats

	readBuffer, rawBuffer, writeBuffer []byte
}

// life of a loop
const (
	fresh int32 = iota
	running
	over
)

// slots of epoll data that are no source's
const (
	wakeSlot int32 = -1 - iota
	timerSlot
	urgentSlot
)

// New makes a loop. It holds four descriptors until Run returns; a loop that never runs gives them
// back with Close.
func New(config Config) (_ *Communicator, err error) {
	c := &Communicator{
		config: config, log: logger.Or(config.Logger), start: time.Now(),
		epfd: NoFD, urgentfd: NoFD, timerfd: NoFD, wakefd: NoFD,
		events: make([]sys.Event, whole), bare: map[Source]*Handle{}, beside: map[*Handle]*Handle{},
	}
	c.observer = config.Observer
	c.slow = int64(config.SlowCallback)
	if c.slow == 0 {
		c.slow = int64(DefaultSlowCallback)
	}
	c.posts.max = config.MaxPosted
	if c.posts.max == 0 {
		c.posts.max = DefaultMaxPosted
	}
	defer func() {
		if err != nil {
			c.closeDescriptors()
			err = fmt.Errorf("communicator: %w", err)
		}
	}()
	for _, d := range []struct {
		fd     *int
		make   func() (int, error)
		slot   int32
		events uint32
	}{
		{&c.epfd, sys.EpollCreate, 0, 0},
		{&c.urgentfd, sys.EpollCreate, urgentSlot, sys.Readable},
		{&c.timerfd, sys.TimerFD, timerSlot, sys.Readable | sys.EdgeTriggered},
		{&c.wakefd, sys.EventFD, wakeSlot, sys.Readable | sys.EdgeTriggered},
	} {
		if *d.fd, err = d.make(); err != nil {
			return nil, err
		}
		if d.slot != 0 {
			if err = sys.EpollAdd(c.epfd, *d.fd, d.events, d.slot, 0); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *Communicator) closeDescriptors() {
	for _, fd := range []*int{&c.wakefd, &c.timerfd, &c.urgentfd, &c.epfd} {
		if *fd != NoFD {
			_ = sys.Close(*fd)
			*fd = NoFD
		}
	}
}

// Add puts a source into the loop. Its errors are ErrClosed, ErrAdded, ErrNoHandler, ErrNotPointer, ErrRate,
// and what the kernel says of the descriptor: EBADF, EPERM for a file that can't be waited for,
// ENOSPC for too many. After an error the source is as it was; it has not been closed.
func (c *Communicator) Add(source Source, o Options) (*Handle, error) {
	if source == nil {
		panic("communicator: Add of a nil source")
	}
	c.mustBeMade()
	if c.life.Load() == over || c.finishing {
		return nil, ErrClosed
	}
	h := &Handle{
		loop: c, source: source, name: o.Name, fd: NoFD, seq: c.seq, priority: clampPriority(o.Priority),
		can: abilities(source),
	}
	if !reflect.ValueOf(source).Comparable() {
		return nil, ErrNotPointer
	}
	if h.can&(canRead|canWrite|canTimeout) == 0 {
		return nil, ErrNoHandler
	}
	if h.want = o.Want & h.able(); o.Want&^EdgeTriggered == Nothing {
		if h.can&canRead != 0 {
			h.want |= Read
		} else {
			h.want |= Write & h.able()
		}
	}
	var err error
	if h.extra, err = o.needs(); err != nil {
		return nil, err
	}
	if h.priority < 0 {
		h.state |= urgent
	}
	if o.Background {
		h.state |= background
	}
	if o.Essential {
		h.state |= essential
	}
	if o.Disabled {
		h.state |= disabled
	}
	if err := c.bind(h, source.FD()); err != nil {
		return nil, err
	}
	c.seq++
	c.live++
	if !o.Background {
		c.keeping++
	}
	if h.state&urgent != 0 {
		c.urgents++
	}
	h.watch()
	if h.state&gone != 0 { // the kernel refused
		c.closing = c.closing[:len(c.closing)-1]
		c.forget(h)
		return nil, fmt.Errorf("communicator: add %s: %w", h.Name(), h.cause)
	}
	h.SetDeadline(o.Deadline)
	if o.Beside != nil {
		h.standBeside(o.Beside)
	}
	return h, nil
}

// bind enters the handle where its events, and a second Add, will find it.
func (c *Communicator) bind(h *Handle, fd int) error {
	if fd == NoFD {
		if _, found := c.bare[h.source]; found {
			return ErrAdded
		}
		c.bare[h.source] = h
		return nil
	}
	if fd < 0 || fd >= len(c.slots) {
		if err := sys.CheckDescriptor(fd); err != nil { // rather than make room for a number that means nothing
			return fmt.Errorf("communicator: add %s: %w", h.Name(), err)
		}
		c.slots = append(c.slots, make([]*Handle, max(64, len(c.slots), fd+1-len(c.slots)))...)
	}
	// A removed source may have closed its descriptor itself, and the number be in use again.
	if old := c.slots[fd]; old != nil && (old.Active() || old.source == h.source) {
		return ErrAdded
	}
	c.slots[fd] = h
	c.generation++
	h.fd, h.generation = int32(fd), c.generation
	return nil
}

// unbind undoes bind.
func (c *Communicator) unbind(h *Handle) {
	want := h.want
	h.want = Nothing
	h.watch()
	h.want = want
	c.forget(h)
	h.fd = NoFD
	h.pending = Nothing
}

// forget frees the handle's entry.
func (c *Communicator) forget(h *Handle) {
	switch {
	case h.fd == NoFD:
		delete(c.bare, h.source)
	case c.slots[h.fd] == h:
		c.slots[h.fd] = nil
	}
}

// watch tells epoll what a handle wants.
func (c *Communicator) watch(h *Handle, want Interest) error {
	set := c.epfd
	if h.state&urgent != 0 {
		set = c.urgentfd
	}
	before := h.watched
	h.watched = want
	fd, slot := int(h.fd), h.fd
	switch {
	case want == Nothing:
		if set == c.urgentfd {
			c.urgent--
		}
		if err := sys.EpollDelete(set, fd); err != nil {
			c.log.Warn("a descriptor was closed while its source was in the loop", "source", h, "error", err)
		}
		return nil
	case before == Nothing:
		if err := sys.EpollAdd(set, fd, want.events(), slot, h.generation); err != nil {
			h.watched = Nothing
			return err
		}
		if set == c.urgentfd {
			c.urgent++
		}
		return nil
	}
	return sys.EpollModify(set, fd, want.events(), slot, h.generation)
}

// Run runs the loop on the calling goroutine. It returns nil when nothing is left (no source but those in the
// background, no posted function, no Hold) or after Stop(nil), Stop's cause, context.Cause when ctx ended, or an
// error of epoll itself. Then every posted function has run, every source has been closed, and the loop is of no
// use any more: ErrClosed. A Run within a Run answers ErrRunning.
func (c *Communicator) Run(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	c.loopID.Store(goroutineID())
	if ctx.Err() != nil {
		c.Stop(context.Cause(ctx))
	}
	cancel := context.AfterFunc(ctx, func() { c.Stop(context.Cause(ctx)) })
	defer cancel()
	c.now = c.clock()
	for !c.stopping.Load() {
		if c.keeping == 0 && len(c.closing) == 0 && len(c.after)+len(c.deferred) == 0 && c.posts.closeIfEmpty() {
			break
		}
		if err := c.turn(); err != nil {
			c.Stop(err)
		}
	}
	return c.finish()
}

// Close gives back what a loop holds that is not going to run: its sources and posted functions end
// as at the end of Run. It answers ErrRunning while the loop runs; after Run it does nothing.
func (c *Communicator) Close() error {
	err := c.begin()
	switch {
	case errors.Is(err, ErrClosed):
		return nil
	case err != nil:
		return err
	}
	c.loopID.Store(goroutineID())
	c.Stop(nil)
	_ = c.finish()
	return nil
}

// mustBeMade panics for a loop that New has not made.
func (c *Communicator) mustBeMade() {
	if c.bare == nil {
		panic("communicator: a loop is made by New")
	}
}

func (c *Communicator) begin() error {
	c.mustBeMade()
	if c.life.CompareAndSwap(fresh, running) {
		return nil
	}
	if c.life.Load() == running {
		return ErrRunning
	}
	return ErrClosed
}

// finish ends the loop: the functions already posted run, then all sources are closed.
func (c *Communicator) finish() error {
	c.now = c.clock()
	c.ending = true
	functions, cause := c.posts.close()
	for _, f := range functions {
		c.runPosted(f)
	}
	c.closeRemoved()
	c.runAfter()
	c.finishing = true
	c.runExits(cause)
	c.closeRemoved()
	c.life.Store(over) // nothing more can be added
	ended := ErrClosed
	if cause != nil {
		ended = fmt.Errorf("%w: %w", ErrClosed, cause)
	}
	for _, h := range c.handles() {
		h.Remove(ended)
	}
	c.closeRemoved()
	c.runAfter() // what the last closings have left
	c.closeDescriptors()
	return cause
}

// ReadBuffer is BufferSize bytes for reading, shared by all sources of the loop. What is in them is
// valid until the callback returns. Only for use on the loop.
func (c *Communicator) ReadBuffer() []byte {
	if c.readBuffer == nil {
		c.readBuffer = make([]byte, BufferSize)
	}
	return c.readBuffer
}

// RawBuffer is another BufferSize bytes, for a transport that makes something else of what it reads or
// writes, as TLS does. What is in them is valid until its Read or Write returns. Only for use on the loop.
func (c *Communicator) RawBuffer() []byte {
	if c.rawBuffer == nil {
		c.rawBuffer = make([]byte, BufferSize)
	}
	return c.rawBuffer
}

// WriteBuffer is where output is composed, shared by all sources of the loop. It is empty between
// callbacks and has room for BufferSize bytes; whoever appends to it takes that out again before
// its callback returns, and touches nothing in front of it. Only for use on the loop.
func (c *Communicator) WriteBuffer() *[]byte {
	if c.writeBuffer == nil {
		c.writeBuffer = make([]byte, 0, BufferSize)
	}
	return &c.writeBuffer
}

// Now is the time that the loop read last, when the callback that is running now began: cheaper than
// time.Now, and of use for time-outs. Only for use on the loop.
func (c *Communicator) Now() time.Time {
	if c.life.Load() != running {
		return time.Now()
	}
	return c.start.Add(time.Duration(c.now))
}

// clock is the time since the loop was made; it reads only the monotonic clock.
func (c *Communicator) clock() int64 { return int64(time.Since(c.start)) }

// at is a moment on the loop's clock. One that carries no reading of the monotonic clock, as package
// time calls it, is as far away as it is by the wall clock now.
func (c *Communicator) at(t time.Time) int64 {
	if t != t.Round(0) { // Round strips the reading
		return int64(t.Sub(c.start))
	}
	left := int64(time.Until(t)) // before the loop's clock is read: late by that time rather than early
	now := c.clock()
	return now + min(left, math.MaxInt64-now)
}
