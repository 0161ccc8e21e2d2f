//go:build linux

package connection

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Permanent is a client that keeps a message connection: when it ends, or doesn't come about, it
// dials again, until Close. It works over any Dialer, which is asked anew for each attempt, so names are looked
// up again. It is a message.Sender, and belongs to its loop's goroutine.
//
// What is sent while there is no connection waits, and goes out in order, before anything newer, when
// there is one. No message is ever sent twice: one that the kernel has not taken in full, which the peer
// therefore can't have read to its end, is sent anew on the next connection; any other is not.
//
// What comes goes to the handler; what that answers to its sender goes to the connection that
// asked, or nowhere.
type Permanent struct {
	handle   *communicator.Handle
	dialer   Dialer
	handler  message.Handler
	config   PermanentConfig
	message  MessageConfig // of each connection
	conn     *MessageConn  // dialling, or up; nil during a pause
	outbox   outbox
	next     time.Time // the next attempt
	closeEnd time.Time
	began    time.Time // when the present attempt has, or the connection came up
	failed   int       // attempts in a row
	pause    time.Duration
	ups      uint64
	most     int // bytes of a message
	state    permanentState
	cause    error // of the end
	reports  logger.Limited
}

type permanentState uint8

const (
	isUp permanentState = 1 << iota
	isClosing
	isShutdown // by the loop
	isOver     // nothing more is attempted
	isGone     // it has left the loop
)

// NewPermanent begins to keep a message connection; each message that comes is handed to h. The first
// attempt begins at once. It returns an error only if that can't even begin, as for an address that can't be one.
func NewPermanent(loop Loop, d Dialer, h message.Handler, config PermanentConfig) (*Permanent, error) {
	mustNotBeNil(h)
	setDefault(&config.MaxQueued, DefaultMaxQueued)
	setDefault(&config.MaxQueuedBytes, DefaultMaxQueuedBytes)
	setDefault(&config.MaxInFlight, DefaultMaxInFlight)
	setDefault(&config.CloseTimeout, DefaultCloseTimeout)
	p := &Permanent{dialer: d, handler: h, config: config, message: config.Message}
	p.most = config.Message.Stream.withDefaults().MaxOutput
	p.message.Opened, p.message.Drained, p.message.Closed = p.opened, p.drained, p.closed
	var err error
	p.handle, err = loop.Add((*permanentSource)(p), communicator.Options{Name: config.Name, Priority: config.Message.Stream.Priority})
	if err != nil {
		return nil, err
	}
	if wait := config.Backoff.before(); wait > 0 {
		p.next = time.Now().Add(wait)
		p.schedule()
		return p, nil
	}
	if err := p.dial(); err != nil {
		p.handle.Detach()
		return nil, err
	}
	return p, nil
}

// Handle is its place in the loop. The connection has one of its own.
func (p *Permanent) Handle() *communicator.Handle { return p.handle }

// Up tells whether the connection stands.
func (p *Permanent) Up() bool { return p.state&isUp != 0 }

// Conn is the connection that stands; nil if none does.
func (p *Permanent) Conn() *MessageConn {
	if !p.Up() {
		return nil
	}
	return p.conn
}

// Queued is how many messages wait to be sent, and how many were sent and wait to be acknowledged.
func (p *Permanent) Queued() (waiting, inFlight int) {
	p.settle()
	return p.outbox.waiting.len(), p.outbox.flight.len()
}

// Connections is how many connections have come about.
func (p *Permanent) Connections() uint64 { return p.ups }

// Send sends a message, or lets it wait for the connection, for as long as Validity says; m can be changed and
// used again afterwards. Its errors are a *message.Error for one that can't be written, ErrOutputLimit for one that is
// longer than MaxOutput, ErrQueueFull, and ErrClosed after Close.
func (p *Permanent) Send(m *message.Message) error { return p.SendWithin(m, p.config.Validity) }

