//go:build linux

package connection

import (
	"bufio"
	"errors"
)

// FrameHandler takes the frames of a stream: see Split. The rules are those of StreamHandler; the
// same optional methods are looked for.
type FrameHandler interface {
	HandleFrame(s *Stream, frame []byte) error
}

// FrameFunc is a function as a FrameHandler.
type FrameFunc func(s *Stream, frame []byte) error

// HandleFrame calls f.
func (f FrameFunc) HandleFrame(s *Stream, frame []byte) error { return f(s, frame) }

// Split returns a StreamHandler that cuts the bytes into frames, as bufio.Scanner does, with a
// split function such as bufio.ScanLines. A frame can be as long as StreamConfig.MaxInput. The
// function sees the beginning of an unfinished frame again each time more of it has come.
//
// What the handler writes to its stream while the frames of one read are handled goes out in one
// write. When the handler pauses the stream, or its output rises above the high-water mark, the
// frames that follow wait. An error from split closes the stream with that cause;
// bufio.ErrFinalToken closes it gracefully after the last frame.
func Split(split bufio.SplitFunc, h FrameHandler) StreamHandler {
	mustNotBeNil(h)
	return &splitter{split: split, handler: h}
}

// maxEmpty is how many empty frames in a row may come without a byte consumed, as in bufio.Scanner.
const maxEmpty = 100

// splitter is the same for all streams that share the handler: what a stream has not consumed is
// kept by the stream.
type splitter struct {
	split   bufio.SplitFunc
	handler FrameHandler
}

func (f *splitter) HandleData(s *Stream, data []byte) (consumed int, err error) {
	s.cork()
	consumed, err = f.frames(s, data, false)
	s.uncork()
	return consumed, err
}

func (f *splitter) frames(s *Stream, data []byte, atEOF bool) (consumed int, err error) {
	empty := 0
	for (atEOF && s.isOpen()) || (consumed < len(data) && s.goesOn()) {
		advance, frame, err := f.split(data[consumed:], atEOF)
		final := errors.Is(err, bufio.ErrFinalToken)
		if err != nil && !final {
			return consumed, err
		}
		if advance < 0 || advance > len(data)-consumed {
			return consumed, ErrConsumed
		}
		consumed += advance
		if len(frame) > s.config.MaxInput {
			return consumed, ErrInputLimit
		}
		if frame != nil {
			if err := f.handler.HandleFrame(s, frame); err != nil {
				return consumed, err
			}
			if err := s.leave(len(data) - consumed); err != nil {
				return consumed, err
			}
		}
		if final {
			s.Close()
			return len(data), nil
		}
		if advance > 0 {
			empty = 0
			continue
		}
		if frame == nil {
			break // it needs more
		}
		if empty++; empty > maxEmpty {
			return consumed, ErrNoProgress
		}
	}
	return consumed, nil
}

// goesOn tells whether the next frame may be handed over.
func (s *Stream) goesOn() bool {
	return s.state&(paused|held|closing) == 0 && s.handle.Enabled() && !s.Loop().Stopping()
}

// isOpen tells whether a frame may be handed over at the end of the file, where none could be
// later.
func (s *Stream) isOpen() bool {
	return s.state&closing == 0 && s.handle.Active() && !s.Loop().Stopping()
}

// HandleEOF hands over the last frame, if split makes one of what is left.
func (f *splitter) HandleEOF(s *Stream, rest []byte) error {
	if rest == nil {
		rest = []byte{} // split functions return a part of it as the last frame, and nil is none
	}
	s.cork()
	consumed, err := f.frames(s, rest, true)
	s.uncork()
	if err != nil || !s.isOpen() {
		return err
	}
	rest = rest[consumed:]
	if h, ok := f.handler.(EOFHandler); ok {
		return h.HandleEOF(s, rest)
	}
	if len(rest) > 0 {
		s.state |= unfinished
	}
	s.Close()
	return nil
}

func (f *splitter) HandleOpen(s *Stream) error {
	if h, ok := f.handler.(OpenHandler); ok {
		return h.HandleOpen(s)
	}
	return nil
}

func (f *splitter) HandleDrain(s *Stream) error {
	if h, ok := f.handler.(DrainHandler); ok {
		return h.HandleDrain(s)
	}
	return nil
}

func (f *splitter) HandleClose(s *Stream, cause error) {
	s.tell(f.handler, cause)
}
