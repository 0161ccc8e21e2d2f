//go:build linux

package connection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

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

func (src *streamSource) ByteCounts() (read, written uint64) { return src.received, src.sent }

func (src *streamSource) QueuedBytes() int { return (*Stream)(src).QueuedBytes() }

func (src *streamSource) HandleWrite(*communicator.Handle) error { return (*Stream)(src).flush() }

func (src *streamSource) HandleTimeout(*communicator.Handle) error {
	s := (*Stream)(src)
	if s.limits != nil {
		return s.limits.due(s)
	}
	return s.closeTimedOut()
}

// HandleShutdown closes the stream gracefully, unless that is left to the layer above.
func (src *streamSource) HandleShutdown(*communicator.Handle) {
	if src.state&steered == 0 {
		(*Stream)(src).shutdown()
	}
}

func (s *Stream) closeTimedOut() error {
	if s.waits() {
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
	if s.writer != nil {
		s.writer.Remove(nil)
	}
	if s.state&keeping != 0 {
		_ = s.transport.(keeper).Flush()
	}
	if s.out != nil { // what the kernel takes without waiting is not lost when the loop is stopped
		n, _ := s.transport.Write(s.out.waiting())
		s.sent += uint64(n)
	}
	if s.state&keeping != 0 && s.transport.(keeper).Unsent() > 0 {
		s.state |= cutOff
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
		s.logFailure("a connection failed", cause)
	}
}

// logFailure logs how a stream has ended, once a second at most for all streams of one Serve: any stranger can make one
// fail. That a peer was idle for too long is no failure.
func (s *Stream) logFailure(text string, cause error) {
	switch {
	case cause == nil, errors.Is(cause, communicator.ErrClosed):
	case errors.Is(cause, ErrIdleTimeout):
		s.Loop().Logger().Debug(text, "source", s.handle.Name(), "error", cause) //nolint:sloglint // the text is constant where it is written
	default:
		s.config.failures.Log(s.Loop().Logger(), slog.LevelInfo, text, "source", s.handle.Name(), "error", cause)
	}
}

// logFailure logs how a source has ended, if that was by a failure and not by the loop's end.
func logFailure(h *communicator.Handle, level slog.Level, text string, cause error) {
	if cause != nil && !errors.Is(cause, communicator.ErrClosed) {
		//nolint:sloglint // the text is constant where it is written
		h.Loop().Logger().Log(context.Background(), level, text, "source", h.Name(), "error", cause)
	}
}

// streamWriter is the descriptor for writing of a stream whose transport has one of its own.
type streamWriter Stream

func (w *streamWriter) FD() int { return w.transport.(writeDescriptor).WriteFD() }

func (w *streamWriter) String() string { return (*Stream)(w).handle.Name() + ", output" }

func (w *streamWriter) HandleWrite(*communicator.Handle) error {
	s := (*Stream)(w)
	if !s.handle.Active() {
		return nil // it has been removed in this turn
	}
	if err := s.flush(); err != nil {
		s.handle.Remove(err)
	}
	return nil
}

// HandleShutdown leaves it to the stream.
func (w *streamWriter) HandleShutdown(*communicator.Handle) {}

// HandleRead reads once and hands over what has come, or hands over again what waits for that.
func (src *streamSource) HandleRead(h *communicator.Handle) error {
	s := (*Stream)(src)
	if s.state&announced != 0 {
		return s.heard(h)
	}
	err := s.receive()
	if err == nil {
		s.readOn()
	}
	return err
}

// heard is what follows when a transport has announced something, whichever way that goes. To read on costs no system call
// then, as a turn of the loop does, so it goes on for as long as a callback may.
func (s *Stream) heard(h *communicator.Handle) error {
	t := s.transport.(announcer)
	for {
		if s.state&held != 0 && t.Gone() { // what has come is read all the same: the output never goes
			s.state = s.state&^held | again
		}
		if s.out != nil && !(s.listens() && t.Gone()) { // reading tells why, when it comes to that
			if err := s.flush(); err != nil || !h.Active() {
				return err
			}
		}
		if err := s.receive(); err != nil {
			return err
		}
		if s.state&held != 0 && h.Active() && t.Gone() {
			s.handle.MarkReadable()
			return nil
		}
		if s.state&eof != 0 && s.out != nil && h.Active() && t.Gone() {
			return s.flush() // which fails now: nothing is going to announce that
		}
		if !s.listens() {
			t.Rest()
			return nil
		}
		if !s.transport.(keeper).Readable() {
			return nil
		}
		if !h.Continue() {
			h.MarkReadable()
			return nil
		}
	}
}

func (s *Stream) receive() error {
	if s.transport == nil {
		return nil
	}
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
	left := len(data) - consumed
	if s.limits != nil {
		s.limits.delivered(s, consumed, left)
	}
	if err := s.leave(left); err != nil {
		return err
	}
	return s.keep(data[consumed:])
}

// leave tells a transport that wants to know it how many bytes are left.
func (s *Stream) leave(left int) error {
	if s.state&minding == 0 {
		return nil
	}
	return s.transport.(consumer).Consumed(left)
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
	room := buf[kept:]
	if s.limits != nil {
		if room = s.limits.mayRead(s, room); len(room) == 0 {
			return nil, ErrWouldBlock
		}
	}
	n, err := s.transport.Read(room)
	if n > 0 {
		err = nil // it comes again
	}
	s.received += uint64(n)
	if s.limits != nil {
		s.limits.read(s, n)
	}
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
	if err == nil {
		err = s.leave(0)
	}
	switch {
	case err == nil, err == ErrWouldBlock: //nolint:errorlint // by contract the sentinel itself
		return nil
	case !s.waits(): // the peer's end, or its reset: either way all is over
		s.handle.Remove(s.endCause())
		return nil
	case err == io.EOF: //nolint:errorlint // by contract the sentinel itself
		s.state |= eof
		s.update()
		return nil
	}
	return err
}
