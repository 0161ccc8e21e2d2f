//go:build linux

package connection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Loop is the run loop that connections live in.
type Loop = *communicator.Communicator

// The limits that a StreamConfig's zero values stand for.
const (
	DefaultMaxInput     = 1 << 20
	DefaultHighWater    = 256 << 10
	DefaultMaxOutput    = 16 << 20
	DefaultCloseTimeout = 5 * time.Second
)

// StreamConfig says how a stream behaves. The zero value is right for most.
type StreamConfig struct {
	// Name is for people. Empty: the network and the peer's address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// MaxInput is how many bytes a handler may leave unconsumed while the stream reads; with more
	// the stream closes with ErrInputLimit. Zero: DefaultMaxInput, 1 MiB.
	MaxInput int
	// HighWater is how many bytes of output may wait before the stream stops reading from its peer;
	// it goes on when half of them have gone. Zero: DefaultHighWater, 256 KiB. More than half of
	// MaxOutput is taken for that half.
	HighWater int
	// MaxOutput is how many bytes of output may wait at all; with more the stream closes with
	// ErrOutputLimit. Zero: DefaultMaxOutput, 16 MiB. Less than twice communicator.BufferSize is less
	// than back-pressure needs for a handler that answers as much as it reads.
	MaxOutput int
	// CloseTimeout is how long Close may take to write what waits, and to wait for the peer's end.
	// Zero: DefaultCloseTimeout, 5 s.
	CloseTimeout time.Duration
}

