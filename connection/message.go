//go:build linux

package connection

import (
	"bytes"
	"errors"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// MessageConfig says how a message connection behaves. The zero value is right for most.
type MessageConfig struct {
	// Stream is the configuration of the stream below. Its MaxInput is the longest line, and so the
	// longest message, that is read.
	Stream StreamConfig
	// Quiet leaves lines that are no message unanswered, as the C++ library does. Otherwise the
	// peer gets INVALID, with the reason in the parameter message.
	Quiet bool
	// Parser says what is accepted as a message. Zero: what message.Parse accepts, but with MaxInput as the
	// longest message.
	Parser message.Parser
	// Form is the form of the messages that are sent. Zero: text.
	Form message.Form
	// Coverage counts the messages sent. Nil: they are not counted.
	Coverage *message.Coverage
	// Opened is called when the connection stands. Nil: nothing is to be done.
	Opened func(c *MessageConn) error
	// Drained is called when the last byte of output that had to wait has gone to the kernel. Nil:
	// nothing is to be done.
	Drained func(c *MessageConn) error
	// Closed is called, once, when the connection is closed; cause as for CloseHandler. Nil: it is
	// logged.
	Closed func(c *MessageConn, cause error)
}

// MessageConn is a connection over which messages go both ways, one a line. It is a message.Sender,
// and belongs to its loop's goroutine.
//
// A line that is no message is skipped, counted, and answered with INVALID; the first one of a
// connection is logged. A line that is longer than MaxInput, or a handler that returns an error,
// ends the connection. A last line without its end is dropped, with the cause io.ErrUnexpectedEOF.
type MessageConn struct {
	stream   *Stream
	layer    *messageLayer
	received uint64
	sent     uint64
	skipped  uint64
	searched int // bytes of the unfinished line that hold no line feed
}

// messageLayer is what all connections of one Serve share.
type messageLayer struct {
	handler message.Handler
	config  MessageConfig
	stream  *streamConfig
}

func newMessageLayer(h message.Handler, config MessageConfig) *messageLayer {
	mustNotBeNil(h)
	layer := &messageLayer{handler: h, config: config, stream: config.Stream.withDefaults()}
	setDefault(&layer.config.Parser.MaxSize, layer.stream.MaxInput)
	return layer
}

// NewMessageConn puts a message connection on a connected transport, which it owns from then on.
// Each message that comes is handed to h.
func NewMessageConn(loop Loop, t Transport, h message.Handler, config MessageConfig) (*MessageConn, error) {
	return newMessageConn(loop, t, newMessageLayer(h, config))
}

func newMessageConn(loop Loop, t Transport, layer *messageLayer) (*MessageConn, error) {
	c := &MessageConn{layer: layer, stream: &Stream{}}
	if err := c.stream.open(loop, t, (*messageLines)(c), layer.stream); err != nil {
		return nil, err
	}
	return c, nil
}

// Messages returns a Serve that puts a message connection on each transport; all share the handler.
func Messages(h message.Handler, config MessageConfig) Serve {
	layer := newMessageLayer(h, config)
	return func(loop Loop, t Transport) error {
		_, err := newMessageConn(loop, t, layer)
		return err
	}
}

// DialMessages begins a connection and puts a message connection on it, to which messages can be
// sent at once: see DialStream.
func DialMessages(loop Loop, d Dialer, h message.Handler, config MessageConfig) (*MessageConn, error) {
	c := &MessageConn{layer: newMessageLayer(h, config)}
	var err error
	if c.stream, err = DialStream(loop, d, (*messageLines)(c), config.Stream); err != nil {
		return nil, err
	}
	return c, nil
}

// Stream is the stream below, for its addresses, counters and pauses.
func (c *MessageConn) Stream() *Stream { return c.stream }

// Received is how many messages have come.
func (c *MessageConn) Received() uint64 { return c.received }

// Sent is how many messages were sent.
func (c *MessageConn) Sent() uint64 { return c.sent }

// Skipped is how many lines were no message.
func (c *MessageConn) Skipped() uint64 { return c.skipped }

// Send sends a message; it can be changed and used again afterwards. Its errors are a
// *message.Error for one that can't be written, and those of Stream.Write.
func (c *MessageConn) Send(m *message.Message) error {
	buf := c.stream.Loop().WriteBuffer()
	start := len(*buf)
	text, err := appendMessage(*buf, m, c.layer.config.Form)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := c.stream.Write(text[start:]); err != nil {
		return err
	}
	c.sent++
	c.layer.config.Coverage.AddSent(m)
	return nil
}

// appendMessage appends a message in a form.
func appendMessage(b []byte, m *message.Message, f message.Form) ([]byte, error) {
	if f == message.FormJSON {
		return m.AppendJSON(b, message.JSONOptions{})
	}
	return m.AppendText(b)
}

// Close closes the connection gracefully: see Stream.Close.
func (c *MessageConn) Close() { c.stream.Close() }

// messageLines is a MessageConn as the handler of its stream. It cuts the lines itself, as Split
// would, but remembers how much of a long one it has searched.
type messageLines MessageConn

func (l *messageLines) HandleData(s *Stream, data []byte) (consumed int, err error) {
	s.cork()
	defer s.uncork()
	for s.goesOn() {
		rest := data[consumed:]
		i := bytes.IndexByte(rest[l.searched:], '\n')
		if i < 0 {
			l.searched = len(rest)
			break
		}
		line := rest[:l.searched+i]
		l.searched = 0
		consumed += len(line) + 1
		if len(line) > s.config.MaxInput {
			return consumed, ErrInputLimit
		}
		if err := l.line(s, line); err != nil {
			return consumed, err
		}
		if err := s.leave(len(data) - consumed); err != nil {
			return consumed, err
		}
	}
	return consumed, nil
}

// line handles one line.
func (l *messageLines) line(s *Stream, line []byte) error {
	c := (*MessageConn)(l)
	m, err := c.layer.config.Parser.ParseBytes(line)
	switch {
	case err == nil:
		c.received++
		return c.layer.handler.HandleMessage(c, m)
	case errors.Is(err, message.ErrEmpty):
		return nil // an empty line keeps a connection busy, and means nothing
	}
	c.skipped++
	if c.skipped == 1 {
		s.Loop().Logger().Warn("a line was no message", "connection", s.handle.Name(), "error", err)
	}
	if c.layer.config.Quiet || s.state&(closing|endWriting) != 0 || isRefusal(line) {
		return nil
	}
	return c.Send(message.New(message.CommandInvalid).Set(message.ParameterMessage, err.Error()))
}

// isRefusal reports whether a line that is refused here is itself a refusal, which is never answered, or
// two peers that refuse each other's could go on for ever. It takes one of too many parameters for a
// refusal, rather than parse them all.
func isRefusal(line []byte) bool {
	if !bytes.Contains(line, []byte(message.CommandInvalid)) && !bytes.Contains(line, []byte(message.CommandUnknown)) {
		return false
	}
	loose := message.Parser{Lenient: true, MaxSize: -1, MaxName: -1}
	m, err := loose.ParseBytes(line)
	return errors.Is(err, message.ErrLimit) ||
		err == nil && (m.Command() == message.CommandInvalid || m.Command() == message.CommandUnknown)
}

func (l *messageLines) HandleDrain(*Stream) error {
	if drained := l.layer.config.Drained; drained != nil {
		return drained((*MessageConn)(l))
	}
	return nil
}

func (l *messageLines) HandleOpen(*Stream) error {
	if opened := l.layer.config.Opened; opened != nil {
		return opened((*MessageConn)(l))
	}
	return nil
}

func (l *messageLines) HandleClose(s *Stream, cause error) {
	if closed := l.layer.config.Closed; closed != nil {
		closed((*MessageConn)(l), cause)
	} else {
		s.logFailure("a message connection failed", cause)
	}
}
