//go:build linux

package shmconn

import (
	"errors"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
)

// RecordHandler takes the records of a connection. It is called on the loop's goroutine; it may write to, pause and
// close any connection, this one too.
//
// HandleRecords is called while there is something to read. It takes records by Next until that has no more for this
// call, and gives their room back by Release, now or later. It is called again for what it leaves. An error closes
// the connection at once with that cause, and as with any method of a handler neither what Next has returned nor what
// was reserved may be touched in later callbacks then; but ErrFull means that the handler can go on only when its own records have
// room again: it is called again then, and not before. Most handlers are a RecordFunc.
//
// What else can happen to a connection a handler learns by having the methods of RecordOpenHandler, RoomHandler,
// RecordEOFHandler and RecordCloseHandler.
type RecordHandler interface {
	HandleRecords(c *RecordConn) error
}

// RecordOpenHandler is a RecordHandler that is told when the connection stands, before any record. An error closes it, but
// for ErrFull of this connection: it goes on in HandleRoom.
type RecordOpenHandler interface {
	HandleOpen(c *RecordConn) error
}

// RoomHandler is a RecordHandler that is told when there is room again after ErrFull, or in the turn after
// RecordConn.WantRoom. An error closes the connection, but for ErrFull of this connection: it is called again.
type RoomHandler interface {
	HandleRoom(c *RecordConn) error
}

// RecordEOFHandler is a RecordHandler that is told when the peer has ended its side, and all was read, but not if it has
// gone altogether by then: the connection closes with the cause nil. Otherwise the connection
// stays open for writing until Close. Without it the connection closes by itself.
type RecordEOFHandler interface {
	HandleEOF(c *RecordConn) error
}

// RecordCloseHandler is a RecordHandler that is told, once and at the end of a turn, that the connection is closed. The
// cause is nil for an orderly end, from either side. Of a handler without it failures are logged, once a second
// at most.
type RecordCloseHandler interface {
	HandleClose(c *RecordConn, cause error)
}

// RecordFunc is a function for each record as a RecordHandler. The record lies in the memory that is shared: it is
// valid until the function returns, must not be written to, and a hostile peer can change it meanwhile, so
// whoever doesn't trust the peer copies what it checks. When the function returns ErrFull of this very connection it gets
// the same record again when there is room: it should write one record for each, or begin with Reserve. One that writes to
// another connection calls Unread and Pause instead, and Resume in that one's HandleRoom.
type RecordFunc func(c *RecordConn, record []byte) error

// releaseEvery is after how many records a RecordFunc gives their room back.
const releaseEvery = 32

// HandleRecords calls f for each record.
func (f RecordFunc) HandleRecords(c *RecordConn) error {
	for n := 1; ; n++ {
		record, ok := c.Next()
		if !ok {
			break
		}
		if err := f(c, record); err != nil {
			if errors.Is(err, ErrFull) {
				c.Unread()
			}
			c.Release()
			return err
		}
		if n%releaseEvery == 0 {
			c.Release()
		}
	}
	c.Release()
	return nil
}

// RecordConfig says how records are handled. The zero value is right for most.
type RecordConfig struct {
	// Name is for people. Empty: the network and the address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// TryOnly is for a sender that drops what has no room, or tries again in its own time: after ErrFull nothing
	// is waited for, HandleRoom is not called, and a peer that makes room needn't ring. A handler that has no HandleRoom
	// and doesn't return ErrFull is the same.
	TryOnly bool
}

// Records returns a Serve for Listen that hands the records of each connection to h; all share it. For a handler of
// each connection's own, write the Serve yourself, with NewRecordConn.
func Records(h RecordHandler, config RecordConfig) connection.Serve {
	mustNotBeNil(h)
	failures := &logger.Limited{}
	return func(loop connection.Loop, t connection.Transport) error {
		_, err := newRecordConn(loop, t, h, config, failures)
		return err
	}
}