// SendWithin is Send for a message that is not sent any more when it has waited for longer than validity;
// zero: for ever. With less than zero the error is ErrExpired.
func (p *Permanent) SendWithin(m *message.Message, validity time.Duration) error {
	if p.state&(isClosing|isOver) != 0 || !p.handle.Active() {
		return ErrClosed
	}
	if validity < 0 {
		return ErrExpired
	}
	size, err := p.size(m)
	if err != nil {
		return err
	}
	p.settle()
	if p.outbox.len() >= p.config.MaxQueued || p.outbox.bytes+size > p.config.MaxQueuedBytes {
		return ErrQueueFull
	}
	letter := letter{message: m, size: size}
	if validity > 0 {
		letter.until = time.Now().Add(validity)
	}
	if p.mayPost() && p.outbox.waiting.len() == 0 && p.post(letter, false) {
		return nil
	}
	letter.message = m.Clone()
	p.outbox.wait(letter)
	p.schedule()
	return nil
}

// size is how long a message is on the wire.
func (p *Permanent) size(m *message.Message) (int, error) {
	buf := p.handle.Loop().WriteBuffer()
	text, err := appendMessage(*buf, m, p.message.Form)
	if err != nil {
		return 0, err
	}
	size := len(text) - len(*buf) + 1
	if size > p.most {
		return 0, ErrOutputLimit
	}
	return size, nil
}

// Close takes no message any more, delivers those that wait, within CloseTimeout, and ends. Those that were not
// delivered by then are reported.
func (p *Permanent) Close() {
	if p.state&(isClosing|isOver) != 0 || !p.handle.Active() {
		return
	}
	p.state |= isClosing
	p.closeEnd = time.Now().Add(p.config.CloseTimeout)
	if p.conn == nil {
		p.next = time.Now() // what waits has no time for a pause
	}
	p.schedule()
	p.closeIfDone()
}

// Abort ends at once. What has not been delivered is reported.
func (p *Permanent) Abort(cause error) {
	if p.state&isOver != 0 || !p.handle.Active() {
		return
	}
	p.end(cause)
}

// closeIfDone goes on with closing when nothing waits any more.
func (p *Permanent) closeIfDone() {
	if p.state&(isClosing|isOver) != isClosing {
		return
	}
	p.settle()
	if p.outbox.waiting.len() > 0 || p.config.Acknowledges != nil && p.outbox.flight.len() > 0 {
		return
	}
	if p.Up() { // and it delivers what it holds
		if p.state&isShutdown != 0 {
			p.conn.stream.shutdown()
		} else {
			p.conn.Close()
		}
		return
	}
	p.end(nil)
}

// end lets the connection, if there is one, and then the source go.
func (p *Permanent) end(cause error) {
	p.state |= isOver
	p.handle.Remove(cause)
	if p.conn != nil {
		p.conn.stream.Abort(cause)
	}
}

// dial makes an attempt.
func (p *Permanent) dial() error {
	p.next = time.Time{}
	p.began = time.Now()
	conn, err := DialMessages(p.handle.Loop(), p.dialer, (*permanentHandler)(p), p.message)
	if err != nil {
		return err
	}
	conn.stream.state |= steered
	p.conn = conn
	return nil
}

// opened is what follows when a connection stands.
func (p *Permanent) opened(c *MessageConn) error {
	if !p.handle.Active() {
		return nil // it has been removed in this turn, and takes the connection along at its end
	}
	p.state |= isUp
	p.ups++
	p.began = time.Now()
	p.outbox.settled = 0
	if opened := p.config.Message.Opened; opened != nil {
		if err := opened(c); err != nil {
			return err
		}
	}
	p.pump()
	p.closeIfDone()
	if p.config.OnUp != nil && p.Up() && p.state&isOver == 0 {
		return p.config.OnUp(p)
	}
	return nil
}

// drained goes on when the connection has room again.
func (p *Permanent) drained(c *MessageConn) error {
	p.settle()
	p.pump()
	p.closeIfDone()
	if drained := p.config.Message.Drained; drained != nil {
		return drained(c)
	}
	return nil
}

// closed is the end of a connection, or of an attempt.
func (p *Permanent) closed(c *MessageConn, cause error) {
	wasUp := p.Up()
	doubtful, refused := p.reclaim(c)
	p.conn = nil
	p.state &^= isUp
	if wasUp {
		if closed := p.config.Message.Closed; closed != nil {
			closed(c, cause)
		}
	}
	p.report(doubtful, ErrInDoubt)
	p.report(refused, ErrRefused)
	switch {
	case wasUp:
		p.down(cause)
	case p.state&isOver == 0:
		p.fail(cause)
	}
	if p.state&isOver != 0 {
		p.over()
		return
	}
	p.closeIfDone()
	p.schedule()
}

