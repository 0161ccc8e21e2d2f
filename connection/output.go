//go:build linux

package connection

import (
	"io"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// output is what waits for the peer.
type output struct {
	buf  []byte
	gone int // bytes at the front that have been written
}

func (o *output) waiting() []byte { return o.buf[o.gone:] }

// add appends p; what has gone makes room when it is the larger part.
func (o *output) add(p []byte) {
	if o.gone > len(o.buf)/2 {
		o.buf = o.buf[:copy(o.buf, o.waiting())]
		o.gone = 0
	}
	o.buf = append(o.buf, p...)
}

// QueuedBytes is how many bytes of output wait for the peer. What a transport makes of them itself, as TLS
// does, counts as what has become of it.
func (s *Stream) QueuedBytes() int {
	n := 0
	if s.out != nil {
		n = len(s.out.waiting())
	}
	if s.state&keeping != 0 {
		n += s.transport.(keeper).Unsent()
	}
	return n
}

// waits tells whether output waits for the peer.
func (s *Stream) waits() bool {
	return s.out != nil || s.state&keeping != 0 && s.transport.(keeper).Unsent() > 0
}

// Written is how many bytes Write has taken: those that have gone and those that wait.
func (s *Stream) Written() uint64 {
	n := s.sent
	if s.out != nil {
		n += uint64(len(s.out.waiting()))
	}
	if s.state&corking != 0 {
		n += uint64(len(*s.Loop().WriteBuffer()))
	}
	return n
}

// Write takes all of p: what the kernel doesn't take at once waits in memory. It returns len(p) and
// nil; or ErrClosed after Close, CloseWrite, Abort or a failure; or the error with which the stream
// closes now: ErrOutputLimit or a *net.OpError. While dialling everything waits.
func (s *Stream) Write(p []byte) (int, error) {
	if s.state&(closing|endWriting) != 0 || !s.handle.Active() {
		return 0, ErrClosed
	}
	var err error
	if s.state&corking != 0 {
		err = s.collect(p)
	} else {
		err = s.write(p)
	}
	if err != nil {
		s.handle.Remove(err)
		return 0, err
	}
	return len(p), nil
}

// cork collects what is written until uncork into one write. It is for a layer that calls a handler
// many times for one read, and must be undone before that read's callback returns.
func (s *Stream) cork() { s.state |= corking }

func (s *Stream) uncork() {
	err := s.writeCollected()
	s.state &^= corking
	if err != nil {
		s.handle.Remove(err)
	}
}

// collect puts p into the loop's write buffer.
func (s *Stream) collect(p []byte) error {
	buf := s.Loop().WriteBuffer()
	if len(*buf)+len(p) > communicator.BufferSize {
		if err := s.writeCollected(); err != nil {
			return err
		}
		if len(p) > communicator.BufferSize {
			return s.write(p)
		}
	}
	*buf = append(*buf, p...)
	return nil
}

// writeCollected writes what a corked stream has collected, if any.
func (s *Stream) writeCollected() error {
	if s.state&corking == 0 {
		return nil
	}
	buf := s.Loop().WriteBuffer()
	collected := *buf
	*buf = collected[:0]
	if len(collected) == 0 || !s.handle.Active() {
		return nil
	}
	return s.write(collected)
}

// write hands p to the kernel, and lets wait what it doesn't take.
func (s *Stream) write(p []byte) error {
	if s.out == nil && s.transport != nil {
		n, err := s.put(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	if len(p) == 0 {
		if s.state&keeping != 0 {
			s.update()
		}
		return nil
	}
	if s.out == nil {
		s.out = &output{}
	}
	waiting := s.QueuedBytes() + len(p)
	if waiting > s.config.MaxOutput {
		return ErrOutputLimit
	}
	s.out.add(p)
	if waiting > s.config.HighWater {
		s.state |= held
	}
	s.update()
	return nil
}

// put hands p to the transport, as much as it takes and the rate allows.
func (s *Stream) put(p []byte) (n int, err error) {
	all := len(p)
	if s.limits != nil {
		if p = s.limits.mayWrite(s, p); len(p) == 0 {
			return 0, nil
		}
	}
	n, err = s.transport.Write(p)
	s.sent += uint64(n)
	if n == len(p) && n < all {
		s.writeOn()
	}
	if s.limits != nil {
		s.limits.wrote(s, n)
	}
	if err == ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
		err = nil
	}
	return n, err
}

// writeOn lets a transport that announces when writing may go on write again, though it has nothing to announce.
func (s *Stream) writeOn() {
	if s.state&announced != 0 {
		s.handle.MarkReadable()
	}
}

// flush writes what waits, as much as the kernel takes.
func (s *Stream) flush() error {
	if !s.waits() {
		return nil
	}
	if s.state&keeping != 0 {
		t := s.transport.(keeper)
		before := t.Unsent()
		if err := t.Flush(); err != nil && err != ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
			return err
		}
		if s.limits != nil && t.Unsent() < before {
			s.limits.moved(s)
		}
	}
	if s.out != nil {
		n, err := s.put(s.out.waiting())
		if err != nil {
			return err
		}
		if s.out.gone += n; len(s.out.waiting()) == 0 {
			s.out = nil
		}
	}
	waiting := s.QueuedBytes()
	if s.state&held != 0 && waiting <= s.config.HighWater/2 {
		s.state &^= held
		s.handAgain()
	}
	s.update()
	if waiting > 0 {
		return nil
	}
	return s.drained()
}

// drained is what follows the last byte of output.
func (s *Stream) drained() error {
	if s.state&closing != 0 {
		return s.linger()
	}
	if s.state&endWriting != 0 {
		if err := s.endWrite(); err != nil || s.waits() {
			return err
		}
	}
	if h, ok := s.handler.(DrainHandler); ok {
		return h.HandleDrain(s)
	}
	return nil
}

// CloseWrite ends the writing side when all that was written has gone: the peer then reads the end
// of the file, and can still send. Nothing can be written any more. On a transport without
// half-close it has no further effect.
func (s *Stream) CloseWrite() {
	if s.state&(endWriting|closing) != 0 || !s.handle.Active() {
		return
	}
	err := s.writeCollected()
	s.state |= endWriting
	if err == nil && s.transport != nil && !s.waits() {
		err = s.endWrite()
	}
	if err != nil {
		s.handle.Remove(err)
	}
}

func (s *Stream) endWrite() error {
	if s.state&wroteEnd != 0 {
		return nil
	}
	s.state |= wroteEnd
	if s.writer != nil {
		s.writer.Remove(nil) // its descriptor is closed now
		s.writer = nil
	}
	if t, ok := s.transport.(closeWriter); ok {
		if err := t.CloseWrite(); err != nil {
			return err
		}
		s.update() // the end itself may have to wait
	}
	return nil
}

// Close closes the stream gracefully. Nothing more is handed to the handler. What was written
// before is delivered first; then the writing side ends, and the stream waits for the peer's end
// before it lets go: closing a socket while data is on its way to it would reset the connection and
// could destroy what the peer has not read yet. All of that takes CloseTimeout at most. A stream
// that is still being dialled delivers what was written when the connection stands.
func (s *Stream) Close() {
	if s.state&closing != 0 || !s.handle.Active() {
		return
	}
	if err := s.writeCollected(); err != nil {
		s.handle.Remove(err)
		return
	}
	s.state |= closing
	s.in = nil
	s.handle.SetEnabled(true)
	s.endBy(time.Now().Add(s.config.CloseTimeout))
	s.update()
	s.readOn()
	if s.waits() {
		return
	}
	if s.transport == nil {
		s.handle.Remove(nil)
		return
	}
	if err := s.linger(); err != nil {
		s.handle.Remove(err)
	}
}

// endBy limits the time of closing.
func (s *Stream) endBy(end time.Time) {
	if s.limits != nil {
		s.limits.close(s, end)
	} else {
		s.handle.SetDeadline(end)
	}
}

// shutdownLinger is how long a stream waits for the peer's end when the loop is shut down and all has been
// written: long enough for a peer that answers an end with its own, and short for a service that is to
// stop. More than CloseTimeout it never is.
const shutdownLinger = time.Second

// shutdown closes the stream gracefully, without much patience for a peer that doesn't end its side.
func (s *Stream) shutdown() {
	s.state |= brief
	if s.state&closing == 0 {
		s.Close()
	} else if !s.waits() {
		s.endBy(time.Now().Add(min(shutdownLinger, s.config.CloseTimeout)))
	}
}

// linger begins to wait for the peer's end.
func (s *Stream) linger() error {
	if s.state&brief != 0 {
		s.endBy(time.Now().Add(min(shutdownLinger, s.config.CloseTimeout)))
	}
	if s.state&eof != 0 {
		if s.state&keeping != 0 {
			if s.endWrite() == nil && s.waits() {
				return nil
			}
		}
		s.handle.Remove(s.endCause())
		return nil
	}
	if _, ok := s.transport.(closeWriter); !ok {
		s.handle.Remove(s.endCause()) // the peer would never know
		return nil
	}
	s.update()
	return s.endWrite()
}

func (s *Stream) endCause() error {
	if s.state&unfinished != 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// Abort closes the stream at the end of the turn, with that cause. What waits to be written may be
// lost.
func (s *Stream) Abort(cause error) { s.handle.Remove(cause) }
