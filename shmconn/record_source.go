//go:build linux

package shmconn

import (
	"errors"
	"io"
	"log/slog"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

// recordSource is a RecordConn as the loop sees it.
type recordSource RecordConn

func (src *recordSource) FD() int {
	if src.transport == nil {
		return communicator.NoFD
	}
	return src.transport.FD()
}

// String names a connection without a name.
func (src *recordSource) String() string {
	if src.transport == nil {
		return "dialling"
	}
	return src.transport.name()
}

func (src *recordSource) ByteCounts() (read, written uint64) {
	if src.transport == nil {
		return 0, 0
	}
	return src.transport.stats.BytesReceived, src.transport.stats.BytesSent
}

// HandleRead is called when the bell has rung: there is something to read, room to write, or the end.
func (src *recordSource) HandleRead(h *communicator.Handle) error {
	c := (*RecordConn)(src)
	t := c.transport
	if t == nil {
		return nil
	}
	for {
		if err := c.serve(); err != nil || !h.Active() {
			return err
		}
		switch {
		case c.state&asked != 0:
			h.MarkReadable()
		case !c.reading():
			t.Rest()
		case t.pending() || t.spun():
			if h.Continue() {
				continue
			}
			h.MarkReadable()
		case t.sleep():
			h.MarkReadable()
		}
		return nil
	}
}

// reading tells whether the connection takes records.
func (c *RecordConn) reading() bool { return c.state&(paused|stuck|eof) == 0 && c.handle.Active() }

// batch is how many bytes a callback hands out: as a stream reads, so that others have their turn.
const batch = communicator.BufferSize

// serve hands over what has come, once.
func (c *RecordConn) serve() error {
	t := c.transport
	t.in.Awake()
	was := c.state
	if was&(lacking|stuck|asked) != 0 {
		if err := c.room(); err != nil || !c.handle.Active() {
			return err
		}
	}
	if !c.reading() {
		if t.err != nil || t.gone {
			return c.ended()
		}
		return nil
	}
	if err := t.look(); err != nil {
		return t.wrap("read", err)
	}
	if t.in.Seen() == 0 && was&stuck == 0 { // one that has waited for room may have taken all before
		return c.ended()
	}
	c.budget = batch
	c.state = c.state&^full | serving
	err := c.handler.HandleRecords(c)
	c.state &^= serving
	if err != nil && c.waits(err) {
		c.state |= stuck
		c.awaitRoom()
		return nil
	}
	return c.outcome(err)
}

// waits tells whether an error of the handler means that it waits for room of this connection.
func (c *RecordConn) waits(err error) bool { return errors.Is(err, ErrFull) && c.state&full != 0 }

// outcome is what a method of the handler has returned. After an error its records are not in use any more. That nothing
// could be written because the peer has died is told as its death.
func (c *RecordConn) outcome(err error) error {
	if err == nil {
		return nil
	}
	c.state = c.state&^reserved | disowned
	if errors.Is(err, ErrFull) && c.state&full == 0 {
		return ErrNotFull
	}
	if t := c.transport; t.gone && errors.Is(err, syscall.EPIPE) {
		if err := t.state(); err != connection.ErrWouldBlock && err != io.EOF { //nolint:errorlint // the sentinels themselves
			return t.wrap("write", err)
		}
	}
	return err
}

// room looks whether there is room again.
func (c *RecordConn) room() error {
	t := c.transport
	was, over := c.state, lacking|stuck|asked
	switch {
	case t.writable() != nil: // there will never be: the handler learns it by reading, or when it tries
		if was&eof == 0 || t.ended {
			was &^= lacking | asked
		}
	case t.gone:
		if was&paused != 0 { // what is written goes nowhere, and only because there is something to read: Resume goes on
			if was&asked != 0 {
				c.state = c.state&^asked | lacking
			}
			return nil
		}
	case was&(lacking|stuck) != 0:
		t.out.Waited()
		room, err := t.out.Wait()
		if err != nil {
			return t.wrap("write", t.fail(err))
		}
		switch {
		case room:
		case was&asked == 0:
			return nil
		default:
			over = asked // what waits for room goes on waiting
		}
	}
	c.state &^= over | full
	if h, ok := c.handler.(RoomHandler); ok && was&(lacking|asked) != 0 {
		return c.pumped(h.HandleRoom(c))
	}
	return nil
}

// pumped is what HandleRoom or HandleOpen has returned: with ErrFull it is called again anyway.
func (c *RecordConn) pumped(err error) error {
	if err != nil && c.waits(err) {
		return nil
	}
	return c.outcome(err)
}

// ended tells of the end, if it has come.
func (c *RecordConn) ended() error {
	t := c.transport
	switch err := t.state(); {
	case err == connection.ErrWouldBlock: //nolint:errorlint // the sentinel itself
		return nil
	case err == io.EOF: //nolint:errorlint // the sentinel itself
		if c.state&paused != 0 {
			return nil
		}
		if h, ok := c.handler.(RecordEOFHandler); ok && !t.gone && c.state&eof == 0 {
			c.state = c.state&^full | eof
			return c.outcome(h.HandleEOF(c))
		}
		c.handle.Remove(nil)
		return nil
	default:
		return t.wrap("read", err)
	}
}

// HandleShutdown closes the connection gracefully.
func (src *recordSource) HandleShutdown(*communicator.Handle) { (*RecordConn)(src).Close() }

func (src *recordSource) Close() error {
	c := (*RecordConn)(src)
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
	}
	if c.transport == nil {
		return nil
	}
	c.transport.pinned = c.state&disowned == 0 && c.inUse()
	return c.transport.Close()
}

