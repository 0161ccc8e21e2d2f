//go:build linux

package shmconn

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

var (
	// ErrFull is returned when there is no room for a record now.
	ErrFull = errors.New("shmconn: the ring is full")
	// ErrNotFull ends a connection whose handler returns ErrFull, to be called again when there is room, though this
	// connection has room: it was another's that is full. errors.Is of it and ErrFull holds.
	ErrNotFull = fmt.Errorf("shmconn: a handler waits for room that there is: %w", ErrFull)
	// ErrTooLong is returned for a record that is longer than the peer takes.
	ErrTooLong = errors.New("shmconn: the record is longer than the peer takes")
	// ErrNotReserved is returned by Commit and Stage when nothing that long was reserved.
	ErrNotReserved = errors.New("shmconn: nothing that long was reserved")
	// ErrPeerDied ends a connection whose peer is gone without having ended it: its process was killed, or has
	// crashed. errors.Is of it and ECONNRESET holds.
	ErrPeerDied error = &resetError{"shmconn: the peer has died"}
	// ErrUnread ends a connection whose peer has closed it without having read all. errors.Is of it and ECONNRESET
	// holds.
	ErrUnread error = &resetError{"shmconn: the peer has closed with something unread"}
	// ErrCorrupt ends a connection in whose ring, or on whose socket, the peer has written what can't be: the error
	// says what it was, at which count of bytes.
	ErrCorrupt = ring.ErrCorrupt
	// ErrMismatch is a peer that sends records to a stream, or a stream to a RecordConn. The peer gets a *RefusedError.
	ErrMismatch     = errors.New("shmconn: one side has a stream and the other records")
	errWantsStream  = fmt.Errorf("%w: the peer sends records", ErrMismatch)
	errWantsRecords = fmt.Errorf("%w: the peer sends a stream", ErrMismatch)
	// ErrForeign is a peer that speaks another protocol.
	ErrForeign = wire.ErrForeign
	// ErrMemory is a peer whose memory is not sealed against change of its size and writing by others, or that
	// has another size than it has said, or lacks pages.
	ErrMemory = errors.New("shmconn: the peer's memory is not as it has to be")
	// ErrCapacity is a capacity that is no power of two between its bounds, or one of a peer that is more
	// than Config.MaxCapacity.
	ErrCapacity = errors.New("shmconn: the capacity of a ring is out of bounds")
	// ErrHandshakeTimeout is a peer that took too long to say who it is; errors.Is(err, os.ErrDeadlineExceeded) holds, and
	// of one that was dialled errors.Is(err, connection.ErrDialTimeout).
	ErrHandshakeTimeout error = &timeoutError{"shmconn: handshake: i/o timeout"}
	// ErrNoRing is returned for a Transport that is none of this package.
	ErrNoRing = errors.New("shmconn: records need a ring")
)

// VersionError is a peer that speaks another version of the protocol.
type VersionError struct{ Version uint16 }

// Error says both versions.
func (e *VersionError) Error() string {
	return "shmconn: " + (&wire.VersionError{Version: e.Version}).Error()
}

// RefusedError is what the peer has said against the connection.
type RefusedError struct{ Reason string }

// Error says it.
func (e *RefusedError) Error() string { return "shmconn: the peer refuses: " + e.Reason }

// timeoutError is a net.Error that is os.ErrDeadlineExceeded.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }
func (*timeoutError) Unwrap() error   { return os.ErrDeadlineExceeded }

// resetError is an end that a socket would report as ECONNRESET.
type resetError struct{ text string }

func (e *resetError) Error() string { return e.text }

func (e *resetError) Is(target error) bool { return target == syscall.ECONNRESET }
