//go:build linux

package connection

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// The limits that a PermanentConfig's zero values stand for.
const (
	DefaultMaxQueued      = 1000
	DefaultMaxQueuedBytes = 4 << 20
	DefaultMaxInFlight    = 1000
)

// PermanentConfig says how a permanent connection behaves. The zero value is right for most. Its
// functions are called on the loop's goroutine, and may send and close.
type PermanentConfig struct {
	// Message is the configuration of each connection. Its Opened is called before anything that has waited is
	// sent: it is for what has to come first on every connection, and sends that with the MessageConn that it is given.
	Message MessageConfig
	// Name is for people. Empty: "permanent" and the dialer.
	Name string
	// Backoff says when to try again.
	Backoff Backoff
	// MaxQueued and MaxQueuedBytes are how many messages, and how many bytes of them, may wait to be
	// sent or acknowledged. Zero: DefaultMaxQueued, DefaultMaxQueuedBytes.
	MaxQueued, MaxQueuedBytes int
	// Validity is how long a message may wait to be sent, if SendWithin doesn't say otherwise. Zero: for ever.
	Validity time.Duration
	// Acknowledges tells whether a message that has come acknowledges one that was sent, as only the
	// application can know; it only compares, and neither sends nor closes. With it what was sent is kept
	// until it is acknowledged. Nil: a message counts as delivered when the kernel has taken all of it, and
	// what the kernel holds for a peer that dies is lost unnoticed.
	Acknowledges func(came, sent *message.Message) bool
	// AcknowledgeTimeout is how long a message may wait to be acknowledged before the connection is given up
	// with ErrAcknowledgeTimeout; what is in flight then is in doubt. Zero: for ever.
	AcknowledgeTimeout time.Duration
	// MaxInFlight is how many messages may be sent and not be acknowledged yet; the others wait. Zero:
	// DefaultMaxInFlight.
	MaxInFlight int
	// CloseTimeout is how long Close may take to deliver what waits. Zero: DefaultCloseTimeout.
	CloseTimeout time.Duration
	// OnUp is called when the connection stands, and all that has waited has been sent, or as much as
	// the kernel takes.
	OnUp func(p *Permanent) error
	// OnDown is called when a connection that stood has ended; cause as for CloseHandler.
	OnDown func(p *Permanent, cause error)
	// OnAttemptFailed is called when a connection didn't come about; the next attempt follows after pause.
	OnAttemptFailed func(p *Permanent, err error, pause time.Duration)
	// Undelivered is called, once, for each message that was taken by Send and not delivered: the error is
	// ErrExpired, ErrInDoubt, ErrRefused, or the cause that Closed is called with, ErrClosed if that is
	// nil. Nil: it is logged.
	Undelivered func(p *Permanent, m *message.Message, err error)
	// Closed is called, once, at the end, after Close, Abort or the loop's end.
	Closed func(p *Permanent, cause error)
}
