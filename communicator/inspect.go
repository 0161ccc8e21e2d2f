//go:build linux

package communicator

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
	Idle      time.Duration // time spent waiting in the kernel
	Age       time.Duration // time since New
}

// Logger is the logger of the loop, for what lives in it.
func (c *Communicator) Logger() *slog.Logger { return c.log }

// Stats returns the counters. Only for use on the loop.
func (c *Communicator) Stats() Stats {
	s := c.stats
	s.Live = c.live
	s.Age = time.Duration(c.clock())
	return s
}

// Info is what a loop knows of one of its sources: what it still waits for, and why.
type Info struct {
	Name     string
	Kind     string // the type of the source
	FD       int    // NoFD if it has none
	Priority int
	Enabled  bool
	Want     Interest
	Deadline time.Time // zero if it has none
	Queued   int       // bytes that it holds back for output, if it says so (QueuedBytes() int)
	Calls    uint64    // callbacks it has had
}

// String is the source in one line of text.
func (i Info) String() string {
	text := fmt.Sprintf("%s (%s): priority %d, ", i.Name, i.Kind, i.Priority)
	switch {
	case !i.Enabled:
		text += "disabled"
	case i.FD == NoFD && i.Deadline.IsZero():
		text += "waits for nothing"
	case i.FD == NoFD:
		text += "no descriptor"
	default:
		text += fmt.Sprintf("fd %d waits for %s", i.FD, i.Want)
	}
	if !i.Deadline.IsZero() {
		text += fmt.Sprintf(", deadline in %v", time.Until(i.Deadline).Round(time.Microsecond))
	}
	if i.Queued > 0 {
		text += fmt.Sprintf(", %d bytes queued", i.Queued)
	}
	return text + fmt.Sprintf(", %d calls", i.Calls)
}

// Sources lists what is in the loop, in the order of adding. Only for use on the loop.
func (c *Communicator) Sources() []Info {
	var list []Info
	for _, h := range c.handles() {
		i := Info{
			Name: h.Name(), Kind: fmt.Sprintf("%T", h.source), FD: int(h.fd), Priority: int(h.priority),
			Enabled: h.Enabled(), Want: h.want, Deadline: h.Deadline(), Calls: h.calls,
		}
		if q, ok := h.source.(queued); ok {
			i.Queued = q.QueuedBytes()
		}
		list = append(list, i)
	}
	return list
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
