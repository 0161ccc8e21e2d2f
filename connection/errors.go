//go:build linux

package connection

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

var (
	// ErrWouldBlock is returned by a Transport that has no bytes, or no room for any, right now.
	ErrWouldBlock = sys.ErrWouldBlock
	// ErrInProgress is returned by an Attempt whose connection is being made.
	ErrInProgress = sys.ErrInProgress
	// ErrClosed is returned by a stream or datagram socket that was closed; errors.Is(err,
	// net.ErrClosed) holds.
	ErrClosed = fmt.Errorf("connection: %w", net.ErrClosed)
	// ErrInputLimit closes a stream whose handler has left more than MaxInput bytes: a frame or a
	// line that is too long.
	ErrInputLimit = errors.New("connection: more input than the limit allows waits to be handled")
	// ErrOutputLimit closes a stream whose peer doesn't read: more than MaxOutput bytes wait.
	ErrOutputLimit = errors.New("connection: more output than the limit allows waits for the peer")
	// ErrCloseTimeout is the cause when a closing stream couldn't write what it held within
	// CloseTimeout; errors.Is(err, os.ErrDeadlineExceeded) holds.
	ErrCloseTimeout error = &timeoutError{"connection: undelivered output at close: i/o timeout"}
	// ErrIdleTimeout closes a stream on which nothing came and went for IdleTimeout; errors.Is(err,
	// os.ErrDeadlineExceeded) holds.
	ErrIdleTimeout error = &timeoutError{"connection: idle: i/o timeout"}
	// ErrReadTimeout closes a stream whose peer didn't finish within ReadTimeout what it had begun, or
	// by the time that SetReadDeadline has set; errors.Is(err, os.ErrDeadlineExceeded) holds.
	ErrReadTimeout error = &timeoutError{"connection: read: i/o timeout"}
	// ErrDialTimeout is the cause when a connection didn't come about within its time limit;
	// errors.Is(err, os.ErrDeadlineExceeded) holds.
	ErrDialTimeout error = &timeoutError{"connection: dial: i/o timeout"}
	// ErrNoAddress is the cause when there was nothing to dial: a name without an address.
	ErrNoAddress = errors.New("connection: dial: no address")
	// ErrQueueFull is returned by Permanent.Send when as many messages wait as MaxQueued and
	// MaxQueuedBytes allow.
	ErrQueueFull = errors.New("connection: too many messages wait for the connection")
	// ErrExpired is why a message was not delivered that has waited for longer than it is valid.
	ErrExpired = errors.New("connection: the message has expired")
	// ErrInDoubt is why a message counts as not delivered that was sent, and whose connection has ended
	// before it was known to have arrived: the peer may have handled it, or not.
	ErrInDoubt = errors.New("connection: the connection has ended before the message was acknowledged")
	// ErrNotSent is returned by Blocking for a message of which nothing has been written.
	ErrNotSent = errors.New("connection: not sent")
	// ErrRefused is why a message was not delivered in whose middle five connections have ended: it may be
	// longer than the peer takes.
	ErrRefused = errors.New("connection: each connection has ended while the message was being sent")
	// ErrAcknowledgeTimeout ends a connection on which a message was not acknowledged within
	// AcknowledgeTimeout; errors.Is(err, os.ErrDeadlineExceeded) holds.
	ErrAcknowledgeTimeout error = &timeoutError{"connection: acknowledgement: i/o timeout"}
	// ErrPauses is returned for a list of pauses that can't be read.
	ErrPauses = errors.New("connection: not a list of pauses")
	// ErrConsumed is the cause when a handler says that it consumed fewer bytes than none or more
	// than it was given.
	ErrConsumed = errors.New("connection: the handler consumed what it was not given")
	// ErrNoProgress is the cause when a split function returns a hundred empty frames in a row.
	ErrNoProgress = errors.New("connection: the split function makes no progress")
	// ErrSize is returned by Send for a message that is longer than a datagram may be.
	ErrSize = errors.New("connection: the message is too long for a datagram")
	// ErrNotCounted is returned for a ListenConfig with MaxConnections and an Acceptor whose
	// connections can't be counted: one that is no SocketAcceptor and doesn't embed one.
	ErrNotCounted = errors.New("connection: MaxConnections for an acceptor that doesn't count")
	// ErrNotDescriptor is returned for a net.Listener or net.Conn that has no descriptor to watch.
	ErrNotDescriptor = errors.New("connection: it is no syscall.Conn")
	// ErrDescriptors is returned for more descriptors than can go along with one datagram.
	ErrDescriptors = sys.ErrDescriptors
	// ErrEmptyPacket is returned for a packet without a byte: its receiver would take it for the end.
	ErrEmptyPacket = errors.New("connection: a packet without a byte")
)

// timeoutError is a net.Error that is os.ErrDeadlineExceeded.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string   { return e.text }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }
func (e *timeoutError) Unwrap() error   { return os.ErrDeadlineExceeded }
