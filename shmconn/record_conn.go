//go:build linux

package shmconn

import (
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// RecordConn is a connection as records: messages with bounds, which neither writer nor reader has to copy. It belongs
// to the loop's goroutine.
type RecordConn struct {
	handle    *communicator.Handle
	transport *Transport // nil while dialling
	handler   RecordHandler
	config    RecordConfig
	failures  *logger.Limited
	cancel    func() // ends the dialling
	publish   func() // c.Publish, made once
	budget    int    // bytes that Next may hand out in this callback
	state     recordState
}

type recordState uint16

const (
	serving  recordState = 1 << iota // its handler is in HandleRecords
	paused                           // by the user
	lacking                          // waits for room, to call HandleRoom
	stuck                            // its handler has returned ErrFull: waits for room, and doesn't read
	deferred                         // staged records are published after the callback
	reserved                         // a record is being written
	eof                              // the peer has ended its side, and its handler knows
	disowned                         // its handler has failed, and holds nothing any more
	full                             // Reserve has failed in the callback that is running
	asked                            // WantRoom was called, and HandleRoom hasn't been
)

func mustNotBeNil(h RecordHandler) {
	if h == nil {
		panic("shmconn: nil handler")
	}
}

// NewRecordConn hands the records of a connection that was accepted to h, within a Serve of one's own. It owns the
// transport from then on: also when it returns an error that is closed. One that is no *Transport is ErrNoRing.
func NewRecordConn(loop *communicator.Communicator, t connection.Transport, h RecordHandler, config RecordConfig) (*RecordConn, error) {
	mustNotBeNil(h)
	return newRecordConn(loop, t, h, config, &logger.Limited{})
}

func newRecordConn(loop connection.Loop, t connection.Transport, h RecordHandler, config RecordConfig, failures *logger.Limited) (*RecordConn, error) {
	mine, ok := t.(*Transport)
	if !ok {
		return nil, errors.Join(ErrNoRing, t.Close())
	}
	c := &RecordConn{transport: mine, handler: h, config: config, failures: failures}
	if err := c.add(loop); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	mine.Announce(c.handle.MarkReadable)
	c.opened()
	return c, nil
}

// DialRecords begins a connection and hands its records to h. When it stands HandleOpen is called, when it doesn't come
// about HandleClose; a handler without HandleClose leaves the failure to the log. Until then nothing can be written:
// ErrFull, and HandleRoom follows HandleOpen. A connection without a name in its config is named after the dialer.
func DialRecords(loop *communicator.Communicator, d connection.Dialer, h RecordHandler, config RecordConfig) (*RecordConn, error) {
	mustNotBeNil(h)
	if named, ok := d.(fmt.Stringer); ok && config.Name == "" {
		config.Name = named.String()
	}
	c := &RecordConn{handler: h, config: config, failures: &logger.Limited{}}
	if err := c.add(loop); err != nil {
		return nil, err
	}
	var err error
	if c.cancel, err = d.Dial(loop, c.attach); err != nil {
		c.handle.Detach()
		return nil, err
	}
	return c, nil
}

func (c *RecordConn) add(loop connection.Loop) (err error) {
	c.publish = c.afterCallback
	c.handle, err = loop.Add((*recordSource)(c), communicator.Options{
		Name: c.config.Name, Priority: c.config.Priority, Want: communicator.Read | communicator.EdgeTriggered,
	})
	return err
}

// attach is the outcome of dialling.
func (c *RecordConn) attach(t connection.Transport, err error) {
	c.cancel = nil
	if err != nil {
		c.handle.Remove(err)
		return
	}
	mine, ok := t.(*Transport)
	if !ok {
		c.handle.Remove(errors.Join(ErrNoRing, t.Close()))
		return
	}
	c.transport = mine
	mine.Announce(c.handle.MarkReadable)
	if err := c.handle.Rebind(); err != nil {
		c.handle.Remove(err)
		return
	}
	c.opened()
	if c.state&(lacking|asked) != 0 {
		c.handle.MarkReadable()
	}
}

// opened is what follows when the connection stands.
func (c *RecordConn) opened() {
	if h, ok := c.handler.(RecordOpenHandler); ok {
		c.state &^= full
		if err := c.pumped(h.HandleOpen(c)); err != nil {
			c.handle.Remove(err)
		}
	}
}

// Handle is the connection's place in its loop: its name, priority and enabled state.
func (c *RecordConn) Handle() *communicator.Handle { return c.handle }

// Loop is the loop that the connection lives in.
func (c *RecordConn) Loop() *communicator.Communicator { return c.handle.Loop() }

// Transport is what the connection runs on: for its figures and its peer. It is nil while dialling, and must be neither
// read, written nor closed.
func (c *RecordConn) Transport() *Transport { return c.transport }

// fail closes the connection with what has gone wrong.
func (c *RecordConn) fail(err error) { c.handle.Remove(c.transport.wrap("read", err)) }

// Next returns the next record; ok is false when there is none, or none more for this call of HandleRecords, so that
// others have their turn. The record lies in the memory that is shared, or in memory of its own: it is valid until
// Release, also when the connection has closed meanwhile, and must not be written to. A hostile peer can
// change it meanwhile, so whoever doesn't trust the peer copies what it checks. If the ring turns out to be corrupt the
// connection closes.
func (c *RecordConn) Next() (record []byte, ok bool) {
	if !c.handle.Active() || c.transport == nil || c.state&serving != 0 && c.served() {
		return nil, false
	}
	t := c.transport
	record, err := t.next(ring.KindData)
	if err == nil && len(record) > t.large.limit {
		t.in.Unread() // nobody holds it
		err = t.fail(fmt.Errorf("%w: it has %d bytes", ErrTooLong, len(record)))
	}
	if err != nil {
		c.fail(err)
		return nil, false
	}
	c.budget -= len(record) + recordCost
	return record, record != nil
}

// served tells whether this call of HandleRecords has had its share.
func (c *RecordConn) served() bool {
	return c.budget <= 0 || c.state&paused != 0 || c.transport.in.Seen() == 0
}

// recordCost is what a record counts in a callback besides its bytes.
const recordCost = 8

// Unread lets the record that Next has returned last come again. It is for once after each Next, before Release.
func (c *RecordConn) Unread() {
	if c.handle.Active() && c.transport != nil {
		c.transport.unread()
	}
}

// Release gives back the room of all that Next has returned, and lets the peer know if it waits for room. Those records
// must not be touched any more.
func (c *RecordConn) Release() {
	t := c.transport
	if t == nil {
		return
	}
	switch {
	case !t.closed:
		t.giveBack()
		t.wake(t.in.Wakes(!c.reading())) // who has stopped reading would not come to ring for the rest
	case t.pinned:
		t.giveBack()
		c.letGo()
	}
}

// letGo unmaps a connection that was closed while records of it were in use, when none is any more.
func (c *RecordConn) letGo() {
	if t := c.transport; t != nil && t.pinned && !c.inUse() {
		t.pinned = false
		t.large.discard()
		_ = t.unmap()
	}
}

// inUse tells whether records are that were read, or one that is being written.
func (c *RecordConn) inUse() bool { return c.state&reserved != 0 || c.transport.inUse() }

// Reserve returns room for a record of up to n bytes, to be written and ended by Commit or Stage; another Reserve takes
// it back. The room is there until then, also when the connection has closed meanwhile, but for Close, Abort and an
// error of the handler, which take it back as well. Records longer than a quarter of the ring get memory of their own, at most MaxLarge of them
// until the peer has read the first.
//
// The error is ErrFull when there is no room: HandleRoom is called when there is, unless RecordConfig.TryOnly is set.
// It is ErrTooLong for a record that is longer than the peer takes; connection.ErrClosed after Close, CloseWrite, Abort
// or a failure; EPIPE when the peer has gone and nothing is left to read, until then what is written goes nowhere; and
// for memory of its own whatever making that says.
func (c *RecordConn) Reserve(n int) ([]byte, error) {
	t := c.transport
	switch {
	case !c.handle.Active():
		c.state &^= reserved
		c.letGo()
		return nil, connection.ErrClosed
	case t == nil:
		c.state |= full
		c.lack()
		return nil, ErrFull
	case t.ended:
		return nil, connection.ErrClosed
	}
	if err := t.writable(); err != nil {
		return nil, t.wrap("write", err)
	}
	c.state &^= reserved
	room, err := t.reserve(n)
	if errors.Is(err, ErrFull) && t.out.Unpublished() { // or the peer couldn't make room
		t.wake(t.out.Publish())
	}
	switch {
	case err == nil:
		c.state |= reserved
		return room, nil
	case errors.Is(err, ErrFull):
		t.stats.Full++
		c.state |= full
		c.lack()
	case t.err != nil:
		c.fail(t.err)
	}
	return nil, err
}

// WantRoom has HandleRoom called in the next turn, or when the connection stands: for a sender that has much to send, and
// lets others have their turn in between. RecordConfig.TryOnly makes no difference.
func (c *RecordConn) WantRoom() {
	if !c.handle.Active() {
		return
	}
	c.state |= asked
	if c.transport != nil {
		c.handle.MarkReadable()
	}
}

// lack has HandleRoom called when there is room.
func (c *RecordConn) lack() {
	if _, ok := c.handler.(RoomHandler); ok && !c.config.TryOnly {
		c.state |= lacking
		c.awaitRoom()
	}
}

// awaitRoom has the peer ring when it has made room.
func (c *RecordConn) awaitRoom() {
	if c.transport == nil {
		return
	}
	room, err := c.transport.out.Wait()
	if err != nil {
		c.fail(err)
	} else if room || c.transport.gone {
		c.handle.MarkReadable()
	}
}

// Commit ends the record that was reserved, with n bytes of it. The peer sees it at once, with all that were staged
// before. The error is ErrNotReserved, or connection.ErrClosed; for a record with memory of its own also what the kernel
// says, such as ETOOMANYREFS: it was not sent then, and the connection goes on.
func (c *RecordConn) Commit(n int) error {
	err := c.end(n)
	c.Publish()
	return err
}

// Stage ends the record that was reserved, with n bytes of it, and lets the peer see it together with others: at the
// next Commit or Publish, when the ring is full, and at the latest when the callback has returned that is running.
// Writing many records this way is cheaper. The errors are those of Commit.
func (c *RecordConn) Stage(n int) error {
	err := c.end(n)
	if err == nil && c.state&deferred == 0 {
		c.state |= deferred
		c.Loop().Defer(c.publish)
	}
	return err
}

func (c *RecordConn) end(n int) error {
	had := c.state&reserved != 0
	c.state &^= reserved
	t := c.transport
	switch {
	case !c.handle.Active():
		c.letGo()
		return connection.ErrClosed
	case t != nil && t.ended:
		return connection.ErrClosed
	case !had:
		return ErrNotReserved
	}
	err := t.commit(n)
	switch {
	case t.err != nil:
		c.fail(t.err)
	case err == ErrNotReserved: //nolint:errorlint // the sentinel itself
		c.state |= reserved // it can still be ended as it should
	}
	return err
}

// Publish lets the peer see what was staged.
func (c *RecordConn) Publish() {
	if t := c.transport; t != nil && !t.closed && t.out.Unpublished() {
		t.wake(t.out.Publish())
	}
}

func (c *RecordConn) afterCallback() {
	c.state &^= deferred
	c.Publish()
}

// Send sends a copy of p as a record, which the peer sees at once. The errors are those of Reserve and Commit.
func (c *RecordConn) Send(p []byte) error {
	room, err := c.Reserve(len(p))
	if err != nil {
		return err
	}
	return c.Commit(copy(room, p))
}

// Pause stops reading; HandleRecords is not called until Resume. The peer's orderly end goes unnoticed meanwhile.
func (c *RecordConn) Pause() {
	c.state |= paused
	if c.transport != nil && c.state&serving == 0 {
		c.transport.Rest()
	}
}

// Resume goes on reading, in the next turn.
func (c *RecordConn) Resume() {
	if c.state&paused != 0 {
		c.state &^= paused
		c.handle.MarkReadable()
	}
}

// CloseWrite ends the writing side: the peer learns that nothing comes any more when it has read all, and can still
// send.
func (c *RecordConn) CloseWrite() {
	if c.handle.Active() && c.transport != nil {
		_ = c.transport.CloseWrite()
	}
}

// Close closes the connection at the end of the turn. What was committed or staged is delivered, also when this process
// has ended by then. A peer that had sent something which was not read learns of that by ErrUnread. A connection that is
// still being dialled is given up.
func (c *RecordConn) Close() {
	c.state &^= reserved
	c.letGo()
	c.CloseWrite()
	c.handle.Remove(nil)
}

// Abort closes the connection at the end of the turn, with that cause. A peer that had sent something which was not
// read learns of that by ErrUnread.
func (c *RecordConn) Abort(cause error) {
	c.state &^= reserved
	c.letGo()
	c.handle.Remove(cause)
}