func (c StreamConfig) withDefaults() *StreamConfig {
	setDefault(&c.MaxInput, DefaultMaxInput)
	setDefault(&c.HighWater, DefaultHighWater)
	setDefault(&c.MaxOutput, DefaultMaxOutput)
	setDefault(&c.CloseTimeout, DefaultCloseTimeout)
	c.HighWater = min(c.HighWater, c.MaxOutput/2)
	return &c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// StreamHandler takes the bytes of a stream. It is called on the loop's goroutine; it may write to,
// pause and close any stream, this one too.
//
// HandleData returns how many bytes it has consumed. The others are kept and handed over again, in
// front of those that come next. An error closes the stream at once with that cause.
//
// What else can happen to a stream a handler learns by having the methods of OpenHandler,
// EOFHandler, DrainHandler and CloseHandler.
type StreamHandler interface {
	HandleData(s *Stream, data []byte) (consumed int, err error)
}

// DataFunc is a function as a StreamHandler.
type DataFunc func(s *Stream, data []byte) (consumed int, err error)

// HandleData calls f.
func (f DataFunc) HandleData(s *Stream, data []byte) (int, error) { return f(s, data) }

// OpenHandler is a StreamHandler that is told when the connection stands, before any data: within
// NewStream for an accepted one. An error closes the stream with that cause, as one from any
// callback does.
type OpenHandler interface {
	HandleOpen(s *Stream) error
}

// EOFHandler is a StreamHandler that is told when the peer has ended its side. rest is what was
// never consumed. The stream stays open for writing until Close. A stream whose handler has no
// HandleEOF closes gracefully by itself, with the cause io.ErrUnexpectedEOF if something was left.
type EOFHandler interface {
	HandleEOF(s *Stream, rest []byte) error
}

// DrainHandler is a StreamHandler that is told when the last byte of output that had to wait has
// gone to the kernel.
type DrainHandler interface {
	HandleDrain(s *Stream) error
}

// CloseHandler is a StreamHandler that is told, once and at the end of a turn, that the stream is
// closed. The cause is nil for an orderly end, from either side.
type CloseHandler interface {
	HandleClose(s *Stream, cause error)
}

// Stream is a connection as a stream of bytes.
type Stream struct {
	handle    *communicator.Handle
	transport Transport // nil while dialling
	handler   StreamHandler
	config    *StreamConfig
	cancel    func() // ends the dialling
	in        []byte // not consumed yet
	out       *output
	received  uint64
	sent      uint64
	state     streamState
}

type streamState uint16

const (
	paused     streamState = 1 << iota // by the user
	held                               // the output is above the high-water mark
	again                              // what is in s.in must be handed over again
	eof                                // the peer has ended its side
	corking                            // output is collected in the loop's write buffer
	endWriting                         // CloseWrite was called
	wroteEnd                           // and has reached the transport
	closing                            // Close was called
	lingering                          // all is written: waiting for the peer's end
	unfinished                         // the peer ended in the middle of something
)

// NewStream puts a stream on a connected transport, which it owns from then on: also when it
// returns an error the transport is closed.
func NewStream(loop Loop, t Transport, h StreamHandler, config StreamConfig) (*Stream, error) {
	s := &Stream{}
	if err := s.open(loop, t, h, config.withDefaults()); err != nil {
		return nil, err
	}
	return s, nil
}

// Streams returns a Serve that puts a stream on each transport; all share the handler. For a
// handler of each connection's own, with state, write the Serve yourself:
//
//	func(loop connection.Loop, t connection.Transport) error {
//		_, err := connection.NewStream(loop, t, &session{}, connection.StreamConfig{})
//		return err
//	}
func Streams(h StreamHandler, config StreamConfig) Serve {
	mustNotBeNil(h)
	shared := config.withDefaults()
	return func(loop Loop, t Transport) error {
		return new(Stream).open(loop, t, h, shared)
	}
}

func (s *Stream) open(loop Loop, t Transport, h StreamHandler, config *StreamConfig) error {
	mustNotBeNil(h)
	s.handler, s.config, s.transport = h, config, t
	if err := s.add(loop); err != nil {
		_ = t.Close()
		return err
	}
	if err := s.opened(); err != nil {
		s.Abort(err)
	}
	return nil
}

// mustNotBeNil panics for a handler that was forgotten, where it was, as package net/http does.
func mustNotBeNil(handler any) {
	if handler == nil {
		panic("connection: nil handler")
	}
}

// add puts the stream into the loop, with what descriptor it has.
func (s *Stream) add(loop Loop) (err error) {
	s.handle, err = loop.Add((*streamSource)(s), communicator.Options{
		Name: s.config.Name, Priority: s.config.Priority, Want: communicator.Read,
	})
	return err
}

func (s *Stream) opened() error {
	if h, ok := s.handler.(OpenHandler); ok {
		return h.HandleOpen(s)
	}
	return nil
}

// Handle is the stream's place in its loop: its name, priority and enabled state. What it waits for
// and its deadline are the stream's own business.
func (s *Stream) Handle() *communicator.Handle { return s.handle }

// Loop is the loop that the stream lives in.
func (s *Stream) Loop() Loop { return s.handle.Loop() }

// Transport is what the stream runs on; nil while dialling. It must be neither read, written nor
// closed.
func (s *Stream) Transport() Transport { return s.transport }

// LocalAddr is the address on this side; nil if the transport has none.
func (s *Stream) LocalAddr() net.Addr {
	if t, ok := s.transport.(addresses); ok {
		return t.LocalAddr()
	}
	return nil
}

// RemoteAddr is the peer's address; nil if the transport has none.
func (s *Stream) RemoteAddr() net.Addr {
	if t, ok := s.transport.(addresses); ok {
		return t.RemoteAddr()
	}
	return nil
}

// Received is how many bytes have come from the peer.
func (s *Stream) Received() uint64 { return s.received }

// Sent is how many bytes have gone to the kernel.
func (s *Stream) Sent() uint64 { return s.sent }

// Pause stops reading; nothing is handed to the handler until Resume. The peer's end goes unnoticed
// meanwhile.
func (s *Stream) Pause() {
	s.state |= paused
	s.update()
}

// Resume goes on reading, beginning with what the handler hasn't consumed yet, in the next turn.
func (s *Stream) Resume() {
	if s.state&paused == 0 {
		return
	}
	s.state &^= paused
	s.update()
	s.handAgain()
}

// handAgain hands over what is kept in the next turn, even if nothing new comes. In a handler
// nothing is kept yet.
func (s *Stream) handAgain() {
	s.state |= again
	s.handle.MarkReadable()
}

// Reading tells whether the stream takes bytes from its peer.
func (s *Stream) Reading() bool {
	return s.state&(paused|held|eof|closing) == 0 && s.handle.Active()
}

// update makes the loop listen to what the stream waits for.
func (s *Stream) update() {
	if s.transport == nil {
		return
	}
	want := communicator.Nothing
	if s.Reading() || s.state&(closing|eof) == closing {
		want |= communicator.Read
	}
	if s.out != nil {
		want |= communicator.Write
	}
	if want != s.handle.Interest() {
		s.handle.Want(want)
	}
}

// streamSource is a Stream as the loop sees it.
type streamSource Stream

func (src *streamSource) FD() int {
	if src.transport == nil {
		return communicator.NoFD
	}
	return src.transport.FD()
}

// String names a stream without a name.
func (src *streamSource) String() string {
	s := (*Stream)(src)
	if s.transport == nil {
		return "dialling"
	}
	if addr := s.RemoteAddr(); addr != nil {
		if addr.String() == "" { // as most clients of a Unix socket
			return strings.TrimSuffix(addr.Network()+" client of "+s.LocalAddr().String(), " client of ")
		}
		return addr.Network() + " " + addr.String()
	}
	return fmt.Sprintf("%T", s.transport)
}

func (src *streamSource) QueuedBytes() int { return (*Stream)(src).QueuedBytes() }

func (src *streamSource) HandleWrite(*communicator.Handle) error { return (*Stream)(src).flush() }

func (src *streamSource) HandleTimeout(*communicator.Handle) error {
	s := (*Stream)(src)
	if s.out != nil {
		return ErrCloseTimeout
	}
	s.handle.Remove(s.endCause()) // all was written; the peer doesn't care to end its side
	return nil
}

func (src *streamSource) Close() error {
	s := (*Stream)(src)
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	if s.transport == nil {
		return nil
	}
	if s.out != nil { // what the kernel takes without waiting is not lost when the loop is stopped
		_, _ = s.transport.Write(s.out.waiting())
	}
	return s.transport.Close()
}

func (src *streamSource) HandleClose(_ *communicator.Handle, cause error) {
	s := (*Stream)(src)
	s.in, s.out = nil, nil
	s.tell(s.handler, cause)
}

// tell tells a handler of the end, or the log if it has no ear for that.
func (s *Stream) tell(handler any, cause error) {
	if h, ok := handler.(CloseHandler); ok {
		h.HandleClose(s, cause)
	} else {
		logFailure(s.handle, slog.LevelInfo, "a connection failed", cause)
	}
}

// logFailure logs how a source has ended, if that was by a failure and not by the loop's end.
func logFailure(h *communicator.Handle, level slog.Level, text string, cause error) {
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		//nolint:sloglint // the text is constant where it is written
		h.Loop().Logger().Log(context.Background(), level, text, "source", h.Name(), "error", cause)
	}
}