func (src *recordSource) HandleClose(h *communicator.Handle, cause error) {
	c := (*RecordConn)(src)
	if handler, ok := c.handler.(RecordCloseHandler); ok {
		handler.HandleClose(c, cause)
		return
	}
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		c.failures.Log(h.Loop().Logger(), slog.LevelInfo, "a connection failed", "source", h.Name(), "error", cause)
	}
}

// reserve returns room for a record of n bytes, in the ring or in memory of its own.
func (t *Transport) reserve(n int) ([]byte, error) {
	t.large.discard()
	t.void = nil
	switch {
	case n < 0 || n > t.peer.maxRecord:
		return nil, ErrTooLong
	case t.gone:
		if t.lose(n + recordCost) {
			return nil, ErrFull
		}
		t.void = make([]byte, n)
		return t.void, nil
	case n > t.out.Max():
		return t.reserveLarge(n)
	}
	room, err := t.out.Reserve(n)
	switch {
	case err != nil:
		return nil, t.fail(err)
	case room == nil:
		return nil, ErrFull
	}
	return room, nil
}

// commit ends the record that was reserved.
func (t *Transport) commit(n int) error {
	if t.void != nil {
		if n < 0 || n > len(t.void) {
			return ErrNotReserved
		}
		t.void = nil
	} else if t.large.room != nil {
		if n < 0 || n > len(t.large.room) {
			return ErrNotReserved
		}
		if err := t.commitLarge(n); err != nil {
			return err
		}
	} else if !t.out.Commit(n, 0) {
		return ErrNotReserved
	}
	t.stats.RecordsSent++
	t.stats.BytesSent += uint64(n)
	return nil
}

// look sees what has come. Only that is handed out in one call.
func (t *Transport) look() error {
	if t.err != nil {
		return t.err
	}
	if err := t.in.Look(); err != nil {
		return t.fail(err)
	}
	return nil
}

// unread lets the last record come again.
func (t *Transport) unread() {
	if t.newest == none {
		return
	}
	t.stats.RecordsReceived--
	t.stats.BytesReceived -= uint64(t.newest)
	t.newest = none
	t.over = false
	t.in.Unread()
	t.large.unread()
}

// inUse tells whether records are that were read, or that are being written.
func (t *Transport) inUse() bool { return t.in.Held() > 0 || len(t.large.used) > 0 }