// down is the end of a connection that stood. One that stood for longer than the pause before it, or for a second, was
// a success.
func (p *Permanent) down(cause error) {
	if len(p.config.Backoff.Pauses) > 0 || time.Since(p.began) >= min(max(p.pause, time.Second), time.Minute) {
		p.failed = 0
	}
	p.failed++
	p.waitABit()
	if p.config.OnDown != nil {
		p.config.OnDown(p, cause)
	} else if p.state&(isClosing|isOver) == 0 {
		p.log(slog.LevelInfo, "the connection is down", cause)
	}
}

// fail is the end of an attempt.
func (p *Permanent) fail(err error) {
	p.failed++
	p.waitABit()
	if p.config.OnAttemptFailed != nil {
		p.config.OnAttemptFailed(p, err, p.pause)
	} else if p.failed == 1 {
		p.log(slog.LevelInfo, "no connection; trying again", err)
	}
}

func (p *Permanent) waitABit() {
	p.pause = p.config.Backoff.pause(p.failed)
	p.next = time.Now().Add(p.pause)
}

func (p *Permanent) log(level slog.Level, text string, err error) {
	//nolint:sloglint // the text is constant where it is written
	p.handle.Loop().Logger().Log(context.Background(), level, text, "connection", p.handle.Name(), "error", err)
}

// schedule sets the deadline to what comes first.
func (p *Permanent) schedule() {
	var first time.Time
	for _, t := range []time.Time{p.next, p.closeEnd, p.outbox.expiry, p.acknowledgeEnd()} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	p.handle.SetDeadline(first)
}

// permanentHandler is a Permanent as the handler of its connection.
type permanentHandler Permanent

func (h *permanentHandler) HandleMessage(from message.Sender, m *message.Message) error {
	p := (*Permanent)(h)
	if acknowledges := p.config.Acknowledges; acknowledges != nil && p.outbox.acknowledged(m, acknowledges) {
		p.pump()
		p.closeIfDone()
		if p.state&isOver != 0 {
			return nil
		}
	}
	return p.handler.HandleMessage(from, m)
}

// permanentSource is a Permanent as the loop sees it: without a descriptor, and in the loop until the end.
type permanentSource Permanent

func (src *permanentSource) FD() int { return communicator.NoFD }

func (src *permanentSource) String() string {
	if named, ok := src.dialer.(fmt.Stringer); ok {
		return "permanent " + named.String()
	}
	return fmt.Sprintf("permanent %T", src.dialer)
}

func (src *permanentSource) QueuedBytes() int {
	(*Permanent)(src).settle()
	return src.outbox.bytes
}

func (src *permanentSource) HandleShutdown(*communicator.Handle) {
	p := (*Permanent)(src)
	p.state |= isShutdown
	p.Close()
	p.closeIfDone() // also if it was closing
}

func (src *permanentSource) HandleTimeout(*communicator.Handle) error {
	p := (*Permanent)(src)
	now := time.Now()
	p.report(p.outbox.expire(now), ErrExpired)
	switch {
	case p.state&isOver != 0:
		return nil
	case passed(p.closeEnd, now):
		if p.settle(); p.outbox.len() > 0 {
			p.end(ErrCloseTimeout)
		} else {
			p.end(nil) // all was delivered; the peer doesn't care to end its side
		}
		return nil
	case passed(p.acknowledgeEnd(), now):
		p.conn.stream.Abort(ErrAcknowledgeTimeout)
		return nil
	case passed(p.next, now):
		if err := p.dial(); err != nil {
			p.fail(err)
		}
	}
	p.closeIfDone()
	p.schedule()
	return nil
}

func (src *permanentSource) HandleClose(_ *communicator.Handle, cause error) {
	p := (*Permanent)(src)
	p.state |= isOver | isGone
	p.cause = cause
	if p.conn != nil {
		p.conn.stream.Abort(cause)
	}
	p.over()
}

// over is the end, when both the source and the connection have left the loop: only then is known what
// that has sent. What has not been delivered never will be.
func (p *Permanent) over() {
	if p.state&isGone == 0 || p.conn != nil {
		return
	}
	why := p.cause
	if why == nil {
		why = ErrClosed
	}
	p.report(p.outbox.empty(), why)
	if closed := p.config.Closed; closed != nil {
		p.config.Closed = nil
		closed(p, p.cause)
	}
}
