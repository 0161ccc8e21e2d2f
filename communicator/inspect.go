//go:build linux

package communicator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"time"
)

// Stats counts what a loop has done since it was made.
type Stats struct {
	Turns     uint64        // turns of the loop
	Callbacks uint64        // calls of HandleRead, HandleWrite and HandleTimeout
	Posted    uint64        // posted functions that ran
	Looks     uint64        // looks at the urgent descriptors within turns
	Stale     uint64        // events of descriptors that had left, dropped
	Slow      uint64        // callbacks reported as slow
	Closed    uint64        // sources closed
	Live      int           // sources in the loop
	Waiting   int           // posted functions that wait
	Holds     int           // of Hold, not released yet
	Idle      time.Duration // time spent waiting in the kernel
	Age       time.Duration // time since New

	// Lag is how late the loop was for its deadlines, but for those that had passed when they were set, or when
	// their source was enabled.
	Lag Histogram
	// Busy is how long each turn took after its wait: what is ready at its beginning, and is served last, has
	// waited that long.
	Busy Histogram
}

// Logger is the logger of the loop, for what lives in it.
func (c *Communicator) Logger() *slog.Logger { return c.log }

// Stats returns the counters. Only for use on the loop.
func (c *Communicator) Stats() Stats {
	s := c.stats
	s.Live = c.live
	s.Waiting, s.Holds = c.posts.counts()
	s.Age = time.Duration(c.clock())
	return s
}

// Info is what a loop knows of one of its sources: what it still waits for, and why.
type Info struct {
	Name       string
	Kind       string // the type of the source
	FD         int    // NoFD if it has none
	Priority   int
	Enabled    bool
	Background bool
	Limited    bool // silent because of its rate
	Want       Interest
	Deadline   time.Time     // zero if it has none
	Queued     int           // bytes that it holds back for output, if it says so (QueuedBytes() int)
	Read       uint64        // bytes, if it says so (ByteCounts() (read, written uint64))
	Written    uint64        // bytes, the same
	Calls      uint64        // callbacks it has had
	Limits     uint64        // how often its rate has silenced it
	Spent      time.Duration // in its callbacks
	Longest    time.Duration // of its callbacks, in full microseconds
	Active     time.Time     // when its last callback ended; zero if it had none
}

// String is the source in one line of text.
func (i Info) String() string {
	text := fmt.Sprintf("%s (%s): priority %d, %s", i.Name, i.Kind, i.Priority, i.State())
	if i.Background {
		text += ", in the background"
	}
	if !i.Deadline.IsZero() {
		text += fmt.Sprintf(", deadline in %v", time.Until(i.Deadline).Round(time.Microsecond))
	}
	if i.Queued > 0 {
		text += fmt.Sprintf(", %d bytes queued", i.Queued)
	}
	if i.Read+i.Written > 0 {
		text += fmt.Sprintf(", %d bytes read, %d written", i.Read, i.Written)
	}
	text += fmt.Sprintf(", %d calls", i.Calls)
	if !i.Active.IsZero() {
		text += fmt.Sprintf(" in %v, the longest %v, the last %v ago", i.Spent.Round(time.Microsecond), i.Longest,
			time.Since(i.Active).Round(time.Microsecond))
	}
	return text
}

// State says what the source waits for, or why it doesn't wait.
func (i Info) State() string {
	switch {
	case !i.Enabled:
		return "disabled"
	case i.Limited:
		return "over its rate"
	case i.FD == NoFD && i.Deadline.IsZero():
		return "waits for nothing"
	case i.FD == NoFD:
		return "no descriptor"
	}
	return fmt.Sprintf("fd %d waits for %s", i.FD, i.Want)
}

// Sources lists what is in the loop, in the order of adding. Only for use on the loop.
func (c *Communicator) Sources() []Info { return slices.Collect(c.All()) }

// All yields what Sources lists, one after the other: for who wants some of very many. Only for use on the loop, within
// one callback.
func (c *Communicator) All() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for _, h := range c.handles() {
			if h.Active() && !yield(h.info()) {
				return
			}
		}
	}
}

func (h *Handle) info() Info {
	i := Info{
		Name: h.Name(), Kind: fmt.Sprintf("%T", h.source), FD: int(h.fd), Priority: int(h.priority),
		Enabled: h.Enabled(), Background: h.state&background != 0, Limited: h.Limited(), Want: h.want,
		Deadline: h.Deadline(), Calls: h.calls, Spent: time.Duration(h.spent),
		Longest: time.Duration(h.longest) * time.Microsecond,
	}
	if h.active > 0 {
		i.Active = h.loop.start.Add(time.Duration(h.active))
	}
	if h.extra != nil {
		i.Limits = h.extra.limited
	}
	if q, ok := h.source.(queued); ok {
		i.Queued = q.QueuedBytes()
	}
	if b, ok := h.source.(counted); ok {
		i.Read, i.Written = b.ByteCounts()
	}
	return i
}

// handles are all that are in the loop, in the order of adding.
func (c *Communicator) handles() []*Handle {
	var all []*Handle
	for _, h := range c.slots {
		if h != nil && h.Active() {
			all = append(all, h)
		}
	}
	for _, h := range c.bare {
		if h.Active() {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b *Handle) int { return cmp.Compare(a.seq, b.seq) })
	return all
}

// close ends a source that was removed.
func (c *Communicator) close(h *Handle) {
	c.forget(h)
	c.stats.Closed++
	if h.can&canClose != 0 {
		h.name = h.Name() // HandleClose asks for it, when a closed source may not know it any more
	}
	level := slog.LevelDebug
	if h.cause != nil && h.can&canClose == 0 && c.life.Load() != over {
		level = slog.LevelWarn // nobody else hears of it
	}
	if ctx := context.Background(); c.log.Enabled(ctx, level) {
		c.log.LogAttrs(ctx, level, "source removed", slog.Any("source", h), slog.Any("cause", h.cause))
	}
	if closer, ok := h.source.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			c.log.Warn("closing a source failed", "source", h, "error", err)
		}
	}
	if h.can&canClose != 0 {
		h.source.(CloseHandler).HandleClose(h, h.cause)
	}
	if h.cause != nil && h.state&essential != 0 {
		c.Stop(fmt.Errorf("communicator: %s: %w", h.Name(), h.cause))
	}
}

func (c *Communicator) reportSlow(h *Handle, took time.Duration) {
	c.stats.Slow++
	name := "a posted function"
	if h != nil {
		name = h.Name()
	}
	c.log.Warn("slow callback", "source", name, "took", took)
	if c.config.OnSlow != nil {
		c.config.OnSlow(h, took)
	}
}