// HandleRead reads once and hands over what has come, or hands over again what waits for that.
func (src *streamSource) HandleRead(*communicator.Handle) error {
	s := (*Stream)(src)
	if s.state&closing != 0 {
		return s.discard()
	}
	if !s.Reading() {
		return nil
	}
	if s.state&again != 0 {
		s.state &^= again
		if len(s.in) > 0 {
			return s.deliver(s.in)
		}
	}
	data, err := s.read()
	switch {
	case err == nil:
		return s.deliver(data)
	case err == io.EOF: //nolint:errorlint // by contract the sentinel itself
		return s.ended()
	case err == ErrWouldBlock: //nolint:errorlint // by contract the sentinel itself
		return nil
	}
	return err
}

// deliver hands data to the handler and keeps what is left of it.
func (s *Stream) deliver(data []byte) error {
	consumed, err := s.handler.HandleData(s, data)
	if err != nil {
		return err
	}
	if s.state&closing != 0 || !s.handle.Active() {
		return nil
	}
	if consumed < 0 || consumed > len(data) {
		return ErrConsumed
	}
	if !s.handle.Enabled() {
		s.handAgain() // what is left waits until the stream is enabled
	}
	return s.keep(data[consumed:])
}

// smallTail is how much unconsumed input is copied in front of the next read rather than read
// behind.
const smallTail = communicator.BufferSize / 4

// read returns what was not consumed before and what the transport has now, in the loop's buffer or
// the stream's.
func (s *Stream) read() (data []byte, err error) {
	buf := s.Loop().ReadBuffer()
	kept := len(s.in)
	if kept > smallTail {
		if cap(s.in)-kept < smallTail { // else there is room for this read, and growing would copy it all
			s.in = growTo(s.in, min(2*kept, s.config.MaxInput+1))
		}
		buf = s.in[:cap(s.in)]
	} else {
		copy(buf, s.in)
	}
	n, err := s.transport.Read(buf[kept:])
	if n > 0 {
		err = nil // it comes again
	}
	s.received += uint64(n)
	return buf[:kept+n], err
}

// growTo returns b with room for size bytes.
func growTo(b []byte, size int) []byte {
	if cap(b) >= size {
		return b
	}
	return append(make([]byte, 0, size), b...)
}

// keep keeps what the handler hasn't consumed. With nothing to keep the stream gives up its buffer:
// it may be idle for long.
func (s *Stream) keep(rest []byte) error {
	if len(rest) > s.config.MaxInput && s.goesOn() { // else it is not more than one read has brought
		return ErrInputLimit
	}
	if len(rest) == 0 {
		s.in = nil
		return nil
	}
	if cap(s.in) > 0 && &s.in[:1][0] == &rest[0] { // nothing was consumed of what was read behind the rest
		s.in = s.in[:len(rest)]
		return nil
	}
	if cap(s.in) > 4*len(rest)+smallTail { // rest lives on in the large one while it is copied
		s.in = nil
	}
	s.in = append(s.in[:0], rest...)
	return nil
}

// ended is what follows the peer's end.
func (s *Stream) ended() error {
	s.state |= eof
	s.update()
	rest := s.in
	s.in = nil
	if h, ok := s.handler.(EOFHandler); ok {
		return h.HandleEOF(s, rest)
	}
	if len(rest) > 0 {
		s.state |= unfinished
	}
	s.Close()
	return nil
}

// discard reads what still comes from the peer of a closing stream, until its end: a peer that
// writes before it reads would otherwise never come to read what waits for it.
func (s *Stream) discard() error {
	_, err := s.transport.Read(s.Loop().ReadBuffer())
	switch {
	case err == nil, err == ErrWouldBlock: //nolint:errorlint // by contract the sentinel itself
		return nil
	case s.out == nil: // the peer's end, or its reset: either way all is over
		s.handle.Remove(s.endCause())
		return nil
	case err == io.EOF: //nolint:errorlint // by contract the sentinel itself
		s.state |= eof
		s.update()
		return nil
	}
	return err
}
